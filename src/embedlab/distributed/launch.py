"""Starting processes, alone or as one group of `torch.distributed`."""

import mmap
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import (
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)

from embedlab.distributed.standard_error import LastLine
from embedlab.errors import InputError

# Processes wait this long for the first one, which alone validates and saves.
TIMEOUT = timedelta(days=1)


def spawn(function: Callable[..., None], args: tuple[Any, ...], num_processes: int) -> None:
    """Call `function(index, *args)` in each of these processes; all end when one fails.

    They also end with this process. Arrays that are memory maps of whole files are mapped by each
    process, not copied.

    Raises:
        InputError: if a process raises it, or ends otherwise; then with the last line that the
            processes wrote to standard error.
    """
    errors = LastLine()
    try:
        with TemporaryDirectory() as folder:
            call = Path(folder) / "call"
            with call.open("wb") as file:
                _Pickler(file).dump((function, args))
            with errors.watched():
                group = start_processes(_call, (call,), num_processes, join=False, daemon=True)
            while not group.join():
                pass
    except ProcessExitedException as error:
        reason = f" ({line})" if (line := errors.wait()) else ""
        raise InputError(
            f"{error}{reason}; finished work is kept: run again, with fewer processes if memory "
            "was short"
        ) from error
    except ProcessRaisedException as error:
        # The text is the traceback of the process; its last line names the exception.
        last_line = str(error).strip().rpartition("\n")[2]
        name, _, reason = last_line.partition(": ")
        if name != f"{InputError.__module__}.{InputError.__qualname__}":
            raise
        raise InputError(reason) from error
    errors.wait()


def run_in_processes(function: Callable[[], object], num_processes: int) -> None:
    """Call a picklable function in each process of a group.

    Each process has one GPU or, without GPUs, an equal share of this process's threads.

    Raises:
        InputError: as `spawn` does, and if there are more processes than GPUs.
    """
    if 0 < (gpus := torch.cuda.device_count()) < num_processes:
        raise InputError(f"{num_processes} processes for {gpus} GPU(s); use fewer devices")
    threads = max(1, torch.get_num_threads() // num_processes)
    with TemporaryDirectory() as folder:
        store = f"file://{folder}/store"
        spawn(_run, (num_processes, store, threads, function), num_processes)


def _call(index: int, call: Path) -> None:
    """Call what a file holds.

    Python writes the arguments of a process into a pipe of 64 KiB. It waits forever if the process
    is killed before it has read more than that, so they are but the name of a file.
    """
    with call.open("rb") as file:
        function, args = pickle.load(file)
    function(index, *args)


def _run(
    index: int, num_processes: int, store: str, threads: int, function: Callable[[], object]
) -> None:
    """One process of the group."""
    torch.set_num_threads(threads)
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(index)
    dist.init_process_group(backend, store, TIMEOUT, num_processes, index)
    function()
    dist.destroy_process_group()


class _Pickler(pickle.Pickler):
    """Writes a memory map of a whole named file as its path, any other object in full."""

    def reducer_override(self, obj: Any) -> Any:
        is_whole_file = isinstance(obj, np.memmap) and isinstance(obj.base, mmap.mmap)
        # A temporary file has no name.
        if is_whole_file and obj.filename and obj.flags.c_contiguous:
            return np.memmap, (obj.filename, obj.dtype, "r", obj.offset, obj.shape)
        return NotImplemented
