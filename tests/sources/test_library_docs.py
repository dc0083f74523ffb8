"""Tables of library documentation: held-out libraries, near negatives, merged duplicates."""

import importlib
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.errors import InputError
from embedlab.sources.docstrings import extract_docs
from embedlab.sources.library_docs import (
    LibraryDocsParameters,
    preference_pairs,
    problem_solutions,
    retrieval_pairs,
    retrieval_set,
    sample_docs,
)
from embedlab.sources.negatives import near_neighbours
from embedlab.sources.prefixes import prefix_id

TRAIN, TEST = ("alpha", "beta"), ("held", "out")
PARAMETERS = LibraryDocsParameters(libraries=TRAIN + TEST, test_libraries=TEST, sample_size=50)
WORDS = ("matrix", "graph", "file", "colour", "thread", "angle", "letter", "price")


def document(library, summary, body):
    """One document; equal numbers give equal texts, summaries 2i and 2i + 1 differ in case."""
    case, word = summary // 2, WORDS[summary // 2 % len(WORDS)]
    return {
        "library": library,
        "kind": "function" if body % 2 else "class",
        "summary": f"{'Compute' if summary % 2 else 'compute'} the {word} of case {case}.",
        "body": f"It reads the {WORDS[body % len(WORDS)]} number {body} and returns it.",
    }


def table(documents):
    """The shape of what `extract_docs` gives."""
    docs = pd.DataFrame(documents).drop_duplicates(["summary", "body"])
    docs.insert(1, "name", [f"{library}.f{i:04}" for i, library in enumerate(docs["library"])])
    return docs.sort_values(["library", "name"], ignore_index=True)


def distinct(libraries, count, start):
    """Documents that are all different, over the libraries in turn."""
    return [document(libraries[i % len(libraries)], start + i, start + i) for i in range(count)]


LARGE = table(distinct(TRAIN, 100, 0) + distinct(TEST, 100, 100))

# Bodies 0 to 7 stay single, so that there is always a negative.
collisions = st.lists(
    st.builds(document, st.sampled_from(TRAIN + TEST), st.integers(0, 45), st.integers(8, 45)),
    max_size=30,
)
docs_with_collisions = collisions.map(
    lambda extra: table(distinct(TRAIN, 14, 0) + distinct(TEST, 12, 30) + extra)
)
parameters = st.builds(
    lambda seed, size, pairs: PARAMETERS.model_copy(
        update={"seed": seed, "sample_size": size, "pairs_per_prefix": pairs}
    ),
    st.integers(0, 5),
    st.integers(50, 90),
    st.integers(1, 4),
)
few = settings(max_examples=40, deadline=None)


def folded(text):
    return "".join(text.split()).casefold()


@few
@given(docs_with_collisions, parameters)
def test_the_sample_holds_each_document_once_in_the_right_split(docs, parameters):
    sample, report = sample_docs(docs, parameters)
    assert sample["id"].is_unique
    assert len(sample) <= parameters.sample_size
    assert ((sample["split"] == "test") == sample["library"].isin(TEST)).all()
    assert set(sample["split"]) == {"train", "validation", "test"}
    assert sum(report["splits"].values()) == len(sample)
    splits = sample.groupby("split")["summary"].agg(set)
    assert not splits["train"] & splits["validation"]
    merged = sample.merge(docs, on=["library", "name", "kind", "summary", "body"])
    assert len(merged) == len(sample)


@few
@given(docs_with_collisions, parameters)
def test_no_held_out_library_is_in_the_training_pairs(docs, parameters):
    sample, _ = sample_docs(docs, parameters)
    train, validation = retrieval_pairs(sample)
    for pairs, split, pool in (
        (train, "train", ["train"]),
        (validation, "validation", ["train", "validation"]),
    ):
        test = sample[sample["split"] == "test"]
        judged = sample["summary"].isin(test["summary"]) | sample["body"].isin(test["body"])
        kept = sample[(sample["split"] == split) & ~judged]
        allowed = set(sample.loc[sample["split"].isin(pool), "body"])
        assert pairs["query"].tolist() == kept["summary"].tolist()
        assert pairs["positive"].tolist() == kept["body"].tolist()
        assert set(pairs["source"]) <= {f"library_docs/{library}" for library in TRAIN}
        assert set(pairs["negative"]) <= allowed


@few
@given(docs_with_collisions, parameters)
def test_a_negative_is_never_a_right_answer(docs, parameters):
    sample, _ = sample_docs(docs, parameters)
    answers = sample.groupby(sample["summary"].map(folded))["body"].agg(set)
    for pairs in retrieval_pairs(sample):
        for pair in pairs.itertuples():
            assert pair.negative not in answers[folded(pair.query)]


@few
@given(docs_with_collisions, parameters)
def test_the_test_set_judges_every_body_of_an_identical_summary(docs, parameters):
    sample, _ = sample_docs(docs, parameters)
    test_set = retrieval_set(sample)
    corpus = test_set.corpus.to_pandas().set_index("id")["text"]
    queries = test_set.queries.set_index("id")["text"]
    assert corpus.index.is_unique
    assert queries.index.is_unique
    assert sorted(corpus) == sorted(set(sample["body"]))
    assert sorted(queries) == sorted(set(sample.loc[sample["split"] == "test", "summary"]))
    assert not set(corpus.index) & set(queries.index)
    assert set(test_set.qrels["score"]) == {1}
    assert not test_set.qrels.duplicated().any()
    judged = test_set.qrels.groupby("query_id")["corpus_id"].agg(set)
    for query_id, summary in queries.items():
        bodies = set(sample.loc[sample["summary"] == summary, "body"])
        assert {corpus[corpus_id] for corpus_id in judged[query_id]} == bodies


@few
@given(docs_with_collisions, parameters)
def test_rejected_texts_differ_from_the_chosen_one_and_from_each_other(docs, parameters):
    sample, _ = sample_docs(docs, parameters)
    pairs = preference_pairs(sample, parameters)
    assert len(pairs) == len(sample) * parameters.pairs_per_prefix
    assert all(folded(p.chosen) != folded(p.rejected) for p in pairs.itertuples())
    rejected = pairs.groupby("prefix_id")["rejected"]
    assert (rejected.agg(lambda texts: texts.map(folded).nunique()) == rejected.size()).all()
    assert set(pairs["rejected"]) <= set(sample["summary"])


def test_a_preference_asks_for_the_named_object():
    sample, _ = sample_docs(LARGE, PARAMETERS)
    pair = preference_pairs(sample, PARAMETERS).iloc[0]
    row = sample.iloc[0]
    question = f"What does the {row['kind']} `{row['name']}` do?"
    assert pair["prefix"] == {"messages": [{"role": "user", "content": question}]}
    assert pair["prefix_id"] == prefix_id(pair["prefix"]["messages"])
    assert pair["chosen"] == row["summary"]
    assert pair["src"] == f"library_docs/{row['library']}"


def test_problems_are_summaries_and_solutions_bodies():
    sample, _ = sample_docs(LARGE, PARAMETERS)
    rows = problem_solutions(sample)
    assert rows.columns.tolist() == ["id", "problem", "solution", "source", "split"]
    assert rows["problem"].equals(sample["summary"].rename("problem"))
    assert rows["solution"].equals(sample["body"].rename("solution"))
    assert (rows["source"] == "library_docs/" + sample["library"]).all()


def everything(docs, parameters):
    """All tables as bytes."""
    sample, report = sample_docs(docs, parameters)
    test_set = retrieval_set(sample)
    tables = [
        sample,
        problem_solutions(sample),
        *retrieval_pairs(sample),
        preference_pairs(sample, parameters),
        test_set.corpus.to_pandas(),
        test_set.queries,
        test_set.qrels,
    ]
    return [json.dumps(report), *(t.to_json(orient="records", lines=True) for t in tables)]


def test_the_seed_alone_decides():
    first = everything(LARGE, PARAMETERS)
    assert everything(LARGE.copy(), PARAMETERS) == first
    other = everything(LARGE, PARAMETERS.model_copy(update={"seed": 1}))
    assert all(a != b for a, b in zip(first[1:], other[1:], strict=True))


def test_a_quarter_of_the_sample_is_held_out():
    sample, report = sample_docs(LARGE, PARAMETERS)
    assert report["splits"] == {"test": 12, "train": 34, "validation": 4}
    assert len(sample) == 50


def test_the_report_says_what_was_found_sampled_and_skipped(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for library in ("gardens", "rivers"):
        summaries = [f"Return the {library} of region number {i}." for i in range(30)]
        body = "It looks the region up in a long table of all regions that were ever measured."
        (tmp_path / f"{library}.py").write_text(
            "".join(
                f'def f{i}():\n    """{summary}\n\n    {body} Then {i}.\n    """\n'
                for i, summary in enumerate(summaries)
            )
        )
    importlib.invalidate_caches()
    libraries = ("gardens", "rivers", "never_installed")
    chosen = LibraryDocsParameters(libraries=libraries, test_libraries=("rivers",), sample_size=50)
    _, report = sample_docs(extract_docs(libraries), chosen)
    assert report == {
        "libraries": {
            "gardens": {"found": 30, "sampled": 30},
            "rivers": {"found": 30, "sampled": 12},
        },
        "libraries_absent": ["never_installed"],
        "files_read": 2,
        "files_unparsable": 0,
        "splits": {"test": 12, "train": 27, "validation": 3},
    }


@pytest.mark.parametrize(
    ("docs", "part"),
    [
        (table(distinct(TRAIN, 40, 0) + distinct(TEST, 9, 50)), "test_libraries"),
        (table(distinct(TRAIN, 9, 0) + distinct(TEST, 40, 50)), "training"),
        (LARGE.iloc[:0], "test_libraries"),
    ],
)
def test_too_few_documents_give_one_line(docs, part):
    with pytest.raises(InputError, match=part) as caught:
        sample_docs(docs, PARAMETERS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"test_libraries": ["rust"]}, "rust must be listed"),
        ({"libraries": ["kedro"], "test_libraries": ["kedro"]}, "leave some for training"),
        ({"test_libraries": []}, "must be some of libraries"),
        ({"libraries": ["scipy.sparse", "kedro"], "test_libraries": ["kedro"]}, "libraries.0"),
        ({"sample_size": 49}, "sample_size"),
        ({"sample_size": 4001}, "sample_size"),
        ({"pairs_per_prefix": 0}, "pairs_per_prefix"),
        ({"sample_sise": 100}, "sample_sise: no such parameter"),
    ],
)
def test_faulty_parameters_give_one_line(values, reason):
    with pytest.raises(InputError, match=reason):
        LibraryDocsParameters.model_validate(
            {"libraries": ["kedro", "numpy"], "test_libraries": ["kedro"]} | values
        )


def test_the_nearest_text_shares_most_words_and_not_the_key():
    texts = ["red cat sits", "red cat sleeps", "blue dog runs", "green bird sings"]
    keys = np.array(["a", "b", "c", "d"])
    near = near_neighbours(["red cat sits"], np.array(["a"]), texts, keys, 1)
    assert near.tolist() == [[1]]
    near = near_neighbours(["red cat sits"], np.array(["z"]), texts, keys, 2)
    assert near.tolist() == [[0, 1]]


@pytest.mark.parametrize("texts", [["one", "two", "three"], []])
def test_too_few_different_texts_give_one_line(texts):
    keys = np.array(["a", "a", "b"])
    with pytest.raises(InputError, match="fewer than 2 others"):
        near_neighbours(["one"], keys[:1], texts, keys[: len(texts)], 2)


def test_texts_of_stop_words_alone_are_no_obstacle():
    keys = np.array(["a", "b", "c"])
    near = near_neighbours(["the", "cat"], keys[:2], ["the", "of", "cat"], keys, 1)
    assert near[0, 0] != 0
    assert near[1, 0] == 2
