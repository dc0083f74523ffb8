"""A project's lineage: what is stale after a change, and what `--only-changed` makes again."""

import re
import shutil

import pytest
import yaml
from mutations import change_a_byte, lineage_of, stored
from support import contents, kedro

from embedlab.lineage.tree import lineage_tree

PROJECTION = "isotropic_retrieval.retrieval.projection_learning_rate"


@pytest.fixture
def project(finished_project, tmp_path):
    return shutil.copytree(finished_project, tmp_path / "project")


def error_of(project, *arguments):
    """The one line with which a run ends."""
    result = kedro(project, "run", "--env=test", *arguments)
    assert result.returncode == 1, result.stdout
    (line,) = re.findall(r"^Error: (.*)$", result.stderr + result.stdout, re.MULTILINE)
    assert "INFO Node" not in result.stderr, "a node ran"
    return line


def test_nothing_is_stale_after_a_run(project):
    lineage = lineage_of(project)
    assert len(stored(lineage)) > 50
    assert lineage.changes(stored(lineage)) == {}


def test_other_vectors_are_refused_before_any_node_runs(project):
    change = "--params=encoders.hashing.dimension=8"
    for pipeline in ("evaluation", "density", "rnd", "isotropic_retrieval"):
        line = error_of(project, f"--pipelines={pipeline}", change)
        assert re.fullmatch(
            r"hashing\.\w+\.vectors is stale \(encoders\.hashing\.dimension: 64 -> 8\), "
            r"\d+ stale inputs in all; run `kedro run --only-changed --env=test "
            r'--params="encoders\.hashing\.dimension=8" '
            r"--to-outputs=hashing\.\w+\.vectors,[\w.,]+`",
            line,
        ), line


def test_a_retrained_model_makes_its_vectors_stale_and_the_command_mends_them(project):
    retrained = kedro(
        *(project, "run", "--env=test", "--pipelines=isotropic_retrieval"),
        *("--to-outputs=isotropic_model", f"--params={PROJECTION}=1.0"),
    )
    assert retrained.returncode == 0, retrained.stderr
    line = error_of(project, "--pipelines=evaluation", f"--params={PROJECTION}=1.0")
    assert line.startswith(
        "isotropic.library_docs_corpus.vectors is stale (isotropic_model changed)"
    )
    (command,) = re.findall("`kedro (.*)`", line)
    mended = kedro(project, *command.replace('"', "").split())
    assert mended.returncode == 0, mended.stderr
    assert "Node isotropic.library_docs_corpus.project" in mended.stderr
    line = error_of(project, "--pipelines=evaluation")
    assert "projection_learning_rate: 1.0 -> " in line


def test_only_changed_gives_what_a_run_from_scratch_gives(project):
    expected = contents(project)
    paths = stored(lineage_of(project))
    for entry in ("prefixes", "density_weights", "hashing.library_docs_corpus.vectors"):
        change_a_byte(paths[entry])
    result = kedro(project, "run", "--env=test", "--only-changed")
    assert result.returncode == 0, result.stderr
    assert contents(project) == expected
    assert "Node weigh_prefixes" in result.stderr
    assert "Node ingest_library_docs" not in result.stderr
    again = kedro(project, "run", "--env=test", "--only-changed")
    assert "1 of " in again.stderr, again.stderr  # the check that no experiment failed
    assert lineage_of(project).changes(paths) == {}


def test_a_users_file_is_accepted_and_recorded(project):
    lineage = lineage_of(project)
    path = lineage.path("density_sample")
    path.unlink()
    (path.parent / f".{path.name}.lineage.json").unlink()
    path.write_text("[]")
    assert lineage_of(project).changes(["density_sample"]) == {}
    text = "\n".join(lineage_tree(lineage_of(project), "density_sample"))
    assert text.splitlines()[0] == "density_sample  not made by a run"


def test_stale_artifacts_may_be_read_with_a_warning(project):
    path = project / "conf" / "test" / "parameters_lineage.yml"
    path.write_text(yaml.safe_dump({"lineage": {"on_stale": "warn"}}))
    arguments = ("--pipelines=density", "--nodes=draw_sample", "--params=density.k=3")
    result = kedro(project, "run", "--env=test", *arguments)
    assert result.returncode == 0, result.stderr
    assert "density_ids is stale (density.k: " in result.stderr


def test_the_tree_names_what_led_to_an_entry(project):
    result = kedro(project, "lineage", "density_sample", "--env=test")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"density_sample  2\S+  [0-9a-f]{12}  by draw_sample", lines[0])
    assert any(re.match(r"      hashing\.prefixes\.vectors  2", line) is None for line in lines)
    assert any(
        "library_docs  2" in line and line.endswith("by ingest_library_docs") for line in lines
    )
    stale = kedro(project, "lineage", "density_sample", "--env=test", "--params=density.k=3")
    assert "STALE: density.k: " in stale.stdout
    unknown = kedro(project, "lineage", "nothing", "--env=test")
    assert unknown.returncode == 1
    assert "Error: nothing: no node makes an entry of that name" in unknown.stderr
