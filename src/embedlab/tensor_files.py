"""Tensors and plain values in `.pt` files, loaded without executing code from them."""

from pathlib import Path
from typing import Any

import torch

from embedlab.errors import InputError
from embedlab.files import replacing


def read_tensors(path: Path) -> dict[str, Any]:
    """Load a dictionary with `weights_only=True`, onto the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if the file is damaged or does not hold a dictionary of tensors and plain
            values.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged bytes raise errors of many types
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: damaged ({reason}); delete it and make it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no dictionary; delete it and make it again")
    return content


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write a dictionary of tensors and plain values in one rename."""
    # Given a path, torch stores its name in the file: equal content would have different bytes.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
