"""Changes to a finished project: a byte of an artifact, another value of a parameter.

Whatever is derived here is derived from the parameter classes and from the inputs of Kedro's nodes,
so that a new parameter or node cannot be forgotten, and nothing is taken from embedlab.lineage but
what is tested.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from click.testing import CliRunner, Result
from kedro.config import OmegaConfigLoader
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Node
from pydantic import BaseModel, RootModel

from embedlab.cli import run
from embedlab.encoders.recipe import compute_precision
from embedlab.errors import InputError
from embedlab.lineage.graph import Lineage
from embedlab.lineage.project import project_lineage
from embedlab.project_parameters import ProjectParameters
from embedlab.settings import CONFIG_LOADER_ARGS

Keys = tuple[str, ...]
# New values of parameters.
Changes = dict[Keys, Any]

# Parameters that decide where or how fast something runs, so that they make nothing stale.
WITHOUT_EFFECT = {"engine", "ray", "tokens_per_batch", "processes", "shard_size"}
WITHOUT_EFFECT |= {"devices", "tensorboard", "wandb"}
# Those of them that change results as another seed does.
AS_A_SEED = {"devices"}
# Parts of a group that the nodes which take the group do not use.
UNUSED = {
    "density": {"sample", "reward_model"},
    "isotropic_retrieval": {"ablations"},
    "encoder_pretrain": {"decoding"},
}
# Tried as other values, in this order, after those that are near the present one.
ANY = (1, 64, True, "x", "0" * 64, "bm25", "hashing", ["bm25", "hashing"], ["x"], [], {}, None)
DOCUMENTS = {"source": "documents", "data": {"files": ["nowhere.txt"]}}
# What makes other changes valid: no ablations that contradict them, pairs to pretrain on.
HELP: tuple[Changes, ...] = (
    {},
    {("isotropic_retrieval", "ablations", "only"): []},
    {("data_ingestion", "pretraining_pairs"): DOCUMENTS},
)
OTHER_PRECISION = {"float32": "bfloat16", "bfloat16": "float32"}
# What is not found by trying: other values, and other classes of parameters, which replace all.
PAIRS = {"path": "nowhere", "split": "train"}
OTHERS: dict[str, Any] = {
    "encoders.hashing": {"kind": "sentence_transformer", "model": "nowhere"},
    "data_ingestion.library_docs.test_libraries": ["kedro"],
    "data_ingestion.problem_solutions": {"source": "problem_solution", "data": [PAIRS]},
    "data_ingestion.preference_pairs": {"source": "hh_rlhf", "data": [PAIRS]},
    "data_ingestion.retrieval_pairs": DOCUMENTS,
    "data_ingestion.pretraining_pairs": DOCUMENTS,
    "embedding_cache.encoders": ["hashing", "gte"],
    "embedding_cache.on_demand.encoder": "minilm",
    "embedding_cache.execution.precision": OTHER_PRECISION[compute_precision("auto")],
    "encoder_pretrain.language_model": {"model": "nowhere"},
    "isotropic_retrieval.pretraining": {},
    "isotropic_retrieval.ablations.variants.untrained.seed": 1,
    "rnd.experiments.baseline.seed": 1,
}


@dataclass(frozen=True)
class Wiring:
    """The node that makes each entry, and the parameters, as Kedro sees them."""

    makers: dict[str, Node]
    parameters: ProjectParameters

    @cached_property
    def values(self) -> dict[str, Any]:
        """The parameters that nodes get."""
        return self.parameters.for_nodes()

    def inputs(self, entry: str) -> tuple[str, dict[str, Any]]:
        """The function that makes an entry, and its inputs with the values of parameters."""
        node = self.makers[entry]
        return node.func.__qualname__, {name: self._value(name) for name in node.inputs}

    def _value(self, name: str) -> Any:
        if not name.startswith("params:"):
            return None
        value: Any = self.values
        for key in name.removeprefix("params:").split("."):
            value = value[key]
        unused = UNUSED.get(name.removeprefix("params:"), set())
        return _without(value, WITHOUT_EFFECT | unused)


def dependents(before: Wiring, after: Wiring) -> set[str]:
    """The entries whose node now has another function or other inputs, and all made from them."""

    @cache
    def differs(entry: str) -> bool:
        if entry not in after.makers:
            return False
        is_new = entry not in before.makers or before.inputs(entry) != after.inputs(entry)
        return is_new or any(map(differs, after.makers[entry].inputs))

    return set(filter(differs, after.makers))


def parameter_changes(raw: dict[str, Any]) -> dict[str, Changes]:
    """For each parameter, a valid change of it, with what makes it valid; none if none was found.

    Of groups in a mapping, such as encoders, one of each class stands for all.
    """
    present = ProjectParameters.model_validate(raw)

    def change(keys: Keys, others: Iterable[Any]) -> Changes:
        tried = ({keys: other} | more for more, other in product(HELP, others))
        return next((one for one in tried if _is_change(raw, present, one)), {})

    found = {
        ".".join(keys): change(keys, [one for one in _others(value, kind) if one != value])
        for keys, value, kind in _leaves(present, ProjectParameters, (), set())
    }
    return found | {path: change(tuple(path.split(".")), [OTHERS[path]]) for path in OTHERS}


def changed(settings: Any, changes: Changes) -> Any:
    """Nested settings with other values."""
    for keys, value in changes.items():
        settings = _replaced(settings, keys, value)
    return settings


def _is_change(raw: dict[str, Any], present: ProjectParameters, changes: Changes) -> bool:
    """Whether parameters with these changes are valid, and others than the present ones."""
    try:
        return ProjectParameters.model_validate(changed(raw, changes)) != present
    except InputError:
        return False


def change_a_byte(path: Path) -> None:
    """Change a byte of a file, or of the first file of a folder."""
    files = [file for file in sorted(path.rglob("[!.]*")) if file.is_file()] or [path]
    content = bytearray(files[0].read_bytes())
    content[-2] ^= 1
    files[0].write_bytes(content)


def run_in(project: Path, *arguments: str) -> Result:
    """Run in this process, which is faster than in one of its own."""
    bootstrap_project(project)
    with contextlib.chdir(project):
        return CliRunner().invoke(run, ["--env=test", *arguments], catch_exceptions=False)


def raw_parameters(project: Path) -> dict[str, Any]:
    """The parameters in the configuration of a project, for the test environment."""
    loader = OmegaConfigLoader(str(project / "conf"), env="test", **CONFIG_LOADER_ARGS)
    return dict(loader["parameters"])


def lineage_of(project: Path, **parameters: Any) -> Lineage:
    """The lineage of a project, with changed parameters."""
    bootstrap_project(project)
    with KedroSession.create(project, env="test", runtime_params=parameters) as session:
        return project_lineage(session.load_context().catalog)


def stored(lineage: Lineage) -> dict[str, Path]:
    """The entries that nodes save and that are there."""
    paths = {entry: lineage.path(entry) for entry in lineage.makers}
    return {entry: path for entry, path in paths.items() if path is not None and path.exists()}


def _leaves(
    value: Any, annotation: Any, keys: Keys, seen: set[type]
) -> Iterator[tuple[Keys, Any, Any]]:
    """The parameters that are no groups, with their values and types.

    Args:
        seen: classes of groups; of these, mappings have no new parameters.
    """
    value = value.root if isinstance(value, RootModel) else value
    if isinstance(value, BaseModel):
        seen.add(type(value))
        for name, field in type(value).model_fields.items():
            yield from _leaves(getattr(value, name), field.annotation, (*keys, name), seen)
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            if type(getattr(item, "root", item)) not in seen:
                yield from _leaves(item, get_args(annotation)[-1], (*keys, key), seen)
    elif not (get_origin(annotation) is Literal and len(get_args(annotation)) == 1):
        yield keys, value, annotation


def _others(value: Any, annotation: Any) -> Iterator[Any]:
    """Values that may be valid instead of this one."""
    yield from _choices(annotation)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, float):
        yield from (value / 2, value + 1)
    elif isinstance(value, str):
        yield f"{value}x"
    elif isinstance(value, tuple):
        yield from (value[:-1], value[::-1], (1, *value))
    yield from ANY


def _choices(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for argument in get_args(annotation):
            yield from _choices(argument)


def _replaced(settings: Any, keys: Keys, value: Any) -> Any:
    if not keys:
        return value
    settings = settings or {}
    return settings | {keys[0]: _replaced(settings.get(keys[0]), keys[1:], value)}


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, names) for name, item in value.items() if name not in names}
    return value
