"""`kedro run` with one-line messages for errors that the user can correct."""

import copy
import functools
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import _split_params, env_option
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.io import DatasetError

from embedlab.errors import InputError
from embedlab.lineage.project import project_lineage
from embedlab.lineage.runner import OnlyChangedRunner
from embedlab.lineage.tree import lineage_tree

ONLY_CHANGED_HELP = "Run only nodes whose inputs, parameters or code have changed."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _raised_by_kedro(error: BaseException) -> bool:
    """Whether Kedro's code raised the error, which is then a fault of the user's command."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and frames[-1][0].f_globals["__name__"].startswith("kedro.")


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
    if isinstance(error, DatasetError | OSError) or _raised_by_kedro(error):
        return " ".join(str(error).split())
    return None


def with_one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make a command end with one line and exit status 1 where `one_line` has a message."""

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
    """The project's commands."""


def _run_only_changed(only_changed: bool, **options: Any) -> Any:
    """Kedro's command, with the runner that leaves out nodes of which nothing has changed."""
    if only_changed and options.get("runner"):
        raise InputError("--only-changed chooses the runner: leave out --runner")
    if only_changed:
        options["runner"] = f"{OnlyChangedRunner.__module__}.{OnlyChangedRunner.__name__}"
    return kedro_run.callback(**options)  # type: ignore[misc]


run = copy.copy(kedro_run)
run.params = [*run.params, click.Option(["--only-changed"], is_flag=True, help=ONLY_CHANGED_HELP)]
run.callback = with_one_line_errors(_run_only_changed)
cli.add_command(run)


@cli.command()
@click.argument("entry")
@env_option
@click.option("--params", default="", callback=_split_params, help="as of `kedro run`")
@with_one_line_errors
def lineage(entry: str, env: str | None, params: dict[str, Any]) -> None:
    """Print what led to the catalog entry ENTRY, with dates, digests and what is stale."""
    with KedroSession.create(env=env, runtime_params=params) as session:
        found = project_lineage(session.load_context().catalog)  # type: ignore[attr-defined]
    if entry not in found.makers:
        raise InputError(f"{entry}: no node makes an entry of that name; see `kedro catalog list`")
    click.echo("\n".join(lineage_tree(found, entry)))
