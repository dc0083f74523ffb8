"""Training in several processes, one for each device: how they start and what they agree on."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from embedlab.distributed.collectives import rank, world_size
from embedlab.errors import InputError

# Processes wait for the first one while it encodes, validates and saves.
PATIENCE = timedelta(days=1)
_meetings = itertools.count()


@contextmanager
def together() -> Iterator[None]:
    """Join the other processes that `torchrun` started, which call this as often.

    Outside, a process is alone, and may train what the others know nothing of. An error that the
    others do not meet has to end the process: `torchrun` then ends the others.

    Raises:
        InputError: if there are more processes than GPUs.
    """
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        _take_gpu(torch.cuda.device_count())
    store, number, size = next(dist.rendezvous("env://", timeout=PATIENCE))
    # Every meeting has its own name: an earlier one has left its addresses in the store.
    own = dist.PrefixStore(f"meeting {next(_meetings)}", store)
    dist.init_process_group(backend, timeout=PATIENCE, store=own, rank=number, world_size=size)
    yield
    dist.destroy_process_group()


def _take_gpu(count: int) -> None:
    # Every process is to meet the error: one that did not would wait for the others.
    if int(os.environ["LOCAL_WORLD_SIZE"]) > count:
        raise InputError(f"more processes than GPUs, of which there are {count}; use fewer devices")
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


def training_device() -> torch.device:
    """This process's GPU, else the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def in_main_process(act: Callable[[], None]) -> None:
    """Do what only the first process does; the others wait for it.

    Raises:
        InputError: in all processes, if the first one meets it.
    """
    line = ""
    if rank() == 0:
        try:
            act()
        except InputError as error:
            line = str(error)
    if world_size() > 1:
        line = text_from_main_process(line)
    if line:
        raise InputError(line)


def from_main_process(compute: Callable[[], float], device: torch.device) -> float:
    """A number that the first process computes, known to all."""
    value = torch.tensor(compute() if rank() == 0 else 0.0, dtype=torch.float64, device=device)
    if world_size() > 1:
        dist.broadcast(value, src=0)
    return value.item()


def mean_over_processes(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean over processes of each number."""
    if world_size() == 1:
        return values
    together = torch.stack([value.float() for value in values.values()])
    dist.all_reduce(together)
    return dict(zip(values, together / world_size(), strict=True))


def text_from_main_process(text: str | None = None) -> str:
    """A text that the first process gives, known to all; the others wait for it."""
    content = torch.tensor(list((text or "").encode()), dtype=torch.uint8)
    length = torch.tensor(len(content))
    dist.broadcast(length, src=0)
    if rank() > 0:
        content = torch.empty(int(length), dtype=torch.uint8)
    if len(content):
        dist.broadcast(content, src=0)
    return bytes(content.tolist()).decode()
