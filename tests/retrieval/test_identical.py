import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from support import messages_of

from embedlab.encoders.embeddings import Embeddings
from embedlab.isotropic.ablations import Ablation, SearchSet
from embedlab.retrieval.identical import DropIdentical, drop_identical, identical_ids
from embedlab.text_table import as_ids

CORPUS = pa.table(
    {
        "id": ["1", "2", "3", "4", "5"],
        "title": ["", "", "On", "", ""],
        "text": ["Why not?", "An answer.", "a title", "Spaced\n out ", "Other"],
    }
)
QUERIES = pd.DataFrame(
    {
        "id": ["1", "2", "3", "4", "9"],
        "text": ["Why not?", "A question", "On a title", "Spaced out", "Other"],
    }
)
QRELS = pd.DataFrame(
    {"query_id": ["1", "2", "4"], "corpus_id": ["2", "2", "4"], "score": [1, 1, 0]}
)


@pytest.mark.parametrize(
    ("drop", "expected"),
    [("texts", ["1", "3", "4"]), ("ids", ["1", "2", "3", "4"]), ("none", [])],
)
def test_what_is_left_out_depends_on_texts_or_ids(drop: DropIdentical, expected: list[str]) -> None:
    assert identical_ids(CORPUS, QUERIES, QRELS, drop) == expected


def test_a_query_may_be_the_text_of_its_document_without_the_title() -> None:
    titled = CORPUS.set_column(1, "title", pa.array(["A title"] * 5))
    assert identical_ids(titled, QUERIES, QRELS, "texts") == ["1", "4"]


def test_relevant_documents_that_are_left_out_are_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    identical_ids(CORPUS, QUERIES, QRELS, "texts")
    assert not messages_of(caplog, logging.WARNING)
    identical_ids(CORPUS, QUERIES, QRELS, "ids")
    (message,) = messages_of(caplog, logging.WARNING)
    assert message.startswith("evaluation.drop_identical: ids leaves out 1 documents that are judg")


def test_only_a_query_s_own_document_is_dropped_from_its_results() -> None:
    run = pd.DataFrame({"query_id": ["1", "1", "2", "2"], "corpus_id": ["1", "2", "1", "2"]})
    assert drop_identical(run, ["1"]).to_numpy().tolist() == [["1", "2"], ["2", "1"], ["2", "2"]]
    assert drop_identical(run, []).equals(run)


def test_variants_are_scored_without_the_documents_that_are_left_out() -> None:
    ids, eye = [str(i) for i in range(4)], np.eye(4, dtype=np.float32)
    vectors = [
        Embeddings(eye, as_ids(ids), {}, f"base.set_{part}") for part in ("queries", "corpus")
    ]
    qrels = pd.DataFrame({"query_id": ids, "corpus_id": ids, "score": 1})
    found = {}
    for identical in ([], ["0"]):
        search_set = SearchSet("set", *vectors, qrels, identical)
        scores, _ = Ablation(None, [search_set], 4).evaluate({}, [], None)  # type: ignore[arg-type]
        found[len(identical)] = scores["nDCG@10"].tolist()
    assert found == {0: [1, 1, 1, 1], 1: [0, 1, 1, 1]}
