import subprocess

import pytest


@pytest.fixture
def project(finished_project, tmp_path, monkeypatch):
    """A copy of a finished project, as the working directory, without a network."""
    copy = tmp_path / "project"
    subprocess.run(["cp", "-r", finished_project, copy], check=True)
    monkeypatch.chdir(copy)
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    return copy
