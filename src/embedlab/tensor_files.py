"""Tensors and plain values in `.pt` files, read without executing anything from them."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from embedlab.errors import InputError
from embedlab.files import replacing


def read_tensors(path: Path) -> dict[str, Any]:
    """Load a file with `weights_only=True`, onto the CPU.

    Raises:
        InputError: if it is not a whole file of tensors and plain values.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, EOFError, UnpicklingError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: damaged ({reason}); delete it and make it again") from error
    return content


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write beside the target and rename."""
    # A path's name would become part of the file: the same content is to give the same bytes.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
