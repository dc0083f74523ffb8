"""The training loop: seeded order, validation, early stopping, checkpoints, exact resume."""

import copy
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from embedlab.distributed.collectives import rank, world_size
from embedlab.distributed.processes import (
    from_main_process,
    in_main_process,
    mean_over_processes,
)
from embedlab.errors import InputError
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.parameters import LoopParameters
from embedlab.training.schedule import learning_rate_factor
from embedlab.training.step_log import StepLog
from embedlab.training.task import History, Losses, Task

# Parameters with the learning rate `lr` of each group, as optimizers take them.
ParameterGroups = list[dict[str, Any]]


def train(
    task: Task,
    groups: ParameterGroups,
    parameters: LoopParameters,
    seed: int,
    checkpoint: Checkpoint,
    log: StepLog | None = None,
) -> History:
    """Train until the score is good enough or gets no better; leave the best weights in the model.

    Every epoch draws its order from (seed, epoch), and every step its dropout from (seed, epoch,
    step) alone, so that a run that goes on from a checkpoint computes what an undisturbed one does.

    Args:
        task: what is trained.
        groups: its parameters by learning rate.
        parameters: how to train.
        seed: of the order and of dropout.
        checkpoint: holds the last validated state.
        log: takes the losses step by step.

    Returns:
        For each validation: epoch, step, the mean training loss since the last one, the score, and
        seconds.

    Raises:
        InputError: if the loss is not finite, if a batch has fewer items than there are processes,
            or if the log cannot be written.
    """
    run = _Run(task, groups, parameters, seed, checkpoint, log)
    run.resume()
    if log and not run.is_finished():
        in_main_process(log.open)  # all meet what keeps it shut, before the first step
    with (
        torch.random.fork_rng(range(torch.cuda.device_count())),
        tqdm(
            total=run.total_steps,
            initial=run.step,
            desc=task.name,
            unit="step",
            disable=rank() > 0,
        ) as bar,
    ):
        while not run.is_finished():
            run.advance()
            bar.update(run.step - bar.n)
            bar.set_postfix(run.last, refresh=False)
        bar.total = run.step  # early stopping is an end, too
    if log:
        log.close()
    task.model.load_state_dict(run.best)
    task.model.eval()
    return run.history


class _Run:
    """One run: its state, and how it moves on."""

    def __init__(
        self,
        task: Task,
        groups: ParameterGroups,
        parameters: LoopParameters,
        seed: int,
        checkpoint: Checkpoint,
        log: StepLog | None,
    ):
        self.task, self.parameters, self.seed = task, parameters, seed
        self.checkpoint, self.log = checkpoint, log
        self.step = 0
        self.history: History = []
        self.best: dict[str, Tensor] = {}
        self.device = next(task.model.parameters()).device
        if min(task.n_items, parameters.batch_size) < world_size():
            raise InputError(
                f"{task.name}: {world_size()} processes for {task.n_items} items in batches of "
                f"{parameters.batch_size}; use fewer devices"
            )
        self.epoch, self.batches = 0, self._batches(0)
        self.steps_per_epoch = -(-len(self.batches) // parameters.accumulation_steps)
        self.total_steps = parameters.max_epochs * self.steps_per_epoch
        self.optimizer = torch.optim.AdamW(groups, weight_decay=parameters.weight_decay)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            learning_rate_factor(parameters.schedule, parameters.warmup_steps, self.total_steps),
        )
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=parameters.precision == "float16"
        )
        self.wrapped = _wrap(task.model, parameters.compile)
        # Since the last validation: sum of the items' losses, their number, seconds.
        self.running = torch.zeros(3, dtype=torch.float64, device=self.device)

    @property
    def last(self) -> dict[str, float]:
        """The last row of the history, for the progress bar."""
        row = self.history[-1] if self.history else {}
        return {key: row[key] for key in ("loss", self.task.measure) if key in row}

    def is_finished(self) -> bool:
        """Whether training has come to its end or its target, or has waited long enough."""
        if not self.history:
            return False
        waited = len(self.history) - 1 - self.task.best(self.history)
        validated = int(self.history[-1]["step"]) == self.step
        ended = waited >= self.parameters.patience or self.step >= self.total_steps
        return validated and (ended or self.task.is_reached(self.history))

    def advance(self) -> None:
        """One step, and what is due after it."""
        if not self.history and self.step == 0 and self.task.scores_start:
            self._validate()
            return
        start = time.perf_counter()
        rates = self.scheduler.get_last_lr()  # those of the step to come
        losses = self._take_step()
        if self.log and self.step % self.parameters.log_interval == 0:
            self._log(losses, rates)
        self.running[2] += time.perf_counter() - start
        interval = self.parameters.checkpoint_interval
        if self._is_due(self.parameters.validation_interval or self.steps_per_epoch):
            self._validate()
        elif interval and self._is_due(interval):
            self._save()

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one of this very run."""
        state = self.checkpoint.load()
        if state is not None:
            self.step, self.history, self.best = state["step"], state["history"], state["best"]
            self.task.model.load_state_dict(state["model"])
            self.running.copy_(state["running"])
            for name in ("optimizer", "scheduler", "scaler"):
                getattr(self, name).load_state_dict(state[name])
        if self.log and rank() == 0:
            self.log.keep_until(-1 if state is None else self.step)
        if world_size() > 1:
            torch.distributed.barrier()  # nobody saves before all have read

    def _is_due(self, interval: int) -> bool:
        return self.step % interval == 0 or self.step == self.total_steps

    def _batches(self, epoch: int) -> list[Tensor]:
        """The epoch's batches of positions, each of as many items for every process."""
        generator = torch.Generator().manual_seed(_seed(self.seed, epoch))
        order = torch.randperm(self.task.n_items, generator=generator)
        processes = world_size()
        batches = list(order.split(self.parameters.batch_size))
        if len(batches[-1]) < processes:  # then it repeats some items
            batches[-1] = order[-processes:]
        return [b[: len(b) // processes * processes] for b in batches]

    def _take_step(self) -> Losses:
        """One step of the optimizer; returns the losses, their mean over its batches."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if epoch != self.epoch:
            self.epoch, self.batches = epoch, self._batches(epoch)
        torch.manual_seed(_seed(self.seed, epoch, position, 0, rank()))
        size = self.parameters.accumulation_steps
        batches = self.batches[position * size : (position + 1) * size]
        self.wrapped.train()
        totals: Losses = {}
        for number, rows in enumerate(batches, start=1):
            seed = _seed(self.seed, epoch, position, number)
            losses = self._accumulate(rows, seed, len(batches), is_last=number == len(batches))
            self.running[0] += losses["loss"] * len(rows)
            self.running[1] += len(rows)
            for name, loss in losses.items():
                totals[name] = totals.get(name, 0) + loss / len(batches)
        self.scaler.unscale_(self.optimizer)
        if self.parameters.max_gradient_norm is not None:
            totals["gradient_norm"] = nn.utils.clip_grad_norm_(
                self.task.model.parameters(), self.parameters.max_gradient_norm
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        self.optimizer.zero_grad()
        self.step += 1
        return totals

    def _accumulate(self, rows: Tensor, seed: int, n_batches: int, is_last: bool) -> Losses:
        """Add the gradients of one batch; processes exchange them with the last one only."""
        apart = isinstance(self.wrapped, DistributedDataParallel) and not is_last
        autocast = torch.autocast(
            self.device.type,
            getattr(torch, self.parameters.precision),
            enabled=self.parameters.precision != "float32",
        )
        with self.wrapped.no_sync() if apart else nullcontext():  # type: ignore[operator]
            with autocast:
                losses = self.task.losses(self.wrapped, rows[rank() :: world_size()], seed)
            self.scaler.scale(losses["loss"] / n_batches).backward()
        return mean_over_processes({name: loss.detach() for name, loss in losses.items()})

    def _log(self, losses: Losses, rates: Sequence[float | Tensor]) -> None:
        assert self.log is not None
        values: dict[str, float] = {name: float(loss) for name, loss in losses.items()}
        values |= {f"learning_rate_{group}": float(rate) for group, rate in enumerate(rates)}
        if rank() == 0:
            self.log.write({"step": self.step, "epoch": self.step / self.steps_per_epoch} | values)

    def _validate(self) -> None:
        """Score the model, keep it if it is the best, and save."""
        self.task.model.eval()
        with torch.no_grad():
            score = from_main_process(self.task.validate, self.device)
        total, n_items, seconds = self.running.tolist()
        row: dict[str, float] = {"epoch": self.step / self.steps_per_epoch, "step": self.step}
        if n_items:
            row["loss"] = total / n_items
        row |= {self.task.measure: score, "seconds": seconds}
        if not np.isfinite(list(row.values())).all():
            raise InputError(
                f"{self.task.name}: the loss is not finite in epoch {int(np.ceil(row['epoch']))}; "
                "lower learning_rate"
            )
        self.history.append(row)
        self.running.zero_()
        if self.task.best(self.history) == len(self.history) - 1:
            self.best = copy.deepcopy(self.task.model.state_dict())
        if self.log and rank() == 0:
            self.log.write({key: row[key] for key in ("step", "epoch", self.task.measure)})
        self._save()

    def _save(self) -> None:
        if rank() > 0:
            return
        state = {key: getattr(self, key) for key in ("step", "history", "best", "running")}
        for name in ("optimizer", "scheduler", "scaler"):
            state[name] = getattr(self, name).state_dict()
        self.checkpoint.save(state | {"model": self.task.model.state_dict()})


def _wrap(model: nn.Module, compiled: bool) -> nn.Module:
    """The model as it is called in training."""
    called: Any = torch.compile(model) if compiled else model
    if world_size() == 1:
        return called
    return DistributedDataParallel(called)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
