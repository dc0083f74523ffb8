"""The tables of a retrieval set as files in BEIR's format."""

from pathlib import Path
from typing import Any

import pandas as pd

from embedlab.datasets.local import PathDataset
from embedlab.files import replacing
from embedlab.sources.bad_rows import BadRows
from embedlab.sources.beir import read_corpus, read_qrels, read_queries

FILES = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels/test.tsv"}
READERS = {"corpus": read_corpus, "queries": read_queries, "qrels": read_qrels}
# Longer tables are not kept in memory until their last reader has run.
MAX_KEPT_ROWS = 200_000
QRELS_HEADER = ["query-id", "corpus-id", "score"]


class BeirTableDataset(PathDataset[pd.DataFrame, pd.DataFrame]):
    """`corpus.jsonl`, `queries.jsonl` or `qrels/test.tsv` of a folder; a run reads it once.

    Args:
        filepath: the folder.
        table: corpus, queries or qrels.
        metadata: for Kedro-Viz.
    """

    def __init__(self, *, filepath: str, table: str, metadata: dict[str, Any] | None = None):
        super().__init__(filepath=str(Path(filepath) / FILES[table]), metadata=metadata)
        self._table = table
        self._loaded: pd.DataFrame | None = None

    def load(self) -> pd.DataFrame:
        """Read the file, or return the table that an earlier node of this run has read.

        Raises:
            InputError: naming the first rows that cannot be used.
        """
        if self._loaded is None:
            bad_rows = BadRows("fail")
            table = READERS[self._table](self._filepath, bad_rows)
            bad_rows.settle("run `kedro run --pipelines=data_ingestion` again")
            if len(table) > MAX_KEPT_ROWS:
                return table
            self._loaded = table
        return self._loaded.copy(deep=False)

    def save(self, data: pd.DataFrame) -> None:
        """Write the table to a temporary file and rename it."""
        self._loaded = None
        if self._table == "corpus":  # judgements, saved last, are never those of another corpus
            (self._filepath.parent / FILES["qrels"]).unlink(missing_ok=True)
        with replacing(self._filepath) as temporary:
            if self._table == "qrels":
                table = data.set_axis(QRELS_HEADER, axis=1)
                table.to_csv(temporary, sep="\t", index=False)
            else:
                table = data.rename(columns={"id": "_id"})
                table.to_json(temporary, orient="records", lines=True, force_ascii=False)

    def _release(self) -> None:
        self._loaded = None
