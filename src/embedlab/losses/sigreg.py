"""SIGReg: how far random projections of a batch are from the standard normal distribution."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from embedlab.distributed.collectives import all_reduce_sum, world_size

# Projections at a time. On a processor, their waves stay in its cache.
CPU_BLOCK, ACCELERATOR_BLOCK = 2**15, 2**22
# So few projections are quickest on one thread: many short steps each wait for the slowest thread.
ONE_THREAD = 2**18


def random_directions(dimension: int, n_slices: int, seed: int) -> Tensor:
    """Directions drawn uniformly from the unit sphere, the same on every process.

    Returns:
        Unit columns, float32 `(dimension, n_slices)`, on the CPU.
    """
    columns = np.random.default_rng(seed).standard_normal((dimension, n_slices))
    columns /= np.linalg.norm(columns, axis=0)
    return torch.from_numpy(columns.astype(np.float32))


def sigreg(vectors: Tensor, directions: Tensor, n_knots: int = 17, t_max: float = 3.0) -> Tensor:
    """The sliced Epps-Pulley statistic: the distance to N(0, I) of characteristic functions.

    For each direction a, with the projections p = a . x of the N vectors of all processes, it is

        N * sum_k w_k * ((mean cos(t_k p) - exp(-t_k^2 / 2))^2 + (mean sin(t_k p))^2)

    and the value is the mean over directions. The knots t_k are equally spaced on [0, t_max]; w_k
    is exp(-t_k^2 / 2) times the trapezoid rule's weight, doubled for the knots below zero.
    Computed in float32 at least, also under autocast; directions get no gradient.

    Args:
        vectors: a batch, as large on every process, to be distributed as N(0, I).
        directions: unit columns, the same on every process.
        n_knots: at least 2.
        t_max: the last knot.

    Shape:
        - vectors: `(n, d)`
        - directions: `(d, s)`
        - output: `()`

    References:
        Balestriero & LeCun 2025 (LeJEPA), arXiv 2511.08544; the statistic: Epps & Pulley 1983, A
        Test for Normality Based on the Empirical Characteristic Function, Biometrika 70.
    """
    dtype = torch.promote_types(vectors.dtype, torch.float32)
    few = len(vectors) * directions.shape[1] <= ONE_THREAD
    with torch.autocast(vectors.device.type, enabled=False), _threads(1 if few else None):
        return _SlicedStatistic.apply(
            vectors.to(dtype), directions.to(vectors.device, dtype), n_knots, t_max
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let so many threads compute; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Quadrature(NamedTuple):
    """What the statistic takes from its knots k > 0, K - 1 of them, the zeroth adding nothing.

    Attributes:
        spacing: the distance of two knots.
        middle: h = K // 2, so that every knot is h + j or h - j with 0 <= j <= h.
        weights: of the cosine and the sine part of each knot, `(2 (K - 1),)`.
        normal: the parts of the normal distribution's characteristic function, `(2 (K - 1),)`.
        addition: sums of cos(t_k p), then of sin(t_k p), from sums of the products of waves h and
            j, `(4 (h + 1), 2 (K - 1))`.
        slopes: the factors of those products in the gradient by p, for each part's difference
            from the normal distribution, `(2 (K - 1), 4 (h + 1))`.
    """

    spacing: float
    middle: int
    weights: Tensor
    normal: Tensor
    addition: Tensor
    slopes: Tensor


@functools.cache
def _quadrature(
    n_knots: int, t_max: float, dtype: torch.dtype, device: torch.device
) -> _Quadrature:
    spacing, middle = t_max / (n_knots - 1), n_knots // 2
    knots = spacing * np.arange(1, n_knots)
    normal = np.exp(-(knots**2) / 2)
    weights = 2 * spacing * normal
    weights[-1] /= 2
    addition = _addition(n_knots)
    cosines, sines = addition[:, 0], addition[:, 1]
    slopes = 2 * np.concatenate([-weights * knots * sines, weights * knots * cosines], axis=1).T
    arrays = (
        np.tile(weights, 2),
        np.concatenate([normal, np.zeros_like(normal)]),
        addition.reshape(len(addition), -1),
        slopes,
    )
    tensors = [torch.from_numpy(array).to(device, dtype) for array in arrays]
    return _Quadrature(spacing, middle, *tensors)


def _addition(n_knots: int) -> np.ndarray:
    """Angle addition, `(4 (h + 1), 2, K - 1)`: cos and sin of h +- j from products of h's and j's.

    A product's row is (cos or sin of h, j, cos or sin of j).
    """
    middle = n_knots // 2
    knots = np.arange(1, n_knots)
    j, columns = abs(knots - middle), knots - 1
    side = np.where(knots < middle, -1, 1)
    table = np.zeros((2, middle + 1, 2, 2, n_knots - 1))
    table[0, j, 0, 0, columns] = 1
    table[1, j, 1, 0, columns] = -side
    table[1, j, 0, 1, columns] = 1
    table[0, j, 1, 1, columns] = side
    return table.reshape(-1, 2, n_knots - 1)


def _block_size(projections: Tensor) -> int:
    """How many slices of `(s, n)` are worked on at a time."""
    n_slices, n_rows = projections.shape
    limit = CPU_BLOCK if projections.device.type == "cpu" else ACCELERATOR_BLOCK
    return min(n_slices, max(1, limit // n_rows))


def _fill(waves: Tensor, projections: Tensor, spacing: float) -> None:
    """Write cos and sin of j * spacing * p into waves `(b, h + 1, 2, n)`, from j = 1 on.

    One cosine and sine of each projection p; the others come from angle addition, in a form whose
    rounding errors grow little: cos(a + b) = cos(a - b) - 2 sin(a) sin(b), and
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
    """The statistic, with a gradient that is computed while a block's waves are at hand."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, directions: Tensor, n_knots: int, t_max: float
    ) -> Tensor:
        rule = _quadrature(n_knots, t_max, vectors.dtype, vectors.device)
        projections = directions.T @ vectors.T  # (s, n)
        n_slices, n_rows = projections.shape
        count = n_rows * world_size()
        differences = vectors.new_empty(n_slices, len(rule.weights))
        block_size = _block_size(projections)
        waves = vectors.new_empty(block_size, rule.middle + 1, 2, n_rows)
        waves[:, 0, 0], waves[:, 0, 1] = 1, 0
        blocks = projections.split(block_size), differences.split(block_size)
        for block, difference in zip(*blocks, strict=True):
            _fill(own := waves[: len(block)], block, rule.spacing)
            middle, rows = own[:, -1], own.flatten(1, 2)  # (b, 2, n), (b, 2 (h + 1), n)
            sums = all_reduce_sum(middle.bmm(rows.mT)).flatten(1) @ rule.addition
            torch.sub(sums.div_(count), rule.normal, out=difference)
            if ctx.needs_input_grad[0]:
                factors = (difference @ rule.slopes).view(len(block), 2, -1)
                cos, sin = factors.bmm(rows).mul_(middle).unbind(1)
                torch.add(cos, sin, out=block)  # the gradient takes the projections' place
        ctx.save_for_backward(projections, directions)
        return (differences.square_() @ rule.weights).sum() * (count / n_slices)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        slopes, directions = ctx.saved_tensors
        scale = gradient * (world_size() / len(slopes))
        return slopes.T @ (directions * scale).T, None, None, None
