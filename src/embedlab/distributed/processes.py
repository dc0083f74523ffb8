"""What the processes of one training agree on."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from embedlab.distributed.collectives import all_reduce_sum, rank, world_size
from embedlab.errors import InputError

ResultT = TypeVar("ResultT")


def training_device() -> torch.device:
    """This process's GPU, or the CPU if there is no GPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def from_main_process(compute: Callable[[], ResultT]) -> ResultT:
    """Compute on rank 0 and return the result on every rank.

    Raises:
        InputError: on every rank, if `compute` raises it.
    """
    if world_size() == 1:
        return compute()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = compute()
        except InputError as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1]:
        raise outcome[1]
    result: ResultT = outcome[0]
    return result


def mean_over_processes(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean over processes of each scalar."""
    if world_size() == 1:
        return values
    sums = all_reduce_sum(torch.stack([value.float() for value in values.values()]))
    return dict(zip(values, sums / world_size(), strict=True))
