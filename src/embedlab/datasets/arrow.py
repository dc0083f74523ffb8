"""Tables of texts as Arrow files."""

import pyarrow as pa
from kedro_datasets._typing import TablePreview

from embedlab.datasets.local import PathDataset
from embedlab.text_table import open_table, write_table

ROWS_SHOWN = 5


class ArrowDataset(PathDataset[pa.Table, pa.Table]):
    """A table in an Arrow file, mapped into memory when loaded: it may exceed the memory."""

    _opened: pa.Table | None = None

    def load(self) -> pa.Table:
        """Map the file into memory and check all of it, once a run.

        Raises:
            InputError: if the file is damaged.
        """
        if self._opened is None:
            self._opened = open_table(self._filepath)
        return self._opened

    def save(self, data: pa.Table) -> None:
        """Write the table to a temporary file and rename it."""
        self._opened = None
        write_table(data, self._filepath)

    def _release(self) -> None:
        self._opened = None

    def preview(self) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        return TablePreview(self.load().slice(0, ROWS_SHOWN).to_pandas().to_dict("split"))
