import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import SHARED, kedro, make_project

# Two workers and what they start share the processors: a thread that waits is to let others work.
# Read when torch is imported, which no module above does.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets, where the checkout has them as a sibling."""
    if not SHARED.is_dir():
        pytest.skip("the sibling folder shared/data is absent")
    return SHARED


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tiny models are slower on several, and processes that share a machine have one each.

    A benchmark of several threads measures the one that waits longest for a busy core.
    """
    import torch  # imported late: see above

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the default pipeline of the test environment has run."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project")
    result = kedro(project, "run", "--env=test")
    assert result.returncode == 0, result.stderr + result.stdout
    return project
