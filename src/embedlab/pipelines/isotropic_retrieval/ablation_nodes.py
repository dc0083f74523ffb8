"""The node of the isotropic_retrieval pipeline that compares variants of the training."""

import logging
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from embedlab.encoders.embeddings import Embeddings
from embedlab.isotropic.ablations import (
    Ablation,
    SearchSet,
    ablation_table,
    summarise_ablation,
)
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.plots import plot_frontier
from embedlab.isotropic.training import MEASURE
from embedlab.pipelines.isotropic_retrieval.nodes import data_of_vectors
from embedlab.pipelines.isotropic_retrieval.parameters import AblationParameters
from embedlab.training.checkpoints import Checkpoint, CheckpointFolder

logger = logging.getLogger(__name__)

AblationReport = tuple[list[dict[str, Any]], pd.DataFrame, str, Figure]


def compare_ablations(
    triples: pd.DataFrame,
    validation: pd.DataFrame,
    query_embeddings: Embeddings,
    document_embeddings: Embeddings,
    checkpoints: CheckpointFolder,
    parameters: AblationParameters,
    **set_inputs: Any,
) -> AblationReport:
    """Train all variants, and evaluate them on the retrieval sets.

    Args:
        triples: training pairs with negatives.
        validation: validation pairs.
        query_embeddings: the base's vectors of the pairs' queries.
        document_embeddings: the base's vectors of the pairs' documents.
        checkpoints: the folder of the trainings' checkpoints.
        parameters: define the variants.
        **set_inputs: `{set}.queries`, `{set}.corpus`: the base's vectors; `{set}.qrels`;
            `{set}.identical`, the ids of `identical_ids`.
    """
    embeddings = query_embeddings, document_embeddings
    data = data_of_vectors(triples, validation, *embeddings, "retrieval")

    def checkpoint_of(name: str, variant: IsotropicTrainingParameters) -> Checkpoint:
        return checkpoints.checkpoint(f"ablation-{name}", variant.model_dump(mode="json"))

    names = dict.fromkeys(key.partition(".")[0] for key in set_inputs)
    parts = ("queries", "corpus", "qrels", "identical")
    sets = [SearchSet(name, *(set_inputs[f"{name}.{part}"] for part in parts)) for name in names]
    evaluated = Ablation(data, sets, parameters.max_vectors).evaluate(
        parameters.chosen(), parameters.seeds, checkpoint_of
    )
    return _report(summarise_ablation(*evaluated, parameters.num_resamples, 0))


def _report(rows: list[dict[str, Any]]) -> AblationReport:
    table = ablation_table(rows)
    logger.info("Variants, nDCG@10 in points:\n%s", table.to_string(index=False))
    points = [
        {
            "name": row["variant"],
            "isotropy": row["isotropy"]["isoscore"],
            "ndcg": 100 * row["average"],
        }
        for row in rows
    ]
    base, *others = points  # the base is the first row
    label = f"mean {MEASURE} (points) over {', '.join(rows[0]['sets'])}"
    latex = table.to_latex(index=False, float_format="%.3f", escape=True)
    return rows, table, latex, plot_frontier(others, base, "IsoScore", label)
