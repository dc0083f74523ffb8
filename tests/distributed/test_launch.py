"""Processes that start together, and how their errors are told."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch
from torch.multiprocessing import ProcessRaisedException

from embedlab.distributed.launch import run_in_processes
from embedlab.distributed.processes import from_main_process, rank, world_size
from embedlab.errors import InputError
from embedlab.files import disk_array


def describe(array, folder):
    """Write what this process is, and whether it maps the array's file."""
    number = from_main_process(lambda: 10 + rank())
    is_mapped = str(array.filename) == str(folder / "array.npy")
    content = [rank(), world_size(), torch.get_num_threads(), number, is_mapped, array.sum()]
    np.save(folder / f"{rank()}.npy", content)


def test_processes_form_a_group_and_map_files(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    np.save(tmp_path / "array.npy", np.arange(5.0))
    array = np.load(tmp_path / "array.npy", mmap_mode="r")
    run_in_processes(partial(describe, array, tmp_path), 2)
    for number in (0, 1):
        assert np.load(tmp_path / f"{number}.npy").tolist() == [number, 2, 2, 10, True, 10]


def save(array, path):
    if rank() == 0:
        np.save(path, array)


def test_an_array_in_a_temporary_file_is_passed_on(tmp_path):
    array = disk_array(3, np.float32)
    array[:] = 1, 2, 3
    run_in_processes(partial(save, array, tmp_path / "array.npy"), 2)
    assert np.load(tmp_path / "array.npy").tolist() == [1, 2, 3]


def refuse():
    raise InputError("rank 0 says: no")


def fail(kind):
    if kind == "on rank 0":
        from_main_process(refuse)
    if kind == "in any process":
        raise InputError("a file is damaged: delete it")
    if rank() == 1:
        if kind == "exits":
            sys.stderr.write("a bar\r 50 %\nthe library found no memory\nanother bar\r")
            sys.stderr.flush()
            os._exit(3)
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ZeroDivisionError
    time.sleep(600)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("on rank 0", r"^rank 0 says: no$"),
        ("in any process", r"^a file is damaged: delete it$"),
        (
            "killed",
            r"^process 1 terminated with signal SIGKILL; finished work is kept: run again, ",
        ),
        (
            "exits",
            r"^process 1 terminated with exit code 3 \(the library found no memory\); finished ",
        ),
    ],
)
def test_an_error_that_the_user_can_correct_is_one_line(kind, line):
    start = time.monotonic()
    with pytest.raises(InputError, match=line):
        run_in_processes(partial(fail, kind), 2)
    assert time.monotonic() - start < 300, "the other process was not ended"


def test_any_other_error_has_the_traceback_of_its_process():
    with pytest.raises(ProcessRaisedException, match="ZeroDivisionError"):
        run_in_processes(partial(fail, "other"), 2)


KILLED_EARLY = """
import os, signal, sys
if __name__ == "__mp_main__":  # imported by a process that starts, which reads its arguments next
    os.kill(os.getpid(), signal.SIGKILL)

from embedlab.distributed.launch import spawn
from embedlab.errors import InputError

def work(index, data):
    pass

if __name__ == "__main__":
    try:
        spawn(work, (bytes(10**6),), 2)
    except InputError as error:
        print(error)
"""


def test_a_process_that_is_killed_before_it_reads_its_arguments_is_one_line(tmp_path):
    """Its parent waited forever for a reader of a full pipe."""
    program = tmp_path / "program.py"
    program.write_text(KILLED_EARLY)
    command = [sys.executable, str(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert re.match(r"process \d terminated with signal SIGKILL; finished work", result.stdout)


def say():
    sys.stderr.write("said in a process\n")


def test_what_processes_write_to_standard_error_is_shown(capfd):
    run_in_processes(say, 2)
    sys.stderr.write("said afterwards\n")
    assert capfd.readouterr().err.splitlines() == [*["said in a process"] * 2, "said afterwards"]


def test_more_processes_than_gpus_are_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"^2 processes for 1 GPU\(s\); use fewer devices$"):
        run_in_processes(print, 2)


def test_one_process_computes_by_itself():
    assert from_main_process(lambda: 3) == 3
    with pytest.raises(InputError, match="no"):
        from_main_process(refuse)
