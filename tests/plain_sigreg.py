"""SIGReg as its formula reads, with every wave of every projection in memory at once."""

import torch
from torch import Tensor


def plain_sigreg(
    vectors: Tensor, directions: Tensor, num_knots: int = 17, t_max: float = 3
) -> Tensor:
    t = torch.linspace(0, t_max, num_knots, dtype=vectors.dtype)
    trapezoid = torch.full_like(t, 2 * t_max / (num_knots - 1))
    trapezoid[[0, -1]] /= 2
    normal = torch.exp(-(t**2) / 2)
    angles = (vectors @ directions).unsqueeze(-1) * t  # (n, slices, knots)
    errors = (angles.cos().mean(0) - normal) ** 2 + angles.sin().mean(0) ** 2
    return (len(vectors) * errors @ (trapezoid * normal)).mean()
