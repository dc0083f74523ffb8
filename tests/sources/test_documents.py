import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from embedlab.errors import InputError
from embedlab.sources.documents import DocumentPairsParameters, read_document_pairs, shortened
from embedlab.sources.negatives import bm25_negatives, random_negatives
from embedlab.sources.retrieval_set import full_texts
from embedlab.sources.sentences import first_sentence

TOPICS = ["river", "castle", "violin", "comet", "orchid"]


def document(number: int) -> dict[str, Any]:
    topic = TOPICS[number % len(TOPICS)]
    text = f"The {topic} number {number} is old. It is a {topic} that {number} people saw."
    return {"id": f"d{number}", "title": f"{topic.title()} {number}", "text": text}


def write(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def pairs_of(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Any:
    raw = {"data": {"files": [write(folder, rows)]}, **options}
    return read_document_pairs(DocumentPairsParameters.model_validate(raw))


DOCUMENTS = [document(number) for number in range(100)]


# --- sentences -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence", "rest"),
    [
        ("One here. Two here.", "One here.", "Two here."),
        ("Is it? It is!", "Is it?", "It is!"),
        ("Dr. No, i.e. J. S. Bach, came. He left.", "Dr. No, i.e. J. S. Bach, came.", "He left."),
        ('He said "Stop." She did.', 'He said "Stop."', "She did."),
        ("It cost 3.5 million. Much.", "It cost 3.5 million.", "Much."),
        ("It ended... and began. So.", "It ended... and began.", "So."),
        ("Ada (b. 1815. London) wrote. More.", "Ada (b. 1815. London) wrote.", "More."),
        ("What is?  first\n printed in 1989. Then.", "What is? first printed in 1989.", "Then."),
        ("東京は首都です。人口が多い。", "東京は首都です。", "人口が多い。"),
        ("Only one sentence.", "Only one sentence.", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_the_first_sentence_ends_where_a_reader_would_say(
    text: str, sentence: str, rest: str
) -> None:
    assert first_sentence(text) == (sentence, rest)


@given(st.text(st.sampled_from('aB1 .!?()"\n'), max_size=60))
def test_splitting_off_the_first_sentence_loses_nothing(text: str) -> None:
    assert " ".join(first_sentence(text)).split() == text.split()


# --- pairs ---------------------------------------------------------------------------------------


def test_the_first_sentence_asks_for_the_rest(tmp_path: Path) -> None:
    train, validation, test, report = pairs_of(tmp_path, DOCUMENTS, id_column="id")
    assert list(train.columns) == ["query", "positive", "negative", "source"]
    assert (len(train), len(validation), len(test.queries)) == (80, 10, 10)
    first = train.iloc[0]
    number = int(first["query"].split()[3])
    assert first["query"] == f"The {TOPICS[number % 5]} number {number} is old."
    title, text = DOCUMENTS[number]["title"], DOCUMENTS[number]["text"]
    assert first["positive"] == f"{title} {text.removeprefix(first['query']).strip()}"
    assert set(train["source"]) == {"texts"}
    assert (report["train_pairs"], report["validation_pairs"], report["test_queries"]) == (
        80,
        10,
        10,
    )


def test_the_test_set_holds_its_own_documents_and_nothing_else(tmp_path: Path) -> None:
    train, validation, test, _ = pairs_of(tmp_path, DOCUMENTS, id_column="id")
    assert len(test.corpus) == len(test.queries) == len(test.qrels) == 10
    assert set(test.qrels["query_id"]) == set(test.queries["id"])
    assert set(test.qrels["corpus_id"]) == set(test.corpus["id"].to_pylist())
    assert set(test.queries["id"]).isdisjoint(test.corpus["id"].to_pylist())
    texts = {row["id"]: row["text"] for row in DOCUMENTS}
    queries = test.queries.set_index("id")["text"]
    documents = test.corpus.to_pandas().set_index("id")["text"]
    for query_id, corpus_id in zip(test.qrels["query_id"], test.qrels["corpus_id"], strict=True):
        assert f"{queries[query_id]} {documents[corpus_id]}" == texts[corpus_id]
    assert set(full_texts(test.corpus)).isdisjoint([*train["positive"], *validation["positive"]])


@settings(max_examples=25, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 30), min_size=24, max_size=60),
    seed=st.integers(0, 5),
    negatives=st.sampled_from(["none", "random"]),
)
def test_shares_have_no_text_in_common(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], seed: int, negatives: str
) -> None:
    assume(len(set(numbers)) >= 8)
    rows = [document(number) for number in numbers]
    folder = tmp_path_factory.mktemp("documents")
    options = {"seed": seed, "negatives": negatives, "split": [0.4, 0.3, 0.3]}
    train, validation, test, report = pairs_of(folder, rows, **options)
    shares = [
        {*train["query"], *train["positive"]},
        {*validation["query"], *validation["positive"]},
        {*test.queries["text"], *full_texts(test.corpus)},
    ]
    assert sum(map(len, shares)) == len(set.union(*shares)) == 2 * len(set(numbers))
    repeats = len(numbers) - len(set(numbers))
    assert report["left_out"].get("repeats an earlier document", 0) == repeats
    for query, positive in zip(train["query"], train["positive"], strict=True):
        assert query not in positive


def test_the_sentence_stays_when_asked(tmp_path: Path) -> None:
    train, *_ = pairs_of(tmp_path, DOCUMENTS, keep_sentence=True)
    assert all(q in p for q, p in zip(train["query"], train["positive"], strict=True))


def test_documents_that_give_no_pair_are_counted(tmp_path: Path) -> None:
    unfit = [
        {"text": "Only one sentence."},
        {"text": "Twice said. And again: Twice said. Yes."},
        {"text": DOCUMENTS[0]["text"]},
    ]
    *_, report = pairs_of(tmp_path, DOCUMENTS + unfit)
    assert report["kept"] == 100
    assert report["left_out"] == {
        "one sentence only": 1,
        "says its first sentence again": 1,
        "repeats an earlier document": 1,
    }


@pytest.mark.parametrize("negatives", ["random", "bm25"])
def test_a_negative_is_another_positive_of_the_share(tmp_path: Path, negatives: str) -> None:
    train, validation, _, _ = pairs_of(tmp_path, DOCUMENTS, negatives=negatives)
    for share in (train, validation):
        assert set(share["negative"]) <= set(share["positive"])
        assert (share["negative"] != share["positive"]).all()


def test_bm25_negatives_are_of_the_same_topic(tmp_path: Path) -> None:
    train, *_ = pairs_of(tmp_path, DOCUMENTS, negatives="bm25")
    topics = train["query"].str.split().str[1].str.title()
    assert (train["negative"].str.split().str[0] == topics).all()


def test_bm25_ranks_large_tables_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedlab.sources.negatives.BLOCK_ROWS", 20)
    texts = [row["text"] for row in DOCUMENTS]
    negatives = bm25_negatives(texts, texts)
    rows = np.arange(100)
    assert (negatives // 20 == rows // 20).all()
    assert (negatives != rows).all()
    assert (negatives % 5 == rows % 5).all()


@given(rows=st.integers(2, 50), seed=st.integers(0, 9))
def test_random_negatives_use_every_other_row_once(rows: int, seed: int) -> None:
    negatives = random_negatives(rows, np.random.default_rng(seed))
    assert sorted(negatives) == list(range(rows))
    assert (negatives != np.arange(rows)).all()


def test_the_same_seed_gives_the_same_pairs(tmp_path: Path) -> None:
    first, second, other = (
        pairs_of(tmp_path, DOCUMENTS, seed=seed, max_pairs=50)[0] for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, second)
    assert len(first) == 40
    assert first["query"].tolist() != other["query"].tolist()


def test_text_lines_are_documents_too(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(row["text"] for row in DOCUMENTS))
    raw = {"data": {"files": [str(path)]}, "negatives": "none"}
    train, _, test, _ = read_document_pairs(DocumentPairsParameters.model_validate(raw))
    assert len(train) == 80
    assert train["negative"].isna().all()
    assert set(test.corpus["title"].to_pylist()) == {""}


DOCUMENT_ERRORS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no text": (
        [*DOCUMENTS, {"id": "x"}],
        {},
        "{file}:101: field 'text' is missing "
        "(bad rows: 1 of 101; repair them or set on_error: skip)",
    ),
    "duplicate id": (
        [*DOCUMENTS, {**document(101), "id": "d0"}],
        {"id_column": "id"},
        "{file}:101: duplicate id ('d0') (bad rows: 1 of 101; repair them or set on_error: skip)",
    ),
    "too few": (
        DOCUMENTS[:5],
        {},
        "texts: 5 pairs are too few to split by [0.8, 0.1, 0.1] with negatives: random; "
        "give more documents",
    ),
    "single sentences": (
        [{"text": "One."}] * 3,
        {},
        "none of the 3 rows is usable: one sentence only: 3",
    ),
}


@pytest.mark.parametrize("case", DOCUMENT_ERRORS)
def test_bad_documents_are_named(tmp_path: Path, case: str) -> None:
    rows, options, message = DOCUMENT_ERRORS[case]
    with pytest.raises(InputError) as raised:
        pairs_of(tmp_path, rows, **options)
    assert str(raised.value) == message.format(file=tmp_path / "texts.jsonl")


DATA = {"path": "wikimedia/wikipedia"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({}, "data: Field required"),
        ({"data": DATA, "split": [0.8, 0.1, 0.2]}, "split [0.8, 0.1, 0.2] must be"),
        ({"data": DATA, "split": [1.2, -0.1, -0.1]}, "split [1.2, -0.1, -0.1] must"),
        ({"data": DATA, "min_characters": 9, "max_characters": 3}, "min_characters exceeds"),
        ({"data": DATA, "negatives": "hard"}, "negatives: Input should be 'none', 'random'"),
    ],
)
def test_bad_parameters_are_named(raw: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError) as raised:
        DocumentPairsParameters.model_validate(raw)
    assert str(raised.value).startswith(reason)


@given(st.text(st.sampled_from("ab "), max_size=40), st.integers(1, 20))
def test_texts_are_cut_at_a_word_boundary(text: str, maximum: int) -> None:
    text = " ".join(text.split())
    cut = shortened(text, maximum)
    assert len(cut) <= maximum
    assert text.startswith(cut)
    if len(text) > maximum and " " in text[: maximum + 1]:
        assert text[len(cut)] == " "


def test_documents_are_limited_in_number_and_length(tmp_path: Path) -> None:
    rows = [{"text": "Short. Text."}, *DOCUMENTS]
    bounds = {"max_documents": 40, "min_characters": 30, "max_characters": 55}
    split = {"split": [0.5, 0.25, 0.25], "keep_sentence": True}
    train, _, test, report = pairs_of(tmp_path, rows, **bounds, **split)
    assert (len(train), len(test.queries), report["read"]) == (20, 10, 41)
    assert report["left_out"] == {"shorter than min_characters": 1}
    assert max(map(len, test.corpus["text"].to_pylist())) <= 55


# --- real data -----------------------------------------------------------------------------------


def test_real_passages_give_clean_pairs(shared_data: Path) -> None:
    path = shared_data / "wiki-passages" / "passages.jsonl"
    raw = {"data": {"files": [str(path)]}, "id_column": "_id", "max_pairs": 2000}
    train, _, test, report = read_document_pairs(
        DocumentPairsParameters.model_validate({**raw, "negatives": "bm25"})
    )
    assert (len(train), len(test.queries)) == (1600, 200)
    assert report["kept"] > 0.8 * report["read"]
    assert not any(q in p for q, p in zip(train["query"], train["positive"], strict=True))
    assert train["query"].str.len().median() > 60
