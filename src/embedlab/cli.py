"""`kedro run`, with one line for an error that the user can mend."""

import copy
import functools
import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import pipelines
from kedro.io import DatasetError

from embedlab.errors import InputError


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that caused it, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _raised_by_kedro(error: BaseException) -> bool:
    """Whether Kedro itself raised an error: then it is about what the user asked for."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and frames[-1][0].f_globals["__name__"].startswith("kedro.")


def _pipeline_of(entry: str) -> str:
    """The option that names the pipeline of an artifact, if the default run does not make it."""
    makers = [name for name, own in pipelines.items() if entry in own.all_outputs()]
    return f"--pipelines={makers[0]} " if makers and "__default__" not in makers else ""


def one_line(error: BaseException) -> str | None:
    """The line to show for an error, or None where only a traceback helps."""
    for cause in _chain(error):
        if isinstance(cause, InputError):
            return str(cause)
        if isinstance(cause, FileNotFoundError) and isinstance(error, DatasetError):
            entry = str(error).partition(":")[0]
            return (
                f"{entry}: {cause.filename} is not there; "
                f"make it with `kedro run {_pipeline_of(entry)}--to-outputs={entry}`"
            )
    if isinstance(error, DatasetError | OSError) or _raised_by_kedro(error):
        return " ".join(str(error).split())
    return None


def with_one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that a mendable error ends it with one line and exit status 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            line = one_line(error)
            if line is None:
                raise
            raise click.ClickException(line) from error

    return wrapped


def with_followers(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that under `torchrun` the first process runs it, and the others train.

    The first process alone touches the catalog; the others wait for trainings to take part in.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return command(*args, **kwargs)
        # Imported late: no other run needs the library at its start.
        from embedlab.training import jobs

        if os.environ["RANK"] != "0":
            return jobs.follow()
        result = command(*args, **kwargs)  # after an error, `torchrun` ends the others
        jobs.dismiss()
        return result

    return wrapped


@click.group(name="embedlab")
def cli() -> None:
    """The project's own commands."""


run = copy.copy(kedro_run)
run.callback = with_one_line_errors(with_followers(kedro_run.callback))  # type: ignore[arg-type]
cli.add_command(run)
