"""What Kedro's commands say of faults of the command, the configuration or the folders."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project
from support import make_project

from embedlab import project_parameters
from embedlab.cli import cli


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("commands") / "project")


def invoke(project: Path, monkeypatch: pytest.MonkeyPatch, folder: str, *arguments: str) -> Result:
    """Run a command in a folder of the project, as the first of its process."""
    monkeypatch.chdir(project / folder)
    monkeypatch.setattr(project_parameters, "_current", None)
    metadata = bootstrap_project(project)
    return CliRunner().invoke(cli, arguments, obj=metadata)


def error_of(result: Result) -> str:
    """The one line that a command ends with."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    (line,) = re.findall(r"^Error: (.*)\n\Z", result.output, re.MULTILINE)
    return line


@pytest.mark.parametrize("text", ["rnd=[1", "rnd={a: b: c}", "rnd='x", "rnd=${oops", "rnd=!!int x"])
def test_parameters_that_are_no_yaml_are_one_line(project, monkeypatch, text):
    line = error_of(invoke(project, monkeypatch, ".", "run", f"--params={text}"))
    assert line.startswith("the options cannot be read: ")


def test_a_parameter_that_refers_to_nothing_is_one_line(project, monkeypatch):
    assert "oops" in error_of(invoke(project, monkeypatch, ".", "run", "--params=rnd=${oops}"))


@pytest.mark.parametrize("content", ["a: [1", "run", "other: {}"])
def test_a_faulty_file_of_options_is_one_line(project, monkeypatch, tmp_path, content):
    (tmp_path / "options.yml").write_text(content)
    line = error_of(invoke(project, monkeypatch, ".", "run", f"--config={tmp_path}/options.yml"))
    assert line.startswith("the options cannot be read: ")


@pytest.mark.parametrize(
    "arguments", [("registry", "list"), ("registry", "describe"), ("catalog", "list-patterns")]
)
@pytest.mark.parametrize("folder", [".", "conf/base"])
def test_commands_can_be_given_in_any_folder(project, monkeypatch, folder, arguments):
    result = invoke(project, monkeypatch, folder, *arguments)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "arguments", [("registry", "list"), ("catalog", "describe-datasets"), ("run",)]
)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("evaluation: {topk: 5}", r"^evaluation\.topk: no such parameter$"),
        ("evaluation: [", r"parameters_mine\.yml"),
        ("evaluation: {top_k: '${oops}'}", "oops"),
    ],
)
def test_a_faulty_configuration_is_one_line(project, monkeypatch, arguments, content, message):
    path = project / "conf/local/parameters_mine.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    try:
        assert re.search(message, error_of(invoke(project, monkeypatch, ".", *arguments)))
    finally:
        path.unlink()


def test_a_link_to_no_folder_is_named(project, monkeypatch, tmp_path):
    copy = make_project(tmp_path / "project")
    (copy / "data").rmdir()
    (copy / "data").symlink_to(tmp_path / "nowhere")
    nodes = "--nodes=ingest_library_docs"
    line = error_of(invoke(copy, monkeypatch, ".", "run", "--env=test", nodes))
    assert re.search(r"data: is no folder, or a link to none; replace it by a folder$", line)
