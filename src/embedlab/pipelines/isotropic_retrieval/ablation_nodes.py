"""The node of the isotropic_retrieval pipeline that compares variants of the training."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from embedlab.encoders.embeddings import Embeddings
from embedlab.isotropic.ablations import (
    BASE,
    Ablation,
    SearchSet,
    ablation_table,
    summarise_ablation,
)
from embedlab.isotropic.fingerprints import fingerprints_of_vectors, training_checkpoint
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.plots import plot_frontier
from embedlab.isotropic.rows import triple_rows, validation_rows
from embedlab.isotropic.training import MEASURE
from embedlab.pipelines.isotropic_retrieval.parameters import IsotropicRetrievalParameters
from embedlab.sources.retrieval_set import RetrievalSet
from embedlab.training.checkpoints import Checkpoint, CheckpointFolder

logger = logging.getLogger(__name__)

AblationReport = tuple[list[dict[str, Any]], pd.DataFrame, str, Figure]
# Inputs of each retrieval set.
SET_INPUTS = 5


def ablation_runner(names: Sequence[str]) -> Callable[..., AblationReport]:
    """The node function that trains all variants and judges them on the sets of these names."""

    def compare_ablations(
        triples: pd.DataFrame,
        validation: pd.DataFrame,
        query_embeddings: np.ndarray,
        query_ids: list[str],
        query_metadata: dict[str, Any],
        document_embeddings: np.ndarray,
        document_ids: list[str],
        document_metadata: dict[str, Any],
        checkpoints: CheckpointFolder,
        parameters: IsotropicRetrievalParameters,
        *set_inputs: Any,
    ) -> AblationReport:
        data = IsotropicData(
            query_embeddings,
            document_embeddings,
            triple_rows(triples, query_ids, document_ids),
            validation_rows(validation, query_ids, document_ids, "retrieval"),
        )
        identity = fingerprints_of_vectors(
            Embeddings(query_embeddings, query_ids, query_metadata),
            Embeddings(document_embeddings, document_ids, document_metadata),
        )

        def checkpoint_of(name: str, own: IsotropicTrainingParameters) -> Checkpoint:
            return training_checkpoint(checkpoints, f"ablation-{name}", identity, own, data)

        ablations = parameters.ablations
        sets = [
            _search_set(name, *set_inputs[place * SET_INPUTS : (place + 1) * SET_INPUTS])
            for place, name in enumerate(names)
        ]
        judged = Ablation(data, sets, ablations.max_vectors).evaluate(
            ablations.chosen(), ablations.seeds, checkpoint_of
        )
        return _report(summarise_ablation(*judged, ablations.num_resamples, 0))

    return compare_ablations


def _search_set(
    name: str,
    retrieval_set: RetrievalSet,
    queries: np.ndarray,
    query_ids: list[str],
    corpus: np.ndarray,
    corpus_ids: list[str],
) -> SearchSet:
    embedded = Embeddings(queries, query_ids, {}), Embeddings(corpus, corpus_ids, {})
    return SearchSet(name, *embedded, retrieval_set.qrels)


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
    base = next(point for point in points if point["name"] == BASE)
    others = [point for point in points if point is not base]
    label = f"mean {MEASURE} (points) over {', '.join(rows[0]['sets'])}"
    latex = table.to_latex(index=False, float_format="%.3f", escape=True)
    return rows, table, latex, plot_frontier(others, base, "IsoScore", label)
