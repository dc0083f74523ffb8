"""`kedro run`, with one line for an error that the user can mend."""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError

from embedlab.errors import InputError


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that caused it, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def one_line(error: BaseException) -> str | None:
    """The line to show for an error, or None where only a traceback helps."""
    for cause in _chain(error):
        if isinstance(cause, InputError):
            return str(cause)
    if isinstance(error, DatasetError | ParameterValidationError | OSError):
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


@click.group(name="embedlab")
def cli() -> None:
    """The project's own commands."""


run = copy.copy(kedro_run)
run.callback = with_one_line_errors(kedro_run.callback)  # type: ignore[arg-type]
cli.add_command(run)
