"""Experiments with random network distillation: trained together, saved one by one."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from embedlab.errors import InputError
from embedlab.novelty.evaluation import NoveltyData, evaluate_run
from embedlab.novelty.experiment_folder import ExperimentFolder
from embedlab.novelty.measures import summarise_seeds
from embedlab.novelty.rnd import RNDModelParameters
from embedlab.novelty.training import ExperimentParameters, Run, TrainedRun, stacks, train_stack
from embedlab.training.checkpoints import run_fingerprint

logger = logging.getLogger(__name__)


def run_experiments(
    experiments: Mapping[str, ExperimentParameters], data: NoveltyData, folder: ExperimentFolder
) -> dict[str, str | None]:
    """Run what is not finished; the failure of one experiment does not stop the others.

    Args:
        experiments: by name.
        data: what they are run on.
        folder: where each experiment is saved as soon as it is finished.

    Returns:
        By name, None if the experiment is finished, else why it is not.
    """
    outcomes: dict[str, str | None] = dict.fromkeys(experiments)
    runs: list[Run] = []
    for name, parameters in experiments.items():
        with _noting_failure([name], outcomes):
            if folder.is_finished(name, identity(parameters, data)):
                logger.info("%s: finished before, skipped", name)
            else:
                runs += plan_runs(name, parameters, data.rows["train"])
    trained: dict[str, list[TrainedRun]] = defaultdict(list)
    for stack in stacks(runs, data.embeddings.shape[1]):
        together: list[TrainedRun] = []
        with _noting_failure([run.experiment for run in stack], outcomes):
            together = train_stack(data.embeddings, stack)
        for run in together:
            name = run.run.experiment
            trained[name].append(run)
            if len(trained[name]) == experiments[name].num_seeds:
                with _noting_failure([name], outcomes):
                    _finish(name, trained.pop(name), data, folder)
    return outcomes


@contextmanager
def _noting_failure(names: Sequence[str], outcomes: dict[str, str | None]) -> Iterator[None]:
    """Note an input error, or a lack of memory, as the outcome of these experiments."""
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
    drawn = (np.random.default_rng(seed).permutation(pool)[:size] for seed in parameters.seeds)
    return [
        Run(name, seed, parameters, np.sort(rows))
        for seed, rows in zip(parameters.seeds, drawn, strict=True)
    ]


def identity(parameters: ExperimentParameters, data: NoveltyData) -> dict[str, str]:
    """What decides an experiment's result."""
    configuration = parameters.model_dump(mode="json") | {"n_neighbours": data.n_neighbours}
    return {
        "configuration_hash": run_fingerprint(configuration),
        "input_fingerprint": run_fingerprint(dict(data.description), data.sets.astype("S")),
    }


def _finish(
    name: str, trained: Sequence[TrainedRun], data: NoveltyData, folder: ExperimentFolder
) -> None:
    """Evaluate an experiment's runs and save them.

    Raises:
        InputError: if a run has diverged.
    """
    for run in trained:
        _check_finite(run)
    reports, drawn = zip(*(evaluate_run(run, data) for run in trained), strict=True)
    parameters = trained[0].run.parameters
    result = {
        "name": name,
        **identity(parameters, data),
        "configuration": parameters.model_dump(mode="json"),
        "embeddings": dict(data.description),
        "embedding_dim": data.embeddings.shape[1],
        "n_pairs": {own: len(rows) for own, rows in data.rows_of(trained[0]).items()},
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
    """Raise InputError if a run has diverged, be it in its last step."""
    finite = np.isfinite(trained.losses)
    statistics = trained.model.normalise.mean, trained.model.normalise.deviation
    if finite.all() and all(value.isfinite().all() for value in statistics):
        return
    epoch = len(finite) if finite.all() else int(finite.argmin()) + 1
    raise InputError(
        f"the loss is not finite in epoch {epoch} of seed {trained.run.seed}; lower learning_rate"
    )
