"""Experiments beside each other, as rows and as a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

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
ENDS = ("mean", "low", "high")
TABLE_SETS = {"out_of_distribution": "OOD", "shuffled": "shuffled"}


def compare_experiments(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row an experiment: settings, last loss, AUROC and FPR@95 by set and method, seconds.

    Args:
        results: of finished experiments.
    """
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
    """The AUROC of each method, with its ends, in a row of `compare_experiments`."""
    return {method: cell["auroc"] for method, cell in row.get(novel_set, {}).items()}


def format_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """AUROC by set and method, in points with intervals over seeds: one row an experiment."""
    return pd.DataFrame([_table_row(row) for row in rows])


def format_latex(table: pd.DataFrame) -> str:
    """The table as LaTeX, for the package booktabs."""
    return table.to_latex(index=False, escape=True, na_rep="-")


def _table_row(row: Mapping[str, Any]) -> dict[str, str]:
    cells = {"experiment": row["experiment"]}
    for name, label in TABLE_SETS.items():
        for method, auroc in aurocs(row, name).items():
            cells[f"{label} {method}"] = _points(auroc)
    return cells


def _points(interval: Mapping[str, float | None]) -> str:
    mean, *ends = (f"{100 * value:.1f}" for value in map(interval.get, ENDS) if value is not None)
    return f"{mean} [{', '.join(ends)}]" if ends else mean
