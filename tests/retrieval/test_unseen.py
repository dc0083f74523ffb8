import pandas as pd
import pyarrow as pa

from embedlab.retrieval.unseen import seen_queries, unseen_tables
from embedlab.sources.retrieval_set import RetrievalSet

SET = RetrievalSet(
    pa.table({"id": ["a", "b", "c"], "title": ["T", "", ""], "text": ["one", "two", "three"]}),
    pd.DataFrame({"id": ["q1", "q2", "q3"], "text": ["first", "second", "third"]}),
    pd.DataFrame(
        {
            "query_id": ["q1", "q1", "q2", "q3", "q3"],
            "corpus_id": ["a", "b", "b", "c", "a"],
            "score": [1, 0, 1, 2, 0],
        }
    ),
)


def pairs(*rows):
    return pd.DataFrame(rows, columns=["query", "positive"])


def test_a_query_is_seen_by_a_relevant_document_or_by_its_text():
    assert seen_queries(SET, pairs(("other", "T one"))) == ["q1"]
    assert seen_queries(SET, pairs(("third", "another"))) == ["q3"]
    assert seen_queries(SET, pairs(("x", "two"), ("y", "three"))) == ["q2", "q3"]
    assert seen_queries(SET, pairs(("x", "one"))) == []


def test_sets_that_are_all_seen_are_left_out():
    table = pd.DataFrame({"query_id": ["q1", "q2"], "nDCG@10": [0.1, 0.2]})
    tables = {"first": {"m": table}, "second": {"m": table}}
    unseen = unseen_tables(tables, {"first": ["q1", "q2"], "second": ["q2"]})
    assert list(unseen) == ["second"]
    assert unseen["second"]["m"]["query_id"].tolist() == ["q1"]
