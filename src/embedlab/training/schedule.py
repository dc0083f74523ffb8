"""How learning rates change over the steps."""

import math
from collections.abc import Callable
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def learning_rate_factor(
    schedule: Schedule, warmup_steps: int, total_steps: int
) -> Callable[[int], float]:
    """The factor of the learning rate by step, counted from 0.

    It grows linearly to 1 during the warm-up. Then it stays at 1, or decreases to 0 at the last
    step, either linearly or as half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983,
    equation 5, without restarts).

    Example:
        >>> factor = learning_rate_factor("linear", warmup_steps=1, total_steps=5)
        >>> [factor(step) for step in range(6)]
        [0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        if schedule == "linear":
            return 1 - done
        return (1 + math.cos(math.pi * done)) / 2 if schedule == "cosine" else 1.0

    return factor
