"""One training on several devices."""

import logging
from collections.abc import Callable
from typing import TypeVar

from embedlab.distributed.launch import run_in_processes

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")


def train_on_devices(train: Callable[[], ResultT], devices: int = 1) -> ResultT:
    """Train in as many processes as devices, and return the result.

    The processes leave their result in a checkpoint: this process then calls `train` itself, which
    loads the finished training.

    Args:
        train: a picklable call of a training that keeps a checkpoint, such as a `partial`.
        devices: number of processes; with 1, this process trains.

    Raises:
        InputError: as `train` and `run_in_processes` do.
    """
    if devices > 1:
        logger.info("Training in %d processes", devices)
        run_in_processes(train, devices)
    return train()
