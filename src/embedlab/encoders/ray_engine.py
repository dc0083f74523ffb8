"""Encoding by workers of a Ray cluster, each of which writes into the store itself.

Plain actors with one task each, rather than Ray Data: its retries would not tell which texts a lost
worker had, and so could neither drop those that are stored nor find the one that ends a worker.
"""

import logging
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from typing import Any

import torch
from tqdm import tqdm

from embedlab.encoders.embed import Encoder, load_encoder
from embedlab.encoders.model_files import find_model
from embedlab.encoders.parameters import ExecutionParameters, ModelParameters, RayParameters
from embedlab.encoders.recipe import Recipe
from embedlab.encoders.store import NOTE, VectorCache, text_keys
from embedlab.errors import InputError

logger = logging.getLogger(__name__)

# Smaller tasks would have few full batches.
MIN_TEXTS = 128
SECONDS_UNTIL_WARNING = 60.0


def encode_on_ray(
    texts: Iterable[str],
    count: int,
    recipe: Recipe,
    cache: VectorCache,
    execution: ExecutionParameters,
) -> None:
    """Encode `count` texts into the store; only those that workers have at the time are in memory.

    Raises:
        InputError: if there is no cluster, a worker cannot load the encoder or see the store, or a
            text ends its worker each time.
    """
    with _connected(execution.ray) as ray:
        num_workers = execution.ray.num_workers or _room(ray, execution.ray)
        num_workers = min(num_workers, -(-count // MIN_TEXTS))
        logger.info(
            "Encoding %d texts with a %s encoder in %d Ray worker(s) of %g CPUs and %g GPUs, in %s",
            *(count, recipe.parameters.kind, num_workers, execution.ray.num_cpus),
            *(execution.ray.num_gpus, recipe.precision),
        )
        pool = _Pool(ray, recipe, cache, execution)
        tasks = _tasks(texts, count, num_workers, execution.ray.max_texts)
        with tqdm(total=count, desc="encode", unit="text") as bar:
            for done in pool.run(tasks, num_workers):
                bar.update(done)


@dataclass
class _Task:
    """Texts for one worker, and how many workers were lost with them."""

    texts: list[str]
    losses: int = 0


def _tasks(texts: Iterable[str], count: int, num_workers: int, max_texts: int) -> Iterator[_Task]:
    """Tasks that get smaller towards the end, so that all workers end at about the same time."""
    remaining = iter(texts)
    while True:
        size = min(max_texts, max(MIN_TEXTS, count // (2 * num_workers)))
        if not (some := list(islice(remaining, size))):
            return
        yield _Task(some)
        count -= len(some)


class _Worker:
    """An actor: one encoder, loaded once, in a process of its own."""

    def load(self, recipe: Recipe, cache: VectorCache, execution: ExecutionParameters) -> None:
        """Load the encoder, from the files of this node.

        Raises:
            InputError: if the node has other files, or does not see the store.
        """
        share = execution.ray
        torch.set_num_threads(share.num_threads or max(1, int(share.num_cpus)))
        if not cache.folder.has(NOTE):
            reason = "a worker does not see this folder; share it between the nodes, or use s3://"
            raise InputError(f"{cache.folder}: {reason}")
        device = "cuda" if share.num_gpus else "cpu"
        self.cache, self.shard_size = cache, execution.shard_size
        self.encoder: Encoder = load_encoder(
            _found_here(recipe), device, execution.tokens_per_batch
        )

    def encode(self, texts: list[str]) -> None:
        """Encode texts into the store."""
        for _ in self.cache.write(text_keys(texts), self.encoder.encode(texts), self.shard_size):
            pass


class _Pool:
    """Workers with one task each; the texts of a lost worker are given to others.

    Attributes:
        losses: number of workers that were lost.
        repeated: number of texts that were given to another worker.
    """

    def __init__(
        self, ray: Any, recipe: Recipe, cache: VectorCache, execution: ExecutionParameters
    ):
        self.ray, self.cache, self.max_losses = ray, cache, execution.ray.max_losses
        self.losses = self.repeated = self._failed_starts = 0
        share = {"num_cpus": execution.ray.num_cpus, "num_gpus": execution.ray.num_gpus}
        self._actor = ray.remote(**share, max_restarts=0)(_Worker)
        self._inputs = [ray.put(value) for value in (recipe, cache, execution)]
        self._queue: deque[_Task] = deque()
        # What each worker is doing, by the object that tells its end; None: it loads.
        self._busy: dict[Any, tuple[Any, _Task | None]] = {}

    def run(self, tasks: Iterator[_Task], num_workers: int) -> Iterator[int]:
        """Do the tasks; yield the number of texts that have got stored, again and again."""
        for _ in range(num_workers):
            self._start()
        idle: list[Any] = []
        try:
            while True:
                self._queue.extend(islice(tasks, 0 if self._queue else 1))
                if idle and self._queue:
                    self._give(idle.pop(), self._queue.popleft())
                elif self._queue or any(task for _, task in self._busy.values()):
                    yield from self._wait(idle)
                else:
                    break
        finally:
            for worker in (*idle, *(worker for worker, _ in self._busy.values())):
                self.ray.kill(worker)
        if self.losses:
            logger.warning(
                "%d worker(s) were lost; %d texts were encoded by others",
                *(self.losses, self.repeated),
            )

    def _start(self) -> None:
        worker = self._actor.remote()
        self._busy[worker.load.remote(*self._inputs)] = worker, None

    def _give(self, worker: Any, task: _Task) -> None:
        self._busy[worker.encode.remote(task.texts)] = worker, task

    def _wait(self, idle: list[Any]) -> Iterator[int]:
        """Wait until a worker has ended what it does."""
        done, _ = self.ray.wait(list(self._busy), timeout=SECONDS_UNTIL_WARNING)
        if not done and not idle and not any(task for _, task in self._busy.values()):
            logger.warning(
                "Ray has started no worker yet; free: %s", self.ray.available_resources()
            )
        for result in done:
            worker, task = self._busy.pop(result)
            if (reason := self._loss(result)) is None:
                self._failed_starts = 0
                idle.append(worker)
                yield len(task.texts) if task else 0
            else:
                self.ray.kill(worker)
                yield self._replace(task, reason)
                self._start()

    def _loss(self, result: Any) -> str | None:
        """Why a worker was lost; None if it has done what it should."""
        try:
            self.ray.get(result)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, MemoryError | torch.OutOfMemoryError):
                return _one_line(error.cause)
            if isinstance(error.cause, InputError):
                raise InputError(str(error.cause)) from error
            raise
        except self.ray.exceptions.RayError as error:
            return _one_line(error)
        return None

    def _replace(self, task: _Task | None, reason: str) -> int:
        """Queue the texts that a lost worker has not stored; the number of those that it has.

        If it has stored none of them, one may be what ended it: they are halved.

        Raises:
            InputError: if it cannot go on like this.
        """
        self.losses += 1
        logger.warning("A worker was lost (%s); another one goes on", reason)
        if task is None:
            self._failed_starts += 1
            if self._failed_starts > self.max_losses:
                raise InputError(f"Ray loses workers while they load the encoder: {reason}")
            return 0
        self.cache.refresh()
        stored = self.cache.contains(text_keys(task.texts))
        left = [text for text, is_stored in zip(task.texts, stored, strict=True) if not is_stored]
        self.repeated += len(left)
        losses = 0 if stored.any() else task.losses + 1
        if len(left) == 1 and losses >= self.max_losses:
            key = sha256(left[0].encode()).hexdigest()
            raise InputError(
                f"the text that begins {left[0][:60]!r} (SHA-256 {key}) has "
                f"ended {losses} workers ({reason}); leave it out. What is encoded is kept"
            )
        middle = len(left) if losses == 0 else (len(left) + 1) // 2
        parts = [_Task(part, losses) for part in (left[:middle], left[middle:]) if part]
        self._queue.extendleft(parts[::-1])
        return len(task.texts) - len(left)


def _found_here(recipe: Recipe) -> Recipe:
    """The recipe with the files of this node, where they may be in another folder."""
    if recipe.files is None or not isinstance(recipe.parameters, ModelParameters):
        return recipe
    found = replace(recipe, files=find_model(recipe.parameters))
    if found.fingerprint != recipe.fingerprint:
        reason = "is another model on a worker's node; put the same files on all nodes"
        raise InputError(f"encoder model {recipe.model}: {reason}")
    return found


def _room(ray: Any, share: RayParameters) -> int:
    """How many workers the cluster has room for, at least one."""
    total = ray.cluster_resources()
    rooms = [total.get("CPU", 0) / share.num_cpus]
    if share.num_gpus:
        rooms.append(total.get("GPU", 0) / share.num_gpus)
    return max(1, int(min(rooms)))


@contextmanager
def _connected(parameters: RayParameters) -> Iterator[Any]:
    """Ray, connected to the cluster for as long as this context lasts."""
    try:
        import ray
    except ImportError as error:
        extra = 'pip install -c constraints.txt -e ".[ray]"'
        raise InputError(f"execution.engine: ray needs a package: {extra}") from error
    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a run waits for no network
    try:
        ray.init(address=parameters.address, logging_level=logging.WARNING)
    except Exception as error:  # Ray raises errors of many types
        address = f"execution.ray.address {parameters.address or '(none)'}"
        raise InputError(f"{address}: {_one_line(error)}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _one_line(error: BaseException) -> str:
    """What an error says; of a dead actor, only why it died."""
    text = " ".join(str(error).split())
    return re.sub(r".*The actor (is dead|died) because ", "", text)[:160] or type(error).__name__
