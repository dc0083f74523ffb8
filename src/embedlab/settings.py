"""Project settings: https://docs.kedro.org/en/stable/configure/."""

import warnings

from embedlab.context import ProjectContext
from embedlab.hooks import ExtrasHook, OneRunnerHook, RunLogHook
from embedlab.lineage.hook import LineageHook

# The dots in names such as minilm.prefixes.embeddings are intended, with or without a namespace.
warnings.filterwarnings("ignore", "One or more dataset names contain '.'")
# Kedro's configuration loader calls a function that OmegaConf has deprecated.
warnings.filterwarnings("ignore", "register_new_resolver")

HOOKS = (OneRunnerHook(), ExtrasHook(), LineageHook(), RunLogHook())
CONTEXT_CLASS = ProjectContext
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # `--params a.b=1` changes one value of a group and keeps the others.
    "merge_strategy": {"parameters": "soft"},
}
