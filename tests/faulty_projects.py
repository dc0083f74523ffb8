"""Faults to introduce into a finished project, and the check that a run reports each in a line."""

import re

import numpy as np
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from embedlab.cli import run
from embedlab.records import SUFFIX

INGEST = ("--pipelines=data_ingestion",)
PROBLEMS = (*INGEST, "--nodes=ingest_problem_solutions")
EMBED = ("--pipelines=embedding_cache",)
EVALUATE = ("--pipelines=evaluation",)
ROW = '{"question": "1 + 1?", "answer": "2"}'


def ingestion(**changes):
    return lambda project: configure(project, "data_ingestion", **changes)


def configure(project, pipeline, **changes):
    """Change parameters of the test environment."""
    path = project / "conf" / "test" / f"parameters_{pipeline}.yml"
    content = yaml.safe_load(path.read_text()) if path.exists() else {}
    content.setdefault(pipeline, {}).update(changes)
    path.write_text(yaml.safe_dump(content))


def problems(name, content, **options):
    """Read problems and solutions from a file of this name and content."""

    def prepare(project):
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (project / name).write_bytes(data)
        source = {"source": "problem_solution", "data": [{"files": [name]}], **options}
        configure(project, "data_ingestion", problem_solutions=source)

    return prepare


def change_file(name, change):
    """Change one artifact of a finished run, and read it all the same."""

    def prepare(project):
        edited_file(name, change)(project)
        configure(project, "lineage", on_stale="ignore")

    return prepare


def edited_file(name, change):
    """Change one artifact of a finished run, as an editor does."""
    return lambda project: change(next((project / "data").glob(name)))


def change_array(change, collection="library_docs_corpus"):
    return change_file(f"04_feature/hashing/{collection}/embeddings.npy", saved(change))


def saved(change):
    return lambda path: np.save(path, change(np.load(path)))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def put_nan(array):
    array[3, 1] = np.nan
    return array


def preference_file(*rows):
    def prepare(project):
        (project / "pairs.jsonl").write_text("\n".join(rows))
        source = {"source": "hh_rlhf", "data": [{"files": ["pairs.jsonl"]}]}
        configure(project, "data_ingestion", preference_pairs=source)

    return prepare


def hidden_files(project):
    files = (project / "data").rglob(".*")
    return [path for path in files if path.name != ".gitkeep" and not path.name.endswith(SUFFIX)]


def assert_one_line(project, prepare, arguments, expected):
    """Introduce a fault and run: the output must end in one line `Error: ...` that matches."""
    prepare(project)
    bootstrap_project(project)
    result = CliRunner().invoke(run, [*arguments, "--env=test"], catch_exceptions=False)
    assert result.exit_code == 1
    errors = re.findall(r"^Error: (.*)$", result.output, re.MULTILINE)
    assert len(errors) == 1, result.output
    assert re.search(expected, errors[0]), errors[0]
    assert result.output.endswith(f"Error: {errors[0]}\n")
    assert "Traceback" not in result.output
    assert not hidden_files(project)
