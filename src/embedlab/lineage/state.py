"""What results depend on in parameters: their values, and what these name outside of them.

A parameter that is a `Path` counts with the content of its file. A parameter class that names other
things outside has a function here, or a change of them makes nothing stale.
"""

from collections.abc import Mapping
from functools import singledispatch
from pathlib import Path
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic_core import to_jsonable_python

from embedlab.digests import value_digest
from embedlab.encoders.model_files import find_model
from embedlab.encoders.parameters import ExecutionParameters, ModelSource
from embedlab.encoders.recipe import compute_precision
from embedlab.errors import InputError
from embedlab.pipelines.density.parameters import DensityParameters
from embedlab.pipelines.encoder_pretrain.parameters import EncoderPretrainParameters
from embedlab.pipelines.isotropic_retrieval.parameters import IsotropicRetrievalParameters
from embedlab.project_parameters import ProjectParameters
from embedlab.records import content_digest
from embedlab.sources.beir_pairs import BeirPairsParameters
from embedlab.sources.beir_sets import available_sets
from embedlab.sources.docstrings import public_modules
from embedlab.sources.huggingface import HuggingFaceSource
from embedlab.sources.library_docs import LibraryDocsParameters
from embedlab.sources.problem_solution import RelevantPairsParameters
from embedlab.training.parameters import TrainingRunParameters

# Fields that the nodes which take the class as a whole do not depend on: they decide where, or how
# fast, something runs, or the nodes that use them take them by themselves.
LEFT_OUT = {
    ExecutionParameters: {"engine", "ray", "tokens_per_batch", "processes", "shard_size"},
    TrainingRunParameters: set(TrainingRunParameters.model_fields),
    DensityParameters: {"sample", "reward_model"},
    EncoderPretrainParameters: {"decoding"},
    IsotropicRetrievalParameters: {"ablations"},
}


def parameter_state(parameters: ProjectParameters, path: str) -> Any:
    """What results depend on in the parameters at a dotted path, ready for JSON."""
    first, _, name = path.partition(".")
    if first == "skipped_sets":
        return list(parameters.retrieval_sets()[1])
    if first == "retrieval_sets":
        folder = Path(parameters.data_ingestion.beir.root, parameters.retrieval_sets()[0][name])
        return {"contents": contents(folder)}
    value: Any = parameters.completed()
    for key in path.split("."):
        value = value[key] if isinstance(value, Mapping) else getattr(value, key)
    return state_of(value)


def state_of(value: Any) -> Any:
    """A parameter, ready for JSON: fields without effect are left out, outside things added.

    Of a `Path`, the content counts, too.
    """
    if isinstance(value, RootModel):
        return state_of(value.root)
    if isinstance(value, BaseModel):
        left_out = {
            field
            for of_class, fields in LEFT_OUT.items()
            if isinstance(value, of_class)
            for field in fields
        }
        fields = {name: field for name, field in value if name not in left_out}
        return {name: state_of(field) for name, field in fields.items()} | outside(value)
    if isinstance(value, Path):
        return {"path": str(value), "contents": _content(value)}
    if isinstance(value, Mapping):
        return {str(key): state_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [state_of(item) for item in value]
    return to_jsonable_python(value)


@singledispatch
def outside(parameters: BaseModel) -> dict[str, Any]:
    """What parameters name outside of them; of most, nothing."""
    return {}


def contents(*paths: str | Path | None) -> dict[str, str | None]:
    """The digest of each file or folder; None for one that is not there."""
    return {str(path): _content(Path(path)) for path in paths if path is not None}


def _content(path: Path) -> str | None:
    path = path.expanduser()
    return content_digest(path) if path.exists() else None


@outside.register
def _(source: HuggingFaceSource) -> dict[str, Any]:
    return {"contents": contents(*(source.files or (source.path,)))}


@outside.register
def _(parameters: LibraryDocsParameters) -> dict[str, Any]:
    """The names and sizes of each library's files, which another version has not."""
    files = {
        library: [(file.module, file.path.stat().st_size) for file in public_modules(library)]
        for library in parameters.libraries
    }
    return {"contents": {library: value_digest(names) for library, names in files.items()}}


@outside.register(BeirPairsParameters)
@outside.register(RelevantPairsParameters)
def _(parameters: BeirPairsParameters | RelevantPairsParameters) -> dict[str, Any]:
    root = Path(parameters.root)
    return {
        "contents": contents(*(root / name for name in available_sets(parameters.sets, root)[0]))
    }


@outside.register
def _(source: ModelSource) -> dict[str, Any]:
    """The version of a model; None if it is not on this disk, and then compared with nothing."""
    try:
        return {"version": find_model(source, local_files_only=True).version}
    except InputError:
        return {"version": None}


@outside.register
def _(parameters: ExecutionParameters) -> dict[str, Any]:
    return {"precision": compute_precision(parameters.precision)}
