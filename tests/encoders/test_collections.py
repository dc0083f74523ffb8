import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedlab.encoders.collection import (
    TextCollection,
    concatenated_pair_texts,
    corpus_texts,
    pair_document_texts,
    pair_query_texts,
    pair_texts,
    prefix_texts,
    query_texts,
    response_ids,
    response_texts,
)
from embedlab.errors import InputError
from embedlab.sources.prefixes import prefix_id, response_id, unique_prefixes
from embedlab.sources.retrieval_documents import documents_of_pairs, text_id
from embedlab.text_table import as_ids

PROBLEMS = pd.DataFrame({"id": ["a", "b"], "problem": ["p1", "p2"], "solution": ["s1", "s2"]})
CORPUS = pa.table({"id": ["d1", "d2"], "title": ["T", ""], "text": ["x", "y"]})
QUERIES = pd.DataFrame({"id": ["q"], "text": ["?"]})


def user(text):
    return {"role": "user", "content": text}


def pairs(*rows):
    """Preference pairs (prompt, chosen, rejected)."""
    prefixes = [{"messages": [user("Be kind."), user(prompt)]} for prompt, *_ in rows]
    answers = pd.DataFrame([row[1:] for row in rows], columns=["chosen", "rejected"])
    return answers.assign(prefix=prefixes)


def test_problem_and_solution_as_one_text_or_two():
    assert concatenated_pair_texts(PROBLEMS).parts == [["p1 [SEP] s1", "p2 [SEP] s2"]]
    assert pair_texts(PROBLEMS).parts == [["p1", "p2"], ["s1", "s2"]]
    for collection in (concatenated_pair_texts(PROBLEMS), pair_texts(PROBLEMS)):
        assert collection.ids.to_pylist() == ["a", "b"]


def test_documents_have_titles_and_roles_differ():
    assert list(corpus_texts(CORPUS).parts[0]) == ["T x", "y"]
    assert (corpus_texts(CORPUS).role, query_texts(QUERIES).role) == ("document", "query")


def test_queries_of_pairs_are_distinct_and_known_by_their_text():
    train, validation = (
        pd.DataFrame({"query": ["b", "a", "b"]}),
        pd.DataFrame({"query": ["c", "a"]}),
    )
    collection = pair_query_texts(train, validation)
    assert (collection.parts, collection.role) == ([["b", "a", "c"]], "query")
    assert collection.ids.to_pylist() == [text_id(text) for text in "bac"]
    assert pair_query_texts(train, validation.iloc[:0]).parts == [["b", "a"]]


def test_documents_of_pairs_are_their_positives_and_negatives():
    train = pd.DataFrame({"positive": ["p", "q", "p"], "negative": ["n", None, float("nan")]})
    documents = documents_of_pairs(train, pd.DataFrame({"positive": ["n", "v"]}))
    assert documents["text"].to_pylist() == ["p", "n", "q", "v"]
    collection = pair_document_texts(documents)
    (texts,) = collection.parts
    assert (list(texts), len(texts), collection.role) == (["p", "n", "q", "v"], 4, "document")
    assert collection.ids.to_pylist() == [text_id(text) for text in "pnqv"]
    assert text_id("Hello") == "185f8db32271fe25f561a6fc938b2e26"


def test_ids_are_distinct_and_as_many_as_texts():
    with pytest.raises(InputError, match="2 duplicate ids"):
        TextCollection(as_ids(["a", "a", "a"]), [["x", "y", "z"]])
    with pytest.raises(InputError, match="2 ids, but not as many texts"):
        TextCollection(as_ids(["a", "b"]), [["x"]])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=3)), min_size=1, max_size=12))
def test_prefixes_are_unique_by_first_user_message_in_order(rows):
    messages = [[{"role": "system", "content": s}, user(u)] for u, s in rows]
    pairs = pd.DataFrame(
        {"prefix": [{"messages": m} for m in messages], "prefix_id": map(prefix_id, messages)}
    )
    prefixes = unique_prefixes(pairs)
    firsts = list(dict.fromkeys(u for u, _ in rows))
    assert prefixes["id"].tolist() == [prefix_id([user(u)]) for u in firsts]
    kept = [prefix["messages"][1]["content"] for prefix in prefixes["prefix"]]
    assert kept == firsts


def test_a_prefix_id_never_changes():
    assert prefix_id([user("Hello")]) == "185f8db32271fe25"
    assert prefix_texts(
        pd.DataFrame({"id": ["x"], "prefix": [{"messages": [user("a"), user("b")]}]})
    ).parts == [["a\nb"]]


@given(st.lists(st.tuples(*[st.sampled_from(["a", "b c", "é"])] * 3), min_size=1, max_size=8))
def test_responses_are_distinct_after_their_prefix_in_order_of_appearance(rows):
    collection = response_texts(pairs(*rows))
    appearing = [(f"Be kind.\n{p}", answer) for p, *answers in rows for answer in answers]
    distinct = list(dict.fromkeys(appearing))
    assert list(zip(*collection.parts, strict=True)) == distinct
    assert collection.ids.to_pylist() == [response_id(*item) for item in distinct]
    chosen, rejected = response_ids(pairs(*rows))
    assert (chosen, rejected) == (
        [response_id(*item) for item in appearing[::2]],
        [response_id(*item) for item in appearing[1::2]],
    )


def test_a_response_id_never_changes():
    assert response_id("Hello", "Grüß dich") == "72bc01fcd2f4ef019796926f4a5cf72e"
    assert response_id("a", "b c") != response_id("a b", "c")


@pytest.mark.parametrize("empty", ["", " \n", None, 7])
def test_an_empty_response_is_named(empty):
    table = pairs(("p", "a", "b"), ("q", "c", empty))
    message = r"preference_pairs: row 1: rejected is empty or no text; leave the pair out"
    for function in (response_texts, response_ids):
        with pytest.raises(InputError, match=message):
            function(table)
