"""Tensors and plain values in `.pt` files, read without executing anything from them."""

from pathlib import Path
from typing import Any

import torch

from embedlab.errors import InputError
from embedlab.files import replacing


def read_tensors(path: Path) -> dict[str, Any]:
    """Load a file with `weights_only=True`, onto the CPU.

    Raises:
        InputError: if it is not a whole file with a dictionary of tensors and plain values.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged bytes raise whatever they happen to run into
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: damaged ({reason}); delete it and make it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no dictionary; delete it and make it again")
    return content


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write beside the target and rename."""
    # A path's name would become part of the file: the same content is to give the same bytes.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
