"""SIGReg: the distance of random projections of a batch from the standard normal distribution."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from embedlab.distributed.processes import all_reduce_sum, world_size

# Upper bound on the projections per block; on a CPU, a block's waves fit into the cache.
CPU_BLOCK, ACCELERATOR_BLOCK = 2**15, 2**22
# Up to this many projections, one thread is fastest: synchronisation would dominate short steps.
ONE_THREAD = 2**18


def random_directions(dimension: int, num_slices: int, seed: int) -> Tensor:
    """Draw directions uniformly from the unit sphere, equal on all processes.

    Returns:
        Unit columns, float32 `(dimension, num_slices)`, on the CPU.
    """
    columns = np.random.default_rng(seed).standard_normal((dimension, num_slices))
    columns /= np.linalg.norm(columns, axis=0)
    return torch.from_numpy(columns.astype(np.float32))


def sigreg(vectors: Tensor, directions: Tensor, num_knots: int = 17, t_max: float = 3.0) -> Tensor:
    """Compute the sliced Epps-Pulley statistic, a distance between characteristic functions.

    For each direction a, with the projections p = a . x of the N vectors of all processes, it is

        N * sum_k w_k * ((mean cos(t_k p) - exp(-t_k^2 / 2))^2 + (mean sin(t_k p))^2)

    and the value is the mean over directions. The knots t_k, two at least, are equally spaced on
    [0, t_max]; w_k is exp(-t_k^2 / 2) times the trapezoid rule's weight, doubled for the knots
    below zero.
    Computed in float32 at least, also under autocast; directions get no gradient.

    Shape:
        - vectors: `(n, d)`, equally many on every process; their target distribution is N(0, I)
        - directions: `(d, s)`, unit columns, the same on every process
        - output: `()`

    References:
        Balestriero & LeCun 2025 (LeJEPA), arXiv 2511.08544; the statistic: Epps & Pulley 1983, A
        Test for Normality Based on the Empirical Characteristic Function, Biometrika 70.

    Example:
        >>> vectors = torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))
        >>> directions = random_directions(8, 64, seed=0)
        >>> bool(sigreg(vectors, directions) < 2 < sigreg(2 * vectors, directions))
        True
    """
    dtype = torch.promote_types(vectors.dtype, torch.float32)
    few = len(vectors) * directions.shape[1] <= ONE_THREAD
    statistic: Callable[..., Tensor] = _SlicedStatistic.apply
    with torch.autocast(vectors.device.type, enabled=False), _threads(1 if few else None):
        return statistic(vectors.to(dtype), directions.to(vectors.device, dtype), num_knots, t_max)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute with `count` threads; None: with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Quadrature(NamedTuple):
    """Constants of the quadrature at the knots t_k, k = 1..K-1 (t_0 = 0 contributes nothing)."""

    spacing: float
    middle: int  # h = K // 2, so that every knot is h + j or h - j with 0 <= j <= h
    weights: Tensor  # of the cosine and the sine part of each knot, (2 (K - 1),)
    normal: Tensor  # both parts of N(0, 1)'s characteristic function, (2 (K - 1),)
    # Maps sums of the products of waves h and j to sums of cos(t_k p), then of sin(t_k p).
    addition: Tensor  # (4 (h + 1), 2 (K - 1))
    # Maps each part's difference from `normal` to the factors of those products in d/dp.
    slopes: Tensor  # (2 (K - 1), 4 (h + 1))


@functools.cache
def _quadrature(
    num_knots: int, t_max: float, dtype: torch.dtype, device: torch.device
) -> _Quadrature:
    spacing = t_max / (num_knots - 1)
    knots = spacing * np.arange(1, num_knots)
    normal = np.exp(-(knots**2) / 2)
    weights = 2 * spacing * normal
    weights[-1] /= 2
    addition = _addition(num_knots)
    cosines, sines = addition[:, 0], addition[:, 1]
    arrays = (
        np.tile(weights, 2),
        np.concatenate([normal, np.zeros_like(normal)]),
        addition.reshape(len(addition), -1),
        2 * np.concatenate([-weights * knots * sines, weights * knots * cosines], axis=1).T,
    )
    tensors = [torch.from_numpy(array).to(device, dtype) for array in arrays]
    return _Quadrature(spacing, num_knots // 2, *tensors)


def _addition(num_knots: int) -> np.ndarray:
    """Angle addition, `(4 (h + 1), 2, K - 1)`: cos and sin of h +- j from products of h's and j's.

    A product's row is (cos or sin of h, j, cos or sin of j).
    """
    middle = num_knots // 2
    knots = np.arange(1, num_knots)
    j, columns = abs(knots - middle), knots - 1
    sign = np.where(knots < middle, -1, 1)
    table = np.zeros((2, middle + 1, 2, 2, num_knots - 1))
    table[0, j, 0, 0, columns] = 1
    table[1, j, 1, 0, columns] = -sign
    table[1, j, 0, 1, columns] = 1
    table[0, j, 1, 1, columns] = sign
    return table.reshape(-1, 2, num_knots - 1)


def _fill(waves: Tensor, projections: Tensor, spacing: float) -> None:
    """Write cos and sin of j * spacing * p into waves `(b, h + 1, 2, n)` for j >= 1.

    Only j = 1 evaluates cos and sin of the projections p; the others follow by angle addition, in a
    form with little growth of rounding errors: cos(a + b) = cos(a - b) - 2 sin(a) sin(b), and
    sin(a + b) = sin(a - b) + 2 cos(a) sin(b).
    """
    cos, sin = (part.unbind(1) for part in waves.unbind(2))
    torch.mul(projections, spacing, out=sin[1])
    torch.cos(sin[1], out=cos[1])
    sin[1].sin_()
    for j in range(2, len(cos)):
        b = j // 2
        a = j - b
        torch.addcmul(cos[a - b], sin[a], sin[b], value=-2, out=cos[j])
        torch.addcmul(sin[a - b], cos[a], sin[b], value=2, out=sin[j])


class _SlicedStatistic(torch.autograd.Function):
    """The statistic; the gradient is computed in the forward pass, from each block's waves."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, directions: Tensor, num_knots: int, t_max: float
    ) -> Tensor:
        rule = _quadrature(num_knots, t_max, vectors.dtype, vectors.device)
        projections = directions.T @ vectors.T  # (s, n)
        num_slices, num_rows = projections.shape
        count = num_rows * world_size()
        differences = vectors.new_empty(num_slices, len(rule.weights))
        limit = CPU_BLOCK if vectors.device.type == "cpu" else ACCELERATOR_BLOCK
        block_size = min(num_slices, max(1, limit // num_rows))
        buffer = vectors.new_empty(block_size, rule.middle + 1, 2, num_rows)
        buffer[:, 0, 0], buffer[:, 0, 1] = 1, 0
        blocks = (torch.split(rows, block_size) for rows in (projections, differences))
        for block, difference in zip(*blocks, strict=True):
            waves = buffer[: len(block)]
            _fill(waves, block, rule.spacing)
            middle, rows = waves[:, -1], waves.flatten(1, 2)  # (b, 2, n), (b, 2 (h + 1), n)
            sums = all_reduce_sum(middle.bmm(rows.mT)).flatten(1) @ rule.addition
            torch.sub(sums.div_(count), rule.normal, out=difference)
            if ctx.needs_input_grad[0]:
                factors = (difference @ rule.slopes).view(len(block), 2, -1)
                cos, sin = factors.bmm(rows).mul_(middle).unbind(1)
                torch.add(cos, sin, out=block)  # the gradient overwrites the projections
        ctx.save_for_backward(projections, directions)
        return (differences.square_() @ rule.weights).sum() * (count / num_slices)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        slopes, directions = ctx.saved_tensors
        scale = gradient * (world_size() / len(slopes))
        return slopes.T @ (directions * scale).T, None, None, None
