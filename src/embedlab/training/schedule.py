"""How learning rates change over the steps."""

import math
from collections.abc import Callable
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def learning_rate_factor(
    schedule: Schedule, warmup_steps: int, total_steps: int
) -> Callable[[int], float]:
    """The factor of the learning rate at each step, from 0.

    It grows evenly to 1 over the warm-up; then it stays there, falls evenly to 0 at the last step,
    or falls as half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5, no restart).
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        if schedule == "linear":
            return 1 - done
        return (1 + math.cos(math.pi * done)) / 2 if schedule == "cosine" else 1.0

    return factor
