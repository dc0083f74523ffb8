"""The training loop: epochs in a seeded order, early stopping, checkpoints, exact resume."""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.parameters import Parameters
from embedlab.training.checkpoints import Checkpoint

History = list[dict[str, float]]


class TrainingParameters(Parameters):
    """How a model is trained.

    Attributes:
        max_epochs: passes over the data, unless training stops early.
        batch_size: items in a step.
        learning_rate: of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).
        weight_decay: of AdamW.
        patience: epochs without a better validation loss before training stops.
    """

    max_epochs: int = Field(50, ge=1)
    batch_size: int = Field(256, ge=1)
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    patience: int = Field(3, ge=1)


def train(
    model: nn.Module,
    batch_loss: Callable[[Tensor], Tensor],
    validation_loss: Callable[[], float],
    n_items: int,
    parameters: TrainingParameters,
    seed: int,
    checkpoint: Checkpoint,
    name: str,
) -> History:
    """Train until the validation loss stops falling; leave the best epoch's weights in the model.

    Every epoch draws its order and its dropout from (seed, epoch) alone, so that a run that goes
    on from a checkpoint computes what an undisturbed one does.

    Args:
        model: what is trained, in place.
        batch_loss: the mean loss of the items at these positions, int64 `(b,)`.
        validation_loss: the loss that decides when to stop, called with the model in `eval` mode.
        n_items: number of training items.
        parameters: how to train.
        seed: of the order and of dropout.
        checkpoint: holds the last finished epoch.
        name: for the progress bar.

    Returns:
        Training loss, validation loss and seconds of each epoch.

    Raises:
        InputError: if the loss is not finite.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=parameters.learning_rate, weight_decay=parameters.weight_decay
    )
    state = checkpoint.load() or {"history": [], "best": None}
    history, best = state["history"], state["best"]
    if history:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    with tqdm(total=parameters.max_epochs, initial=len(history), desc=name, unit="epoch") as bar:
        while not _is_finished(history, parameters):
            start = time.perf_counter()
            loss = _epoch(
                model, optimizer, batch_loss, n_items, parameters.batch_size, [seed, len(history)]
            )
            validation = _validate(model, validation_loss)
            if not np.isfinite([loss, validation]).all():
                raise InputError(
                    f"{name}: the loss is not finite in epoch {len(history) + 1}; "
                    "lower learning_rate"
                )
            elapsed = time.perf_counter() - start
            history.append({"loss": loss, "validation_loss": validation, "seconds": elapsed})
            if best_epoch(history) == len(history) - 1:
                best = copy.deepcopy(model.state_dict())
            checkpoint.save(
                {
                    "history": history,
                    "best": best,
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                }
            )
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}", validation=f"{validation:.4f}")
        bar.total = len(history)  # early stopping is an end, too
    model.load_state_dict(best)
    model.eval()
    return history


def best_epoch(history: History) -> int:
    """The first epoch of the lowest validation loss."""
    return min(range(len(history)), key=lambda epoch: history[epoch]["validation_loss"])


def _is_finished(history: History, parameters: TrainingParameters) -> bool:
    if not history:
        return False
    waited = len(history) - 1 - best_epoch(history)
    return waited >= parameters.patience or len(history) >= parameters.max_epochs


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch_loss: Callable[[Tensor], Tensor],
    n_items: int,
    batch_size: int,
    seeds: list[int],
) -> float:
    """One pass in an order drawn from `seeds`; returns the mean loss of the items."""
    model.train()
    total = torch.zeros((), dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        for rows in torch.randperm(n_items).split(batch_size):
            loss = batch_loss(rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach().cpu() * len(rows)
    return total.item() / n_items


@torch.no_grad()
def _validate(model: nn.Module, validation_loss: Callable[[], float]) -> float:
    model.eval()
    return validation_loss()
