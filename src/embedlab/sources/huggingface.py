"""Rows of a Hugging Face dataset, or of local files with the same columns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from embedlab.errors import InputError
from embedlab.parameters import Parameters
from embedlab.sources.bad_rows import BadRows
from embedlab.sources.records import Record, read_records

HUB_TIMEOUT_SECONDS = 10.0


class HuggingFaceSource(Parameters):
    """Where rows come from: `files` when given, else the dataset `path`.

    Attributes:
        path: a dataset on the hub ("openai/gsm8k") or a local dataset folder; beside `files` it
            only names the data.
        name: the dataset's configuration ("main").
        data_dir: a folder inside the dataset ("helpful-base").
        split: the split to load; with `files`, the split that they are.
        revision: a branch, tag or commit of the dataset.
        files: local .json, .jsonl, .csv, .parquet or .txt files with the dataset's columns.
        streaming: read rows over the network as they are needed, storing nothing.
    """

    path: str | None = None
    name: str | None = None
    data_dir: str | None = None
    split: str = "train"
    revision: str | None = None
    files: tuple[str, ...] = ()
    streaming: bool = False

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if not self.path and not self.files:
            raise ValueError("give path (a Hugging Face dataset) or files (local files)")
        return self

    @property
    def label(self) -> str:
        """The short name of the data: "gsm8k" for "openai/gsm8k", else the first file's stem."""
        return Path(self.path).name if self.path else Path(self.files[0]).stem


def _not_empty(sources: tuple[HuggingFaceSource, ...]) -> tuple[HuggingFaceSource, ...]:
    if not sources:
        raise ValueError("give at least one dataset")
    return sources


# One or more, read one after the other. A `min_length` would also count the faulty entries.
HuggingFaceSources = Annotated[tuple[HuggingFaceSource, ...], AfterValidator(_not_empty)]


def open_rows(source: HuggingFaceSource, bad_rows: BadRows) -> Iterator[Record]:
    """Every row of the source in order, with its file and line or its dataset and number.

    Raises:
        InputError: for a file as `read_records` does; for a dataset that cannot be loaded, be it
            unknown, gated or out of reach.
    """
    for file in source.files:
        yield from read_records(Path(file), bad_rows)
    if source.path and not source.files:
        yield from _dataset_records(source.path, source)


def _dataset_records(path: str, source: HuggingFaceSource) -> Iterator[Record]:
    where = f"{path}[{source.split}]"
    try:
        for number, row in enumerate(_load(path, source), start=1):
            yield Record(f"{where}:{number}", row)
    # The hub's client raises its HTTP library's own errors, and which library varies by version.
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(
            f"{where}: cannot be loaded ({reason:.200}); give local copies in files, "
            "or go online (HF_HUB_OFFLINE=1 uses a cached copy)"
        ) from None


def _load(path: str, source: HuggingFaceSource) -> Any:
    """The dataset; scripts inside it are never run (the library refuses them since version 4)."""
    import datasets  # heavy, and local files do without it

    if not datasets.config.HF_HUB_OFFLINE and not Path(path).exists():
        _reach(path, source.revision)
    return datasets.load_dataset(
        path,
        source.name,
        data_dir=source.data_dir,
        split=source.split,
        revision=source.revision,
        streaming=source.streaming,
    )


def _reach(path: str, revision: str | None) -> None:
    """Ask the hub for the dataset once: `load_dataset` alone retries for half a minute offline."""
    from huggingface_hub import HfApi

    HfApi().dataset_info(path, revision=revision, timeout=HUB_TIMEOUT_SECONDS)
