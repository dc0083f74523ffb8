"""Rows of a Hugging Face dataset, or of local files with the same columns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from embedlab.errors import InputError
from embedlab.parameters import Parameters
from embedlab.sources.records import Record, read_records
from embedlab.sources.text_files import without_gz

HUB_TIMEOUT_SECONDS = 10.0


class HuggingFaceSource(Parameters):
    """Where rows come from: `files` if given, else the dataset `path`.

    Attributes:
        path: a dataset on the hub ("openai/gsm8k") or a local dataset folder; with `files` it only
            names the data.
        name: the dataset's configuration ("main"); with `files`, a part of the data's name.
        data_dir: a folder inside the dataset ("helpful-base"); with `files`, as `name`.
        split: the split to load; with `files`, the name of the split that they hold.
        revision: a branch, tag or commit of the dataset.
        files: local .json, .jsonl, .csv, .parquet or .txt files, gzipped or not, with the dataset's
            columns.
        streaming: fetch rows from the hub as they are read, without storing the dataset.
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
        """The short name of the data, by which its rows are told from those of other data.

        It is "gsm8k" for "openai/gsm8k", or the first file's stem; then `name` and `data_dir`.
        """
        first = Path(self.path).name if self.path else without_gz(Path(self.files[0])).stem
        parts = [first, self.name, self.data_dir]
        return "-".join(part.strip("/").replace("/", "-") for part in parts if part)


def _not_empty(sources: tuple[HuggingFaceSource, ...]) -> tuple[HuggingFaceSource, ...]:
    if not sources:
        raise ValueError("give at least one dataset")
    return sources


# Read one after the other. `min_length` would report a faulty entry as a missing one, too.
HuggingFaceSources = Annotated[tuple[HuggingFaceSource, ...], AfterValidator(_not_empty)]


def open_rows(source: HuggingFaceSource) -> Iterator[Record]:
    """Every row of the source in order, with its file and line or its dataset and number.

    Raises:
        InputError: for an unreadable file; for a dataset that is unknown, gated or unreachable.
    """
    for file in source.files:
        yield from read_records(Path(file))
    if source.files:
        return
    where = f"{source.path}[{source.split}]"
    try:
        for number, row in enumerate(_load(source), start=1):
            yield Record(f"{where}:{number}", row)
    # The hub's client raises the errors of its HTTP library, which differs between versions.
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(
            f"{where}: cannot be loaded ({reason:.200}); give local copies in files, "
            "or go online (HF_HUB_OFFLINE=1 uses a cached copy)"
        ) from None


def _load(source: HuggingFaceSource) -> Any:
    import datasets  # slow to import, and not needed for local files
    from huggingface_hub import HfApi

    assert source.path is not None
    if not datasets.config.HF_HUB_OFFLINE and not Path(source.path).exists():
        # Fails at once without a network, where `load_dataset` retries for half a minute.
        HfApi().dataset_info(source.path, revision=source.revision, timeout=HUB_TIMEOUT_SECONDS)
    # Since version 4 the library refuses to run a dataset's scripts.
    return datasets.load_dataset(**source.model_dump(exclude={"files"}))
