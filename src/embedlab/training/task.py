"""What the training loop trains, and what it reports."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

History = list[dict[str, float]]
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Task:
    """What is trained, and by what.

    Attributes:
        name: for the progress bar and messages.
        model: what is trained, in place.
        losses: the mean losses, of which `loss` is minimised, from the model, the items at these
            positions, int64 `(b,)`, and a seed of the batch. With several processes the items are
            this process's share, the seed is the same for all, the model is called once, and the
            mean over processes is what counts.
        n_items: number of training items.
        validate: the score that decides when to stop, called with the model in `eval` mode.
        measure: the score's name.
        higher_is_better: whether the score is to grow.
        scores_start: whether the model before the first step may be the best.
        target: the score at which training stops; None for none.
    """

    name: str
    model: nn.Module
    losses: Callable[[nn.Module, Tensor, int], Losses]
    n_items: int
    validate: Callable[[], float]
    measure: str = "validation_loss"
    higher_is_better: bool = False
    scores_start: bool = False
    target: float | None = None

    def best(self, history: History) -> int:
        """The position of the first row of the best score."""
        sign = -1 if self.higher_is_better else 1
        return min(range(len(history)), key=lambda row: sign * history[row][self.measure])

    def is_reached(self, history: History) -> bool:
        """Whether the last score is as good as the target."""
        score = history[-1][self.measure]
        if self.target is None:
            return False
        return score >= self.target if self.higher_is_better else score <= self.target
