"""Sums and gathers over the processes of `torch.distributed`, with gradients.

Every loss follows one convention: averaged over processes, its value and its parameter gradients
equal those of one process with the whole batch. DistributedDataParallel does this averaging.
Without a process group, the functions act as in a group of one process.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The index of this process."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def all_reduce_sum(x: Tensor) -> Tensor:
    """The sum of the tensors of all processes; the gradient is summed over processes, too.

    Shape:
        - x: any, the same on every process
        - output: that of x
    """
    if world_size() == 1:
        return x
    output: Tensor = _AllReduceSum.apply(x)  # type: ignore[no-untyped-call,unused-ignore]
    return output


def gather_rows(x: Tensor) -> Tensor:
    """The rows of all processes in rank order; gradients of a row are summed over processes.

    Shape:
        - x: `(n, ...)`, the same on every process
        - output: `(n * world_size, ...)`
    """
    if world_size() == 1:
        return x
    output: Tensor = _GatherRows.apply(x)  # type: ignore[no-untyped-call,unused-ignore]
    return output


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


def _summed(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        blocks = [torch.empty_like(x) for _ in range(world_size())]
        dist.all_gather(blocks, x)
        return torch.cat(blocks)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient).chunk(world_size())[rank()]
