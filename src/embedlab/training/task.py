"""What the training loop trains."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Task:
    """A model, its training loss and its validation score.

    Attributes:
        name: for the progress bar and error messages.
        model: trained in place.
        losses: maps the model, indices of training items and the batch's seed to mean losses over
            these items, of which `loss` is minimised. Among several processes each gets its share
            of the indices and the same seed; it has to call the model exactly once, and what counts
            is the mean over processes.
        validate: computes the validation score; the model is in `eval` mode.
        scores_start: whether to validate before the first step, so that the initial weights can be
            the best ones.
        target: training stops at this score; None for no target.

    Shape:
        - indices given to `losses`: int64 `(b,)` on the CPU
        - each loss: `()`
    """

    name: str
    model: nn.Module
    losses: Callable[[nn.Module, Tensor, int], Losses]
    num_items: int
    validate: Callable[[], float]
    measure: str = "validation_loss"
    higher_is_better: bool = False
    scores_start: bool = False
    target: float | None = None

    def is_reached(self, score: float) -> bool:
        """Whether a score is at least as good as the target."""
        if self.target is None:
            return False
        return score >= self.target if self.higher_is_better else score <= self.target
