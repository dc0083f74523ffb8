"""kedro-datasets' file datasets, made atomic: a save leaves the old file or the whole new one."""

from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from kedro_datasets.json import JSONDataset as LibraryJSONDataset
from kedro_datasets.matplotlib import MatplotlibDataset
from kedro_datasets.pandas import CSVDataset as PandasCSVDataset
from kedro_datasets.pandas import JSONDataset as PandasJSONDataset
from kedro_datasets.pandas import ParquetDataset as PandasParquetDataset
from kedro_datasets.text import TextDataset as LibraryTextDataset

from embedlab.files import replacing


class Atomic:
    """Mixin for a dataset of one local file: the save goes to a temporary file, then a rename."""

    _filepath: PurePosixPath

    def save(self, data: Any) -> None:
        """Save `data` beside the target, flush it, and rename it over the target."""
        target = self._filepath
        try:
            with replacing(Path(target)) as temporary:
                self._filepath = PurePosixPath(temporary)
                super().save(data)  # type: ignore[misc]
        finally:
            self._filepath = target


class JSONDataset(Atomic, LibraryJSONDataset):
    """A JSON document, indented for people."""

    DEFAULT_SAVE_ARGS: ClassVar[dict[str, Any]] = {"indent": 2, "ensure_ascii": False}
    DEFAULT_FS_ARGS: ClassVar[dict[str, Any]] = {
        "open_args_save": {"mode": "w", "encoding": "utf-8"},
        "open_args_load": {"encoding": "utf-8"},
    }


class JsonLinesDataset(Atomic, PandasJSONDataset):
    """A pandas table as JSON lines; text that looks like a number or a date stays text."""

    DEFAULT_LOAD_ARGS: ClassVar[dict[str, Any]] = {
        "lines": True,
        "dtype": False,
        "convert_dates": False,
        "precise_float": True,
    }
    DEFAULT_SAVE_ARGS: ClassVar[dict[str, Any]] = {
        "lines": True,
        "orient": "records",
        "force_ascii": False,
        "double_precision": 15,
    }
    DEFAULT_FS_ARGS: ClassVar[dict[str, Any]] = {
        "open_args_save": {"mode": "w", "encoding": "utf-8"}
    }


class ParquetDataset(Atomic, PandasParquetDataset):
    """A pandas table as Parquet."""


class CSVDataset(Atomic, PandasCSVDataset):
    """A pandas table as comma-separated values."""


class TextDataset(Atomic, LibraryTextDataset):
    """A text file."""


class FigureDataset(Atomic, MatplotlibDataset):
    """A matplotlib figure as an image."""
