"""Project settings: https://docs.kedro.org/en/stable/configure/."""

from embedlab.context import ProjectContext
from embedlab.hooks import ReportHook

HOOKS = (ReportHook(),)
CONTEXT_CLASS = ProjectContext
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # `--params a.b=1` changes one value of a group and keeps the others.
    "merge_strategy": {"parameters": "soft"},
}
