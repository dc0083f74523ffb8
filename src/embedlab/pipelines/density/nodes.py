"""Nodes of the density pipeline."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from embedlab.density.plots import (
    plot_density_map,
    plot_quintile_accuracy,
    plot_weight_distribution,
)
from embedlab.density.preference import (
    RARE_QUINTILE,
    compare_reward_models,
    cosine_margins,
    format_accuracies,
    summarise_margins,
)
from embedlab.density.reward_model import (
    VARIANTS,
    RewardModelParameters,
    train_reward_models,
)
from embedlab.density.sampler import sample_ids
from embedlab.density.weights import (
    check_density,
    density_quintiles,
    density_weights,
    describe_density,
)
from embedlab.encoders.collection import response_ids
from embedlab.encoders.embeddings import Embeddings
from embedlab.errors import InputError
from embedlab.pipelines.density.parameters import DensityParameters, SampleParameters
from embedlab.search.approximate import approximate_neighbours
from embedlab.search.neighbours import nearest_neighbours
from embedlab.statistics.projection import principal_plane
from embedlab.text_table import Ids, as_ids, find_rows
from embedlab.training.checkpoints import CheckpointFolder

logger = logging.getLogger(__name__)

BASELINES = ("cosine", "longer")
# Maximum number of points in the map.
MAP_SIZE = 10_000


def weigh_prefixes(
    embeddings: Embeddings, parameters: DensityParameters
) -> tuple[np.ndarray, Ids, dict[str, Any]]:
    """Compute inverse-density weights (n,); return them, their n ids and a description.

    With k prefixes or fewer, all weights are 1.

    Raises:
        InputError: if there is no prefix.
    """
    if not len(embeddings.ids):
        raise InputError("prefixes: there is none to weigh; ingest preference pairs first")
    distances, recall = _neighbour_distances(embeddings.vectors, parameters)
    weights = density_weights(distances, parameters.estimator, parameters.exponent)
    description = describe_density(distances, weights) | {"uniform": recall is None}
    if recall is None:
        description["duplicates"] = None
    settings = parameters.model_dump(include={"k", "metric", "estimator", "exponent"})
    kept = ("embedding_dim", "model", "fingerprint", "id_scheme")
    description |= {"recall": recall} | settings
    description |= {key: embeddings.metadata[key] for key in kept}
    logger.info(
        "Weights of %d prefixes: %.2f to %.2f, effective sample size %.0f",
        *(description[key] for key in ("n_items", "min", "max", "effective_sample_size")),
    )
    return weights, embeddings.ids, description


def draw_sample(weights: np.ndarray, ids: Sequence[str], sample: SampleParameters) -> list[str]:
    """Draw ids of prefixes in proportion to their weights."""
    return sample_ids(ids, weights, sample.num_samples, sample.replacement, sample.seed)


def plot_density(
    weights: np.ndarray, embeddings: Embeddings, parameters: DensityParameters
) -> tuple[Figure, Figure]:
    """Plot the distribution of the weights, and a map of the prefixes coloured by weight."""
    shown = np.sort(np.random.default_rng(parameters.seed).permutation(len(weights))[:MAP_SIZE])
    points, variance = principal_plane(embeddings.vectors[shown], parameters.seed)
    plot = plot_density_map(points, weights[shown], variance)
    return plot_weight_distribution(weights), plot


def make_reward_pairs(
    preference_pairs: pd.DataFrame, weights: np.ndarray, weight_ids: Sequence[str]
) -> pd.DataFrame:
    """Tabulate pairs as response ids, with weight, quintile and the difference in length.

    Raises:
        InputError: if the prefix of a pair has no weight.
    """
    chosen, rejected = response_ids(preference_pairs)
    ids = as_ids(weight_ids)
    check_density(ids, weights)
    rows = find_rows(ids, preference_pairs["prefix_id"])
    _check_weighed(preference_pairs["prefix_id"], rows)
    return preference_pairs[["prefix_id", "src"]].assign(
        chosen_id=chosen,
        rejected_id=rejected,
        weight=weights[rows].astype(np.float64),
        quintile=density_quintiles(weights)[rows],
        longer=preference_pairs["chosen"].str.len() - preference_pairs["rejected"].str.len(),
    )


def fit_reward_models(
    pairs: pd.DataFrame,
    embeddings: Embeddings,
    checkpoints: CheckpointFolder,
    parameters: RewardModelParameters,
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]:
    """Train both reward models; return them, the test pairs with all margins, and the history.

    Raises:
        InputError: if a response has no vector, or the pairs have too few prefixes to split by.
    """
    rows = _response_rows(pairs, embeddings)
    located = pairs.assign(**rows, cosine=cosine_margins(embeddings.vectors, *rows.values()))
    model, margins, history = train_reward_models(
        located, embeddings.vectors, parameters, checkpoints
    )
    return model, margins.join(located.drop(columns=list(rows)), on="pair"), history


def evaluate_reward_models(
    tested: pd.DataFrame, parameters: DensityParameters
) -> tuple[dict[str, Any], Figure]:
    """Compare the accuracies of both models and the baselines."""
    resampling = (parameters.num_resamples, parameters.seed)
    summaries = summarise_margins(tested, [*VARIANTS, *BASELINES], *resampling)
    rare = tested[tested["quintile"] == RARE_QUINTILE]
    metrics = {
        "n_pairs": int(tested["pair"].nunique()),
        "n_prefixes": int(tested["prefix_id"].nunique()),
        "seeds": list(parameters.reward_model.seeds),
        "models": summaries,
        "density_against_uniform": {
            "all": compare_reward_models(tested, "density", "uniform", *resampling),
            "rare_quintile": compare_reward_models(rare, "density", "uniform", *resampling),
        },
    }
    _log_metrics(metrics, tested["src"].unique())
    quintiles = {model: summary["by_quintile"] for model, summary in summaries.items()}
    return metrics, plot_quintile_accuracy(quintiles)


def _neighbour_distances(
    embeddings: np.ndarray, parameters: DensityParameters
) -> tuple[np.ndarray, float | None]:
    """Distances (n, k) to the nearest neighbours, and the share of these that was found.

    With k vectors or fewer, distances (n, 1) of 0, and None.
    """
    k, metric = parameters.k, parameters.metric
    if len(embeddings) <= k:
        logger.warning(
            "%d prefixes are too few for k = %d neighbours: all weights are 1; lower density.k",
            *(len(embeddings), k),
        )
        return np.zeros((len(embeddings), 1), np.float32), None
    if len(embeddings) <= parameters.exact_up_to:
        return nearest_neighbours(embeddings, k, metric)[0], 1.0
    distances, _, recall = approximate_neighbours(
        embeddings, k, metric, parameters.target_recall, seed=parameters.seed
    )
    return distances, recall


def _log_metrics(metrics: dict[str, Any], sources: np.ndarray) -> None:
    """Log the accuracies, and the effect of density weighting on the rare quintile."""
    logger.info("Reward models, accuracy in points:\n%s", format_accuracies(metrics["models"]))
    if len(sources) == 1:
        logger.warning("All pairs are of one source, %s: by_source adds nothing", sources[0])
    rare = metrics["density_against_uniform"]["rare_quintile"]
    if rare is None:
        logger.warning(
            "No pair of the rare quintile is in a test split: take more seeds or prefixes"
        )
    else:
        logger.info(
            "Density weighting on the rare quintile: %+.1f points [%.1f, %.1f], p = %.3f, "
            "%d prefixes",
            *(np.nan if rare[end] is None else 100 * rare[end] for end in ("mean", "low", "high")),
            *(rare[key] for key in ("p_value", "n_prefixes")),
        )


def _response_rows(pairs: pd.DataFrame, embeddings: Embeddings) -> dict[str, np.ndarray]:
    """The rows of the vectors of the chosen and the rejected responses."""
    rows = {
        f"{kind}_row": find_rows(embeddings.ids, pairs[f"{kind}_id"])
        for kind in ("chosen", "rejected")
    }
    if num_absent := sum(int((row < 0).sum()) for row in rows.values()):
        raise InputError(
            f"{embeddings.name}.embeddings lack {num_absent} responses of reward_pairs; run "
            "`kedro run --pipelines=embedding_cache,density` again"
        )
    return rows


def _check_weighed(prefix_ids: pd.Series, rows: np.ndarray) -> None:
    """Raise InputError if the prefix of a pair has no weight."""
    if (rows < 0).any():
        row = int(rows.argmin())
        raise InputError(
            f"preference_pairs: row {row}: prefix_id {prefix_ids.iloc[row]} has no density weight; "
            "run `kedro run --pipelines=data_ingestion,embedding_cache,density` again"
        )
