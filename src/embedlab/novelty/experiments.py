"""Experiments with random network distillation: trained together, saved one by one."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from embedlab.digests import value_digest
from embedlab.errors import InputError
from embedlab.novelty.evaluation import NoveltyData, evaluate_run
from embedlab.novelty.experiment_folder import ExperimentFolder
from embedlab.novelty.measures import summarise_seeds
from embedlab.novelty.rnd import RNDModelParameters
from embedlab.novelty.training import ExperimentParameters, Run, TrainedRun, group_runs, train_stack

logger = logging.getLogger(__name__)


def run_experiments(
    experiments: Mapping[str, ExperimentParameters], data: NoveltyData, folder: ExperimentFolder
) -> dict[str, str | None]:
    """Run the experiments that are not finished, and save each in `folder` as soon as it is.

    Returns:
        By name, None if the experiment is finished, else the reason of its failure, which does not
        stop the others.
    """
    outcomes: dict[str, str | None] = dict.fromkeys(experiments)
    runs: list[Run] = []
    for name, parameters in experiments.items():
        with _noting_failure([name], outcomes):
            if folder.is_finished(name, identity(parameters, data, folder)):
                logger.info("%s: finished before, skipped", name)
            else:
                runs += plan_runs(name, parameters, data.rows["train"])
    finished: dict[str, list[TrainedRun]] = defaultdict(list)
    for stack in group_runs(runs, data.embeddings.shape[1]):
        trained: list[TrainedRun] = []
        with _noting_failure([run.experiment for run in stack], outcomes):
            trained = train_stack(data.embeddings, stack)
        for run in trained:
            name = run.run.experiment
            finished[name].append(run)
            if len(finished[name]) == experiments[name].num_seeds:
                with _noting_failure([name], outcomes):
                    _save(name, finished.pop(name), data, folder)
    return outcomes


@contextmanager
def _noting_failure(names: Sequence[str], outcomes: dict[str, str | None]) -> Iterator[None]:
    """Record an input error, or a lack of memory, as the outcome of these experiments."""
    try:
        yield
    except (InputError, RuntimeError, MemoryError) as error:
        reason = str(error).splitlines()[0]
        for name in dict.fromkeys(names):
            logger.error("%s: %s", name, reason)
            outcomes[name] = reason


def plan_runs(name: str, parameters: ExperimentParameters, pool: np.ndarray) -> list[Run]:
    """The runs of an experiment: each seed draws its training rows from `pool` (n,).

    Raises:
        InputError: if there are not enough rows.
    """
    size = parameters.num_train_samples
    if len(pool) < size:
        raise InputError(
            f"num_train_samples is {size}, but there are only {len(pool)} pairs to train on: lower "
            "it, or ingest more (data_ingestion.novelty_pairs.max_pairs bounds each set)"
        )
    return [
        Run(name, seed, parameters, np.sort(np.random.default_rng(seed).permutation(pool)[:size]))
        for seed in parameters.seeds
    ]


def identity(
    parameters: ExperimentParameters, data: NoveltyData, folder: ExperimentFolder
) -> dict[str, str]:
    """Digests of what an experiment's result depends on."""
    configuration = parameters.model_dump(mode="json") | {"n_neighbours": data.num_neighbours}
    return {"configuration_hash": value_digest(configuration), "made_from": folder.made_from}


def _save(
    name: str, trained: Sequence[TrainedRun], data: NoveltyData, folder: ExperimentFolder
) -> None:
    """Evaluate an experiment's runs and save them; raise InputError if one has diverged."""
    for run in trained:
        _check_finite(run)
    reports, drawn = zip(*(evaluate_run(run, data) for run in trained), strict=True)
    parameters = trained[0].run.parameters
    result = {
        "name": name,
        **identity(parameters, data, folder),
        "configuration": parameters.model_dump(mode="json"),
        "embeddings": dict(data.description),
        "embedding_dim": data.embeddings.shape[1],
        "n_pairs": {of_set: len(rows) for of_set, rows in data.rows_of(trained[0]).items()},
        "summary": summarise_seeds(reports),
        "runs": reports,
    }
    model = {
        "model": parameters.model_dump(mode="json", include=set(RNDModelParameters.model_fields)),
        "embedding_dim": data.embeddings.shape[1],
        "weights": {str(run.run.seed): run.model.cpu().state_dict() for run in trained},
        "figures": drawn[0],
    }
    folder.save(name, result, model)


def _check_finite(trained: TrainedRun) -> None:
    """Raise InputError if a run has diverged, perhaps in its last step, after its last loss."""
    statistics = trained.model.normalise
    last = [statistics.mean.item(), statistics.deviation.item()]
    finite = np.isfinite([*trained.losses, *last])
    if not finite.all():
        epoch = min(int(finite.argmin()) + 1, len(trained.losses))
        raise InputError(
            f"the loss is not finite in epoch {epoch} of seed {trained.run.seed}; "
            "lower learning_rate"
        )
