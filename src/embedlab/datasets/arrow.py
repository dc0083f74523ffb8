"""Tables of texts as Arrow files."""

import pyarrow as pa
from kedro_datasets._typing import TablePreview

from embedlab.datasets.local import PathDataset
from embedlab.text_table import open_table, write_table

ROWS_SHOWN = 5


class ArrowDataset(PathDataset[pa.Table, pa.Table]):
    """A table in an Arrow file, mapped into memory when loaded: it may exceed the memory."""

    def load(self) -> pa.Table:
        """Map the file into memory.

        Raises:
            InputError: if the file is damaged.
        """
        return open_table(self._filepath)

    def save(self, data: pa.Table) -> None:
        """Write the table to a temporary file and rename it."""
        write_table(data, self._filepath)

    def preview(self) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        return TablePreview(self.load().slice(0, ROWS_SHOWN).to_pandas().to_dict("split"))
