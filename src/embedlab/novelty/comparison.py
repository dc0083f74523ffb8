"""Experiments compared: as rows of a report, and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from embedlab.statistics.intervals import Interval

SETTINGS = (
    "encoder_name",
    "concat_problem_answer",
    "normalize_embeddings",
    "target_layers",
    "predictor_layers",
    "num_train_samples",
    "num_epochs",
    "batch_size",
    "learning_rate",
    "num_seeds",
)

# The sets that the table shows, and their headings.
TABLE_SETS = {"out_of_distribution": "OOD", "shuffled": "shuffled"}


def compare_experiments(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per result: settings, last loss, seconds, AUROC and FPR@95 by set and method."""
    return [
        {
            "experiment": result["name"],
            **{name: result["configuration"][name] for name in SETTINGS},
            "embedding_dim": result["embedding_dim"],
            "last_loss": float(np.mean([run["loss"][-1] for run in result["runs"]])),
            "seconds": sum(run["seconds"]["train"] for run in result["runs"]),
            **result["summary"],
        }
        for result in results
    ]


def aurocs(row: Mapping[str, Any], novel_set: str) -> dict[str, dict[str, float | None]]:
    """AUROC of each method with its interval, from a row of `compare_experiments`."""
    return {method: cell["auroc"] for method, cell in row.get(novel_set, {}).items()}


def format_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """AUROC by set and method, in points with intervals over seeds: one row per experiment."""
    return pd.DataFrame(
        {"experiment": row["experiment"]}
        | {
            f"{heading} {method}": _points(Interval.of(auroc))
            for name, heading in TABLE_SETS.items()
            for method, auroc in aurocs(row, name).items()
        }
        for row in rows
    )


def format_latex(table: pd.DataFrame) -> str:
    """The table as LaTeX, for the package booktabs."""
    return table.to_latex(index=False, escape=True, na_rep="-")


def _points(auroc: Interval) -> str:
    return f"{100 * auroc.mean:.1f}" if auroc.low is None else auroc.in_points()
