"""The contracts of `[tool.importlinter]` in pyproject.toml: imports only go down."""

import subprocess
import sys
from pathlib import Path

from support import ROOT


def test_imports_only_go_down() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
