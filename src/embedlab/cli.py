"""Kedro's commands that read the project, with one-line messages for errors of the user."""

import copy
import functools
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import click
from kedro.framework.cli.catalog import catalog
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.registry import registry
from kedro.framework.cli.utils import _split_params, env_option
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.io import DatasetError

from embedlab.errors import InputError
from embedlab.lineage.project import project_lineage
from embedlab.lineage.runner import OnlyChangedRunner
from embedlab.lineage.tree import lineage_tree

ONLY_CHANGED_HELP = "Run only nodes whose inputs, parameters or code have changed."

# Errors that these packages raise are faults of the command or of the configuration.
READERS = ("kedro", "omegaconf", "yaml", "antlr4")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _raised_by_a_reader(error: BaseException) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and frames[-1][0].f_globals["__name__"].partition(".")[0] in READERS


def _pipeline_of(entry: str) -> str:
    """The option that selects the pipeline of an artifact, empty for the default pipeline."""
    makers = [name for name, pipeline in pipelines.items() if entry in pipeline.all_outputs()]
    return f"--pipelines={makers[0]} " if makers and "__default__" not in makers else ""


def one_line(error: BaseException) -> str | None:
    """The message to show for an error, or None for errors that need a traceback."""
    for cause in _chain(error):
        if isinstance(cause, InputError):
            return str(cause)
        if isinstance(cause, FileNotFoundError) and isinstance(error, DatasetError):
            entry = str(error).partition(":")[0]
            return (
                f"{entry}: {cause.filename} is not there; "
                f"make it with `kedro run {_pipeline_of(entry)}--to-outputs={entry}`"
            )
    if isinstance(error, DatasetError | OSError) or _raised_by_a_reader(error):
        reason = " ".join(str(error).split())
        return reason if " " in reason else f"{type(error).__name__}: {reason}"
    return None


def with_one_line_errors(command: click.Command) -> click.Command:
    """A copy of the command that ends with one line where `one_line` has a message.

    The exit status is 1. Both the reading of options and what the command does are covered.
    """
    wrapped = copy.copy(command)
    for name, prefix in (("make_context", "the options cannot be read: "), ("invoke", "")):
        setattr(wrapped, name, _one_line_errors(getattr(wrapped, name), prefix))
    return wrapped


def _one_line_errors(function: Callable[..., Any], prefix: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except click.ClickException:
            raise
        except Exception as error:
            line = one_line(error)
            if line is None:
                raise
            raise click.ClickException(prefix + line) from error

    return wrapped


@click.group(name="embedlab")
def cli() -> None:
    """The project's commands."""


def _run_only_changed(only_changed: bool, **options: Any) -> Any:
    """Kedro's command, with the runner that leaves out nodes of which nothing has changed."""
    if only_changed and options.get("runner"):
        raise InputError("--only-changed chooses the runner: leave out --runner")
    if only_changed:
        options["runner"] = f"{OnlyChangedRunner.__module__}.{OnlyChangedRunner.__name__}"
    return kedro_run.callback(**options)  # type: ignore[misc]


def _extended_run() -> click.Command:
    """Kedro's command with the option `--only-changed`."""
    extended = copy.copy(kedro_run)
    option = click.Option(["--only-changed"], is_flag=True, help=ONLY_CHANGED_HELP)
    extended.params, extended.callback = [*extended.params, option], _run_only_changed
    return extended


@click.command()
@click.argument("entry")
@env_option
@click.option("--params", default="", callback=_split_params, help="As of `kedro run`.")
def lineage(entry: str, env: str | None, params: dict[str, Any]) -> None:
    """Print what led to the catalog entry ENTRY, with dates, digests and what is stale."""
    with KedroSession.create(env=env, runtime_params=params) as session:
        found = project_lineage(session.load_context().catalog)  # type: ignore[attr-defined]
    if entry not in found.makers:
        raise InputError(f"{entry}: no node makes an entry of that name; see `kedro registry list`")
    click.echo("\n".join(lineage_tree(found, entry)))


run = with_one_line_errors(_extended_run())
for command in (run, *map(with_one_line_errors, (registry, catalog, lineage))):
    cli.add_command(command)
