"""Every artifact and every parameter, changed: what is stale, and how `--only-changed` mends it.

`MUTATIONS` says how many are run: a number, or `all`, which takes half an hour.
"""

import os
import random
import re
import shutil
from collections import defaultdict
from functools import cache

import pytest
from mutations import (
    AS_A_SEED,
    WITHOUT_EFFECT,
    Wiring,
    change_a_byte,
    changed,
    dependents,
    lineage_of,
    parameter_changes,
    raw_parameters,
    run_in,
    stored,
)
from support import contents, make_project

from embedlab import project_parameters
from embedlab.lineage.project import project_lineage
from embedlab.project_parameters import ProjectParameters

MUTATIONS = os.environ.get("MUTATIONS", "1")
BY_NAME = "encoder_pretrain,weight_export"
ALL = f"__default__,{BY_NAME}"


@pytest.fixture(scope="module")
def finished(finished_project, tmp_path_factory):
    """A finished project in which the pipelines of the resource encoder have run, too."""
    project = tmp_path_factory.mktemp("mutations") / "project"
    shutil.copytree(finished_project, project)
    finish(project, "--only-changed", f"--pipelines={BY_NAME}")
    return project


@pytest.fixture(scope="module")
def changes_and_stale(finished):
    """By parameter: a change of it, what it must make stale, and what is found to be stale."""
    raw, lineage = raw_parameters(finished), lineage_of(finished)
    before, found = Wiring(lineage.makers, ProjectParameters.model_validate(raw)), {}
    for path, change in parameter_changes(raw).items():
        parameters = project_parameters.use(changed(raw, change))
        lineage = project_lineage(lineage._catalog)
        there = stored(lineage)
        expected = dependents(before, Wiring(lineage.makers, parameters)) & there.keys()
        found[path] = change, expected, lineage.changes(there)
    return found


def finish(project, *arguments):
    result = run_in(project, *arguments)
    assert result.exit_code == 0, result.output


def some(items):
    """As many of the items as are to be run."""
    if MUTATIONS == "all":
        return items
    return random.Random(0).sample(items, min(len(items), int(MUTATIONS)))


def test_a_changed_byte_makes_the_descendants_stale_and_nothing_else(finished, tmp_path):
    project = shutil.copytree(finished, tmp_path / "project")
    lineage = lineage_of(project)
    paths = stored(lineage)
    assert len(paths) > 80
    for entry, path in paths.items():
        backup = path.with_name(f"{path.name}.backup")
        shutil.copytree(path, backup) if path.is_dir() else shutil.copy2(path, backup)
        change_a_byte(path)
        changes = lineage.changes(paths)
        descendants = {name for name in paths if entry in lineage.ancestors(name)}
        assert changes.keys() == descendants, entry
        assert re.match(f"{re.escape(entry)} is not what node .* wrote", changes[entry][0]), entry
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        backup.rename(path)


def test_every_parameter_has_another_valid_value(changes_and_stale):
    assert [path for path, (change, *_) in changes_and_stale.items() if not change] == []


def test_a_changed_parameter_makes_what_depends_on_it_stale_and_nothing_else(changes_and_stale):
    wrong = {
        path: (sorted(changes.keys() - expected), sorted(expected - changes.keys()))
        for path, (_, expected, changes) in changes_and_stale.items()
        if changes.keys() != expected
    }
    assert wrong == {}


def test_parameters_without_effect_make_nothing_stale(changes_and_stale):
    without = [path for path in changes_and_stale if path.rpartition(".")[2] in WITHOUT_EFFECT]
    assert len(without) > 5
    assert {path for path in without if changes_and_stale[path][2]} == set()


def groups_of_artifacts(lineage):
    """Groups of stored entries of which none is made from another, nor with another."""

    @cache
    def depth(entry):
        maker = lineage.makers.get(entry)
        return 1 + max(map(depth, lineage.data_inputs(maker)), default=0) if maker else 0

    groups = defaultdict(list)
    for entry in sorted(stored(lineage)):
        position = lineage.makers[entry].outputs.index(entry)
        groups[depth(entry), position].append(entry)
    return list(groups.values())


def test_only_changed_mends_every_artifact(finished, tmp_path):
    lineage, expected, wrong = lineage_of(finished), contents(finished), []
    for entries in some(groups_of_artifacts(lineage)):
        project = shutil.copytree(finished, tmp_path / "project")
        for entry in entries:
            change_a_byte(project / lineage.path(entry).relative_to(finished))
        finish(project, "--only-changed", f"--pipelines={ALL}")
        mended = lineage_of(project)
        stale = mended.changes(stored(mended))
        if stale or contents(project) != expected:
            wrong.append((entries, stale, contents(project).items() ^ expected.items()))
        shutil.rmtree(project)
    assert wrong == []


def changes_to_run(changes_and_stale):
    """Of the changes to one number, the last one for each set of entries that they make stale."""
    chosen = {}
    for path, (change, expected, _) in changes_and_stale.items():
        values, name = list(change.values()), path.rpartition(".")[2]
        is_number = len(values) == 1 and isinstance(values[0], int | float)
        if is_number and (expected or name in WITHOUT_EFFECT - AS_A_SEED):
            chosen[frozenset(expected) or path] = path, values[0]
    return list(chosen.values())


def test_only_changed_gives_what_a_run_from_scratch_gives(finished, changes_and_stale, tmp_path):
    wrong = {}
    for path, value in some(changes_to_run(changes_and_stale)):
        outputs = ",".join(sorted(changes_and_stale[path][1]))
        options = f"--pipelines={ALL}", f"--params={path}={value}", f"--to-outputs={outputs}"
        project = shutil.copytree(finished, tmp_path / "project")
        finish(project, "--only-changed", *options)
        fresh = make_project(tmp_path / "fresh")
        finish(fresh, *options)
        if differing := contents(fresh).items() - contents(project).items():
            wrong[path] = differing
        for folder in (project, fresh):
            shutil.rmtree(folder)
    assert wrong == {}
