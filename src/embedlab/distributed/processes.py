"""The processes of a training: their number, devices, sums, gathers and common results.

Every loss follows one convention: averaged over processes, its value and its parameter gradients
equal those of one process with the whole batch. DistributedDataParallel does this averaging.
Without a process group, the functions act as in a group of one process.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from embedlab.errors import InputError

ResultT = TypeVar("ResultT")


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The index of this process."""
    return dist.get_rank() if world_size() > 1 else 0


def training_device() -> torch.device:
    """This process's GPU, or the CPU if there is no GPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def all_reduce_sum(x: Tensor) -> Tensor:
    """The sum of the tensors of all processes; the gradient is summed over processes, too.

    Shape:
        - x: any, the same on every process
        - output: that of x
    """
    return x if world_size() == 1 else _AllReduceSum.apply(x)  # type: ignore[no-untyped-call]


def gather_rows(x: Tensor) -> Tensor:
    """The rows of all processes in rank order; gradients of a row are summed over processes.

    Shape:
        - x: `(n, ...)`, the same on every process
        - output: `(n * world_size, ...)`
    """
    if world_size() == 1:
        return x
    blocks = [torch.zeros_like(x)] * world_size()
    blocks[rank()] = x
    return all_reduce_sum(torch.cat(blocks))


def centre(x: Tensor) -> tuple[Tensor, int]:
    """Subtract the mean row over all processes.

    Shape:
        - x: `(n, d)`, the same on every process
        - output: `(n, d)`, and the total number of rows, n * world_size

    Example:
        >>> centre(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
        (tensor([[-1.,  0.],
                [ 1.,  0.]]), 2)
    """
    count = len(x) * world_size()
    return x - all_reduce_sum(x.sum(0)) / count, count


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


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _AllReduceSum.forward(ctx, gradient)
