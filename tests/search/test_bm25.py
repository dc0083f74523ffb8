import logging
import math
from pathlib import Path

import bm25s
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import messages_of

from embedlab.errors import InputError
from embedlab.retrieval.scores import score_run
from embedlab.search.bm25 import Bm25Parameters, bm25_search
from embedlab.text_table import as_ids

PLAIN = Bm25Parameters(stemmer=None, stopwords=None)
WORDS = ["red", "green", "blue", "fish", "bird", "tree"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), min_size=1, max_size=12)


def search(
    corpus: list[str], queries: list[str], parameters: Bm25Parameters = PLAIN, top_k: int = 10
) -> pd.DataFrame:
    corpus_ids = as_ids(f"d{i}" for i in range(len(corpus)))
    query_ids = as_ids(f"q{i}" for i in range(len(queries)))
    return bm25_search(corpus, corpus_ids, queries, query_ids, parameters, top_k)


def lucene(query: list[str], document: list[str], corpus: list[list[str]]) -> float:
    """The formula, term by term."""
    mean_length = sum(map(len, corpus)) / len(corpus)
    total = 0.0
    for term in query:
        having, count = sum(term in other for other in corpus), document.count(term)
        idf = math.log(1 + (len(corpus) - having + 0.5) / (having + 0.5))
        total += idf * count / (count + 1.2 * (1 - 0.75 + 0.75 * len(document) / mean_length))
    return total


@settings(deadline=None, max_examples=50)
@given(TEXTS, TEXTS)
def test_scores_are_those_of_the_formula(corpus: list[list[str]], queries: list[list[str]]) -> None:
    run = search(
        [" ".join(terms) for terms in corpus], [" ".join(terms) for terms in queries], top_k=99
    )
    found = {(q, d): score for q, d, score in run.itertuples(index=False)}
    for i, query in enumerate(queries):
        for j, document in enumerate(corpus):
            expected = lucene(query, document, corpus)
            assert found.get((f"q{i}", f"d{j}"), 0.0) == pytest.approx(expected, rel=1e-4)
    assert (run["score"] > 0).all()
    for _, scores in run.groupby("query_id")["score"]:
        assert scores.is_monotonic_decreasing


@pytest.mark.parametrize("method", ["lucene", "robertson", "atire"])
def test_best_scores_are_those_of_bm25s_own_retrieval(method: str) -> None:
    rng = np.random.default_rng(0)
    corpus = [" ".join(rng.choice(WORDS, 6)) for _ in range(60)]
    queries = [" ".join(rng.choice(WORDS, 2, replace=False)) for _ in range(9)]
    parameters = Bm25Parameters(method=method, k1=0.9, b=0.4, stemmer=None, stopwords=None)
    index = bm25s.BM25(method=method, k1=0.9, b=0.4)
    index.index(bm25s.tokenize(corpus, stopwords=None, show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(queries, stopwords=None, return_ids=False, show_progress=False)
    expected = index.retrieve(tokens, k=5, show_progress=False).scores
    run = search(corpus, queries, parameters, top_k=5)
    np.testing.assert_allclose(run["score"], expected[expected > 0], rtol=1e-6)


def test_stemmer_and_stop_words_decide_what_matches() -> None:
    corpus, queries = ["a fish swims", "the birds"], ["the swimming bird"]
    english = search(corpus, queries, Bm25Parameters())
    assert sorted(english["corpus_id"]) == ["d0", "d1"]
    assert search(corpus, queries)["corpus_id"].tolist() == ["d1"]
    assert search(corpus, ["the"])["corpus_id"].tolist() == ["d1"]
    assert search(corpus, ["the"], Bm25Parameters()).empty


def test_equal_documents_rank_by_position_and_all_may_be_asked_for() -> None:
    corpus = ["blue bird", "red fish", "blue bird", "", "blue bird"]
    assert search(corpus, ["bird"], top_k=2)["corpus_id"].tolist() == ["d0", "d2"]
    assert search(corpus, ["bird"], top_k=99)["corpus_id"].tolist() == ["d0", "d2", "d4"]


def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, queries = ["red fish", "blue bird", "green bird"], WORDS
    whole = search(corpus, queries)
    monkeypatch.setattr("embedlab.search.bm25.BLOCK_SIZE", 6)
    pd.testing.assert_frame_equal(search(corpus, queries), whole)


@pytest.mark.parametrize(
    ("corpus", "query"),
    [
        (["信息检索是找到文件。", "今天天气很好，我们去公园。"], "检索文件"),
        (["情報検索の方法について。", "今日はとても良い天気です。"], "検索の仕方"),
        (["การค้นหาข้อมูลที่ดี", "วันนี้อากาศแจ่มใส"], "ค้นหา"),
        (["用BM25检索", "用别的方法"], "BM25"),
    ],
    ids=["Chinese", "Japanese", "Thai", "mixed"],
)
def test_scripts_without_blanks_are_searched_by_pairs_of_letters(corpus, query) -> None:
    assert search(corpus, [query], Bm25Parameters())["corpus_id"].tolist()[0] == "d0"


def test_queries_that_find_nothing_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    search(["red fish", "blue bird"], ["red", "tree"])
    (message,) = messages_of(caplog, logging.WARNING)
    assert message.startswith("BM25: 1 of 2 queries have no term in common with any document")
    caplog.clear()
    search(["red fish", "blue bird"], ["red", "bird"])
    assert not messages_of(caplog)


def test_unusable_input_is_one_clear_line() -> None:
    with pytest.raises(InputError, match="no document has a term left"):
        search(["the", ""], ["the"], Bm25Parameters())
    with pytest.raises(InputError, match="stemmer: no such stemmer; there are arabic"):
        Bm25Parameters.model_validate({"stemmer": "klingon"})
    with pytest.raises(InputError, match=r"b: .*less than or equal to 1"):
        Bm25Parameters.model_validate({"b": 1.5})


def test_scifact_has_the_known_ndcg(shared_data: Path) -> None:
    folder = shared_data / "scifact"
    corpus = pd.read_json(folder / "corpus.jsonl", lines=True, dtype=False)
    queries = pd.read_json(folder / "queries.jsonl", lines=True, dtype=False)
    qrels = pd.read_csv(folder / "qrels" / "test.tsv", sep="\t", dtype={0: str, 1: str})
    qrels.columns = ["query_id", "corpus_id", "score"]
    queries = queries[queries["_id"].isin(qrels["query_id"])]
    texts = (corpus["title"] + " " + corpus["text"]).tolist()
    ids = as_ids(corpus["_id"]), as_ids(queries["_id"])
    run = bm25_search(texts, ids[0], queries["text"].tolist(), ids[1], Bm25Parameters(), 100)
    assert 100 * score_run(run, qrels, (10,))["nDCG@10"].mean() == pytest.approx(67.9, abs=0.1)
