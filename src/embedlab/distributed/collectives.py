"""Sums and gathers over the processes of `torch.distributed`, with their gradients.

Every loss keeps one convention: the mean over processes of its value, and of the gradients of the
parameters, is what one process computes with the whole batch. DistributedDataParallel averages
gradients, so that nothing else is needed. Without a process group there is one process.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def world_size() -> int:
    """The number of processes: 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def all_reduce_sum(x: Tensor) -> Tensor:
    """The sum of the tensors of all processes, on each; its gradient is summed over them too.

    Shape:
        - x: any, the same on every process
        - output: that of x
    """
    return x if world_size() == 1 else _AllReduceSum.apply(x)


def gather_rows(x: Tensor) -> Tensor:
    """The rows of all processes in the order of their ranks, on each.

    A row's gradient is the sum of those that it has on all processes.

    Shape:
        - x: `(n, ...)`, the same on every process
        - output: `(n * world_size, ...)`
    """
    return x if world_size() == 1 else _GatherRows.apply(x)


def centre(x: Tensor) -> tuple[Tensor, int]:
    """The rows less the mean row of all processes, and the number of rows of all.

    Shape:
        - x: `(n, d)`, the same on every process
        - output: `(n, d)`, and the number n * world_size
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
        own = x.contiguous()
        parts = [torch.empty_like(own) for _ in range(world_size())]
        dist.all_gather(parts, own)
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient).chunk(world_size())[rank()]
