import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets, where the checkout has them as a sibling."""
    if not SHARED.is_dir():
        pytest.skip("the sibling folder shared/data is absent")
    return SHARED


def make_project(folder: Path) -> Path:
    """A project folder of its own: the installed code, this configuration, empty data."""
    # Kedro wants the source folder to be there, even if the package is found elsewhere.
    (folder / "src").mkdir(parents=True)
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "data").mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def kedro(project: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run `kedro` in a project as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the default pipeline of the test environment has run."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project")
    result = kedro(project, "run", "--env=test")
    assert result.returncode == 0, result.stderr + result.stdout
    return project
