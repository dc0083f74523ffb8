"""A retrieval set as a folder in BEIR's format."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from embedlab.files import replacing_folder
from embedlab.sources.bad_rows import BadRows
from embedlab.sources.beir import read_beir_folder
from embedlab.sources.retrieval_set import RetrievalSet

SPLIT = "test"


class BeirFolderDataset(AbstractDataset[RetrievalSet, RetrievalSet]):
    """`corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv` in one folder."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> RetrievalSet:
        """Read the folder.

        Raises:
            InputError: naming the first rows that are not as they should be.
        """
        return read_beir_folder(self._filepath, SPLIT, BadRows("fail"))

    def save(self, data: RetrievalSet) -> None:
        """Write a new folder and put it in the place of the old one."""
        options: dict[str, Any] = {"orient": "records", "lines": True, "force_ascii": False}
        with replacing_folder(self._filepath) as folder:
            corpus = data.corpus.rename(columns={"id": "_id"})
            corpus.to_json(folder / "corpus.jsonl", **options)
            queries = data.queries.rename(columns={"id": "_id"})
            queries.to_json(folder / "queries.jsonl", **options)
            (folder / "qrels").mkdir()
            qrels = data.qrels.set_axis(["query-id", "corpus-id", "score"], axis=1)
            qrels.to_csv(folder / "qrels" / f"{SPLIT}.tsv", sep="\t", index=False)

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
