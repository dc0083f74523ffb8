import shutil

import nbformat
import pytest
from nbclient import NotebookClient
from support import ROOT, kedro

# What a notebook reads beyond the artifacts of the default pipeline.
BY_NAME = {"resource_encoder.ipynb": "encoder_pretrain,weight_export"}


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb")))
def test_a_notebook_runs_from_the_artifacts(name, finished_project, tmp_path, monkeypatch):
    monkeypatch.setenv("KEDRO_ENV", "test")
    project = shutil.copytree(finished_project, tmp_path / "project")
    if name in BY_NAME:
        result = kedro(project, "run", f"--pipelines={BY_NAME[name]}")
        assert result.returncode == 0, result.stderr + result.stdout
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(project)}}).execute()
    images = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 2
