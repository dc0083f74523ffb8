"""The training loop: seeded order, validation, early stopping, checkpoints, exact resume."""

import copy
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from embedlab.distributed.launch import run_in_processes
from embedlab.distributed.processes import from_main_process, mean_over_processes, rank, world_size
from embedlab.errors import InputError
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.history import History
from embedlab.training.parameters import LoopParameters, learning_rate_factor
from embedlab.training.step_log import StepLog
from embedlab.training.task import Losses, Task

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")

# Parameters with the learning rate `lr` of each group, as optimizers take them.
ParameterGroups = list[dict[str, Any]]
# Attributes of a run that have a `state_dict`.
STATEFUL = ("optimizer", "scheduler", "scaler", "model")


def train(
    task: Task,
    groups: ParameterGroups,
    parameters: LoopParameters,
    seed: int,
    checkpoint: Checkpoint,
    log: StepLog | None = None,
) -> History:
    """Train until the target, the patience or the last epoch ends it, and load the best weights.

    The order of an epoch depends on (seed, epoch) only, the dropout of a step on (seed, epoch,
    step) only: a run resumed from its checkpoint computes what an uninterrupted run computes. A
    finished run is only loaded. The checkpoint stores the state at every validation, and in between
    at `checkpoint_interval`; the log receives the losses of the steps and the scores.

    Raises:
        InputError: if a loss is not finite, if a batch has fewer items than there are processes, or
            if the log cannot be opened.
    """
    run = _Run(task, groups, parameters, seed, checkpoint, log)
    run.resume()
    if log and not run.is_finished():
        from_main_process(log.open)  # fails before the first step
    with (
        torch.random.fork_rng(range(torch.cuda.device_count())),
        tqdm(
            total=run.total_steps, initial=run.step, desc=task.name, unit="step", disable=rank() > 0
        ) as bar,
    ):
        while not run.is_finished():
            run.advance()
            bar.update(run.step - bar.n)
            bar.set_postfix(run.progress, refresh=False)
        bar.total = run.step  # early stopping completes the bar
    if log:
        log.close()
    task.model.load_state_dict(run.best)
    task.model.eval()
    return run.history


def train_on_devices(train: Callable[[], ResultT], devices: int = 1) -> ResultT:
    """Train in as many processes as devices, and return the result.

    `train` is a picklable call of a training that keeps a checkpoint, such as a `partial`. After
    the processes, this process calls it, too, which loads the finished training.
    """
    if devices > 1:
        logger.info("Training in %d processes", devices)
        run_in_processes(train, devices)
    return train()


@dataclass
class _Run:
    """The state of a run and the steps that change it; fields as `train` has arguments."""

    task: Task
    groups: ParameterGroups
    parameters: LoopParameters
    seed: int
    checkpoint: Checkpoint
    log: StepLog | None

    def __post_init__(self) -> None:
        task, parameters = self.task, self.parameters
        self.step = 0
        self.history = History(task.measure, task.higher_is_better)
        self.best: dict[str, Tensor] = {}
        self.model = task.model
        self.device = next(self.model.parameters()).device
        if min(task.num_items, parameters.batch_size) < world_size():
            raise InputError(
                f"{task.name}: {world_size()} processes for {task.num_items} items in batches of "
                f"{parameters.batch_size}; use fewer devices"
            )
        self.epoch, self.batches = 0, self._batches(0)
        self.steps_per_epoch = -(-len(self.batches) // parameters.accumulation_steps)
        self.total_steps = parameters.max_epochs * self.steps_per_epoch
        self.optimizer = torch.optim.AdamW(self.groups, weight_decay=parameters.weight_decay)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            learning_rate_factor(parameters.schedule, parameters.warmup_steps, self.total_steps),
        )
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=parameters.precision == "float16"
        )
        self.wrapped = _wrap(self.model, parameters.compile)
        # Since the last validation: sum of the items' losses, number of items, seconds.
        self.running = torch.zeros(3, dtype=torch.float64, device=self.device)

    @property
    def progress(self) -> dict[str, float]:
        """Loss and score of the last validation, for the progress bar."""
        row = self.history.last if self.history.rows else {}
        return {key: row[key] for key in ("loss", self.task.measure) if key in row}

    def is_finished(self) -> bool:
        """Whether the last step is validated, and ends training."""
        if not self.history.rows or self.history.last["step"] != self.step:
            return False
        patience = self.parameters.patience
        return (
            self.step >= self.total_steps
            or (patience is not None and self.history.num_since_best >= patience)
            or self.task.is_reached(self.history.last[self.task.measure])
        )

    def advance(self) -> None:
        """Take one step; validate or save when due."""
        if not self.history.rows and self.step == 0 and self.task.scores_start:
            self._validate()
            return
        start = time.perf_counter()
        rates = self.scheduler.get_last_lr()  # of the next step
        losses = self._take_step()
        if self.log and self.step % self.parameters.log_interval == 0:
            self._log(self.log, losses, rates)
        self.running[2] += time.perf_counter() - start
        interval = self.parameters.checkpoint_interval
        if self._is_due(self.parameters.validation_interval or self.steps_per_epoch):
            self._validate()
        elif interval and self._is_due(interval):
            self._save()

    def resume(self) -> None:
        """Load the state of the checkpoint, if it has one of this run."""
        state = self.checkpoint.load()
        if state is not None:
            self.step, self.history.rows = state["step"], state["history"]
            self.best = state["best"]
            self.running.copy_(state["running"])
            for name in STATEFUL:
                getattr(self, name).load_state_dict(state[name])
        if self.log and rank() == 0:
            self.log.keep_until(-1 if state is None else self.step)
        if world_size() > 1:
            torch.distributed.barrier()  # rank 0 saves only after all ranks have loaded

    def _is_due(self, interval: int) -> bool:
        return self.step % interval == 0 or self.step == self.total_steps

    def _batches(self, epoch: int) -> list[Tensor]:
        """The epoch's batches of item indices, each divisible by the number of processes."""
        generator = torch.Generator().manual_seed(_seed(self.seed, epoch))
        order = torch.randperm(self.task.num_items, generator=generator)
        processes = world_size()
        batches = list(order.split(self.parameters.batch_size))
        if len(batches[-1]) < processes:  # filled up with items of the batch before
            batches[-1] = order[-processes:]
        return [b[: len(b) // processes * processes] for b in batches]

    def _take_step(self) -> Losses:
        """Take one step of the optimizer; return the losses, averaged over its batches."""
        epoch, step = divmod(self.step, self.steps_per_epoch)
        if epoch != self.epoch:
            self.epoch, self.batches = epoch, self._batches(epoch)
        torch.manual_seed(_seed(self.seed, epoch, step, 0, rank()))
        size = self.parameters.accumulation_steps
        batches = self.batches[step * size : (step + 1) * size]
        self.wrapped.train()
        totals: Losses = {}
        for number, batch in enumerate(batches, start=1):
            seed = _seed(self.seed, epoch, step, number)
            losses = self._accumulate(batch, seed, len(batches), is_last=number == len(batches))
            self.running[0] += losses["loss"] * len(batch)
            self.running[1] += len(batch)
            for name, loss in losses.items():
                totals[name] = totals.get(name, 0) + loss / len(batches)
        self.scaler.unscale_(self.optimizer)
        if self.parameters.max_gradient_norm is not None:
            totals["gradient_norm"] = nn.utils.clip_grad_norm_(
                self.model.parameters(), self.parameters.max_gradient_norm
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        self.optimizer.zero_grad()
        self.step += 1
        return totals

    def _accumulate(self, batch: Tensor, seed: int, num_batches: int, is_last: bool) -> Losses:
        """Add one batch's gradients; processes exchange them only with the step's last batch."""
        skips_exchange = isinstance(self.wrapped, DistributedDataParallel) and not is_last
        autocast = torch.autocast(
            self.device.type,
            getattr(torch, self.parameters.precision),
            enabled=self.parameters.precision != "float32",
        )
        with self.wrapped.no_sync() if skips_exchange else nullcontext():  # type: ignore[operator]
            with autocast:
                losses = self.task.losses(self.wrapped, batch[rank() :: world_size()], seed)
            self.scaler.scale(losses["loss"] / num_batches).backward()
        return mean_over_processes({name: loss.detach() for name, loss in losses.items()})

    def _log(self, log: StepLog, losses: Losses, rates: Sequence[float | Tensor]) -> None:
        if rank() > 0:
            return
        values: dict[str, float] = {name: float(loss) for name, loss in losses.items()}
        values |= {f"learning_rate_{group}": float(rate) for group, rate in enumerate(rates)}
        log.write({"step": self.step, "epoch": self.step / self.steps_per_epoch} | values)

    def _validate(self) -> None:
        """Score the model, copy its weights if they are the best, and save."""
        self.model.eval()
        with torch.no_grad():
            score = from_main_process(self.task.validate)
        total, num_items, seconds = self.running.tolist()
        row: dict[str, float] = {"epoch": self.step / self.steps_per_epoch, "step": self.step}
        if num_items:
            row["loss"] = total / num_items
        row |= {self.task.measure: score, "seconds": seconds}
        if not np.isfinite(list(row.values())).all():
            raise InputError(
                f"{self.task.name}: the loss is not finite in epoch {int(np.ceil(row['epoch']))}; "
                "lower learning_rate"
            )
        self.history.rows.append(row)
        self.running.zero_()
        if self.history.num_since_best == 0:
            self.best = copy.deepcopy(self.model.state_dict())
        if self.log and rank() == 0:
            self.log.write({key: row[key] for key in ("step", "epoch", self.task.measure)})
        self._save()

    def _save(self) -> None:
        if rank() > 0:
            return
        state = {"step": self.step, "history": self.history.rows}
        state |= {"best": self.best, "running": self.running}
        state |= {name: getattr(self, name).state_dict() for name in STATEFUL}
        self.checkpoint.save(state)


def _wrap(model: nn.Module, compiled: bool) -> nn.Module:
    """The model as training calls it."""
    called: Any = torch.compile(model) if compiled else model
    return called if world_size() == 1 else DistributedDataParallel(called)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
