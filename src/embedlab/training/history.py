"""The validations of one training."""

from dataclasses import dataclass, field


@dataclass
class History:
    """One row per validation, in order.

    Attributes:
        measure: name of the validation score.
        rows: `epoch`, `step`, `loss` (the mean training loss since the previous validation; absent
            before the first step), the score by its name, and `seconds` of training.

    Example:
        >>> history = History("accuracy", higher_is_better=True)
        >>> for step, accuracy in enumerate([0.5, 0.75, 0.75]):
        ...     history.rows.append({"step": step, "accuracy": accuracy, "seconds": 2.0})
        >>> history.best["step"], history.last["step"], history.num_since_best, history.seconds
        (1, 2, 1, 6.0)
    """

    measure: str
    higher_is_better: bool = False
    rows: list[dict[str, float]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, float]:
        """The row of the last validation."""
        return self.rows[-1]

    @property
    def best(self) -> dict[str, float]:
        """The first row with the best score."""
        choose = max if self.higher_is_better else min
        return choose(self.rows, key=lambda row: row[self.measure])

    @property
    def num_since_best(self) -> int:
        """Number of validations after the best one."""
        return len(self.rows) - 1 - self.rows.index(self.best)

    @property
    def seconds(self) -> float:
        """Duration of training, without validations."""
        return sum(row["seconds"] for row in self.rows)
