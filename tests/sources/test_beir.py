import gzip
import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from embedlab.errors import InputError
from embedlab.sources.bad_rows import BadRows
from embedlab.sources.beir import BeirParameters, find_beir_set, load_beir_set, read_beir_folder
from embedlab.sources.beir_sets import (
    BEIR_GROUPS,
    NOT_DOWNLOADABLE,
    available_sets,
    expand_groups,
)

DOWNLOAD = "embedlab.sources.beir_download.BEIR_URL"
CORPUS = [
    {"_id": "d1", "title": "Rivers", "text": "Water flows."},
    {"_id": "d2", "text": "No title."},
    {"_id": "d3", "title": "", "text": " "},
]
QUERIES = [{"_id": "q1", "text": "flow"}, {"_id": "q2", "text": "unjudged"}]
QRELS = ["query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td3\t0"]


def lines(rows: list[Any]) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def write_set(
    folder: Path,
    corpus: list[Any] = CORPUS,
    queries: list[Any] = QUERIES,
    qrels: list[str] = QRELS,
) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(lines(corpus))
    (folder / "queries.jsonl").write_text(lines(queries))
    (folder / "qrels" / "test.tsv").write_text(lines(qrels))
    return folder


# --- reading -------------------------------------------------------------------------------------


def test_a_folder_is_read_with_its_judged_queries_only(tmp_path: Path) -> None:
    write_set(tmp_path / "mine")
    found, report = load_beir_set("mine", BeirParameters(root=str(tmp_path)))
    assert found.corpus.to_pydict() == {
        "id": ["d1", "d2", "d3"],
        "title": ["Rivers", "", ""],
        "text": ["Water flows.", "No title.", " "],
    }
    assert found.queries.to_dict("list") == {"id": ["q1"], "text": ["flow"]}
    assert found.qrels.values.tolist() == [["q1", "d1", 2], ["q1", "d3", 0]]
    counts = ("documents", "empty_documents", "queries", "judgements", "skipped")
    assert [report[count] for count in counts] == [3, 1, 1, 2, 0]


def test_the_header_is_optional_and_ids_may_be_numbers_or_quoted(tmp_path: Path) -> None:
    corpus = [{"_id": 7, "text": "a"}, {"_id": 'say "b"', "text": "b"}]
    write_set(
        tmp_path / "mine", corpus, [{"_id": 1, "text": "x"}], ["1\t7\t1", '1\t"say ""b"""\t-1']
    )
    found = read_beir_folder(tmp_path / "mine", "test", BadRows("fail"))
    assert found.qrels.values.tolist() == [["1", "7", 1], ["1", 'say "b"', -1]]


@pytest.mark.parametrize("first", ["1.0", '"1"', " 1", "1", "-1"])
def test_a_first_line_that_ends_in_a_number_is_no_header(tmp_path: Path, first: str) -> None:
    write_set(tmp_path / "mine", qrels=[f"q1\td1\t{first}", "q1\td3\t0"])
    found = read_beir_folder(tmp_path / "mine", "test", BadRows("fail"))
    assert found.qrels["score"].tolist() == [int(float(first.strip('"'))), 0]


def test_a_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    write_set(tmp_path / "mine", qrels=["q1\td1\t1", 'q1\t"a\rb\t1'])
    with pytest.raises(InputError, match=r"test\.tsv:\d: not "):
        read_beir_folder(tmp_path / "mine", "test", BadRows("fail"))


def test_integers_as_ids_are_the_same_in_all_three_files(tmp_path: Path) -> None:
    write_set(
        tmp_path / "mine",
        [{"_id": 7, "text": "a"}, {"_id": "8", "text": "b"}],
        [{"_id": 1, "text": "x"}, {"_id": "2", "text": "y"}],
        ["1\t7\t1", "1\t8\t0", "2\t7\t0", "2\t8\t1"],
    )
    found = read_beir_folder(tmp_path / "mine", "test", BadRows("fail"))
    assert found.corpus["id"].to_pylist() == ["7", "8"]
    assert found.relevant_pairs()[["query_id", "corpus_id"]].values.tolist() == [
        ["1", "7"],
        ["2", "8"],
    ]


@pytest.mark.parametrize("identifier", [1.0, True])
def test_ids_that_are_neither_texts_nor_integers_are_refused(
    tmp_path: Path, identifier: Any
) -> None:
    folder = write_set(tmp_path / "mine", [*CORPUS, {"_id": identifier, "text": "a"}])
    with pytest.raises(InputError, match=rf"jsonl:4: field '_id' is not text \({identifier}\)"):
        read_beir_folder(folder, "test", BadRows("fail"))


def test_corpus_and_queries_may_be_gzipped(tmp_path: Path) -> None:
    plain = read_beir_folder(write_set(tmp_path / "plain"), "test", BadRows("fail"))
    folder = write_set(tmp_path / "cqadupstack" / "tex")
    for name in ("corpus.jsonl", "queries.jsonl"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    assert available_sets(["cqadupstack"], tmp_path)[0] == ("cqadupstack/tex",)
    found, _ = load_beir_set("cqadupstack/tex", BeirParameters(root=str(tmp_path), download=False))
    assert found.corpus == plain.corpus
    pd.testing.assert_frame_equal(found.queries, plain.queries)


BAD_ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "no JSON": ({"corpus": [*CORPUS, "{"]}, "corpus.jsonl:4: not JSON"),
    "no id": ({"corpus": [*CORPUS, {"text": "x"}]}, "corpus.jsonl:4: field '_id' is missing"),
    "no text": ({"corpus": [*CORPUS, {"_id": "d4"}]}, "corpus.jsonl:4: field 'text' is missing"),
    "odd title": (
        {"corpus": [*CORPUS, {"_id": "d4", "title": 3, "text": "x"}]},
        "corpus.jsonl:4: field 'title' is not text (3)",
    ),
    "duplicate document": (
        {"corpus": [*CORPUS, CORPUS[0]]},
        "corpus.jsonl:4: duplicate id ('d1')",
    ),
    "duplicate query": (
        {"queries": [*QUERIES, QUERIES[0]]},
        "queries.jsonl:3: duplicate id ('q1')",
    ),
    "empty query": (
        {"queries": [*QUERIES, {"_id": "q3", "text": ""}]},
        "queries.jsonl:3: field 'text' is empty",
    ),
    "unknown document": (
        {"qrels": [*QRELS, "q1\tnone\t1"]},
        "qrels/test.tsv:4: unknown document ('none')",
    ),
    "unknown query": (
        {"qrels": [*QRELS, "none\td1\t1"]},
        "qrels/test.tsv:4: unknown query ('none')",
    ),
    "score": (
        {"qrels": [*QRELS, "q1\td2\thigh"]},
        "qrels/test.tsv:4: the score is not a whole number ('high')",
    ),
    "fraction": (
        {"qrels": [*QRELS, "q1\td2\t0.5"]},
        "qrels/test.tsv:4: the score is not a whole number ('0.5')",
    ),
    "digit group": (
        {"qrels": [*QRELS, "q1\td2\t1_0"]},
        "qrels/test.tsv:4: the score is not a whole number ('1_0')",
    ),
    "cells": (
        {"qrels": [*QRELS, "q1 0 d2 1"]},
        "qrels/test.tsv:4: not the three cells query-id, corpus-id, score ('q1 0 d2 1')",
    ),
    "judged twice": (
        {"qrels": [*QRELS, "q1\td1\t1"]},
        "qrels/test.tsv:4: judged twice ('q1 d1')",
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_or_skipped(tmp_path: Path, case: str) -> None:
    changed, message = BAD_ROWS[case]
    folder = write_set(tmp_path / "mine", **changed)
    with pytest.raises(InputError) as raised:
        read_beir_folder(folder, "test", BadRows("fail"))
    assert str(raised.value) == (
        f"{folder}/{message} (bad rows: 1 of 8; repair them or set on_error: skip)"
    )
    found = read_beir_folder(folder, "test", BadRows("skip"))
    assert (len(found.corpus), len(found.queries), len(found.qrels)) == (3, 1, 2)


def test_a_set_that_judges_nothing_known_is_an_error(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "mine", qrels=["q9\td1\t1"])
    with pytest.raises(InputError, match=r"test\.tsv: judges no query; give at least one"):
        read_beir_folder(folder, "test", BadRows("skip"))


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    folder = write_set(tmp_path / "mine")
    (folder / missing).unlink()
    with pytest.raises(InputError) as raised:
        read_beir_folder(folder, "test", BadRows("fail"))
    assert str(raised.value) == (
        f"{folder / missing}: no such file; put it there or correct the path"
    )


def test_a_missing_split_names_those_there(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "mine")
    with pytest.raises(InputError) as raised:
        read_beir_folder(folder, "dev", BadRows("fail"))
    assert str(raised.value) == f"{folder}/qrels/dev.tsv: no such file; splits there: test"


# --- names ---------------------------------------------------------------------------------------


def test_groups_have_the_documented_sets() -> None:
    assert BEIR_GROUPS["quick"] == ("scifact", "nfcorpus")
    assert BEIR_GROUPS["standard"] == ("scifact", "nfcorpus", "arguana", "fiqa", "trec-covid")
    assert len(set(BEIR_GROUPS["full"])) == len(BEIR_GROUPS["full"]) == 18
    assert set(NOT_DOWNLOADABLE) < set(BEIR_GROUPS["full"])
    assert expand_groups(["mine", "quick", "scifact", "standard"]) == (
        "mine",
        *BEIR_GROUPS["standard"],
    )


def test_full_skips_what_nobody_can_download_with_a_note(tmp_path: Path) -> None:
    write_set(tmp_path / "robust04")
    names, notes = available_sets(["full", "bioasq"], tmp_path)
    assert {"robust04", "bioasq"} <= set(names)
    assert {"signal1m", "trec-news"}.isdisjoint(names)
    assert notes == (
        f"signal1m skipped: not free to download, and not in {tmp_path / 'signal1m'}",
        f"trec-news skipped: not free to download, and not in {tmp_path / 'trec-news'}",
    )


def test_cqadupstack_stands_for_its_forums(tmp_path: Path) -> None:
    names, _ = available_sets(["cqadupstack"], tmp_path)
    assert len(names) == 12
    assert "cqadupstack/android" in names
    write_set(tmp_path / "cqadupstack" / "cooking")
    assert available_sets(["cqadupstack"], tmp_path) == (("cqadupstack/cooking",), ())
    write_set(tmp_path / "merged" / "cqadupstack")
    assert available_sets(["cqadupstack"], tmp_path / "merged") == (("cqadupstack",), ())


# --- downloading ---------------------------------------------------------------------------------


def zipped(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def serve(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(DOWNLOAD, folder.as_uri() + "/{name}.zip")


def set_members(prefix: str) -> dict[str, str]:
    return {
        f"{prefix}/corpus.jsonl": lines(CORPUS),
        f"{prefix}/queries.jsonl": lines(QUERIES),
        f"{prefix}/qrels/test.tsv": lines(QRELS),
    }


def test_a_set_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "scifact.zip", set_members("scifact"))
    serve(monkeypatch, tmp_path)
    parameters = BeirParameters(root=str(tmp_path / "beir"))
    assert len(load_beir_set("scifact", parameters)[0].corpus) == 3
    (tmp_path / "scifact.zip").unlink()
    assert len(load_beir_set("scifact", parameters)[0].corpus) == 3
    assert [path.name for path in (tmp_path / "beir").iterdir()] == ["scifact"]


def test_a_forum_comes_with_the_archive_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = set_members("cqadupstack/android") | set_members("cqadupstack/tex")
    zipped(tmp_path / "cqadupstack.zip", members)
    serve(monkeypatch, tmp_path)
    assert find_beir_set("cqadupstack/tex", tmp_path / "beir").is_dir()
    assert available_sets(["cqadupstack"], tmp_path / "beir")[0] == (
        "cqadupstack/android",
        "cqadupstack/tex",
    )


@pytest.mark.parametrize(
    "member", ["../evil", "/evil", "scifact/../../evil", "..\\evil", "other/x"]
)
def test_an_archive_that_leaves_its_folder_is_refused_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    zipped(tmp_path / "scifact.zip", {**set_members("scifact"), member: "evil"})
    serve(monkeypatch, tmp_path)
    with pytest.raises(InputError) as raised:
        find_beir_set("scifact", tmp_path / "beir")
    assert str(raised.value) == (
        f"scifact.zip: refused, its member {member!r} is a link or lies outside scifact/"
    )
    assert list((tmp_path / "beir").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


def test_a_link_in_an_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = zipfile.ZipInfo("scifact/corpus.jsonl")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "scifact.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    serve(monkeypatch, tmp_path)
    with pytest.raises(InputError, match="is a link or lies outside"):
        find_beir_set("scifact", tmp_path / "beir")


def test_a_damaged_archive_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("scifact/corpus.jsonl", "x" * 100)
    damaged = content.getvalue().replace(b"x" * 100, b"y" * 100)
    (tmp_path / "scifact.zip").write_bytes(damaged)
    serve(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=r"^scifact\.zip: damaged archive \(Bad CRC-32"):
        find_beir_set("scifact", tmp_path / "beir")
    assert list((tmp_path / "beir").iterdir()) == []


def test_out_of_reach_says_where_to_put_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DOWNLOAD, "http://127.0.0.1:9/{name}.zip")
    with pytest.raises(InputError) as raised:
        find_beir_set("scifact", tmp_path)
    assert str(raised.value) == (
        "scifact: cannot be downloaded from http://127.0.0.1:9/scifact.zip "
        "([Errno 111] Connection refused); put corpus.jsonl, queries.jsonl and qrels/ into "
        f"{tmp_path / 'scifact'}"
    )
    assert list(tmp_path.iterdir()) == []


def test_sets_without_a_download_say_where_to_put_the_files(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        find_beir_set("bioasq", tmp_path)
    assert str(raised.value) == (
        "bioasq: is not free to download; put its corpus.jsonl, queries.jsonl and qrels/ into "
        f"{tmp_path / 'bioasq'}"
    )
    for name, download in (("mine", True), ("scifact", False)):
        with pytest.raises(InputError) as raised:
            find_beir_set(name, tmp_path, download)
        assert str(raised.value) == (
            f"{tmp_path / name}: no such BEIR set; put corpus.jsonl, queries.jsonl and qrels/ there"
        )


def test_an_incomplete_folder_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, tmp_path)
    (tmp_path / "scifact").mkdir()
    (tmp_path / "scifact" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is incomplete; add what is missing, or remove it"):
        find_beir_set("scifact", tmp_path)
    assert (tmp_path / "scifact" / "notes.txt").read_text() == "mine"


# --- real data -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "documents", "queries", "judgements", "empty"),
    [("scifact", 5183, 300, 339, 0), ("cranfield", 1400, 225, 1837, 2)],
)
def test_real_sets_have_their_known_sizes(
    shared_data: Path, name: str, documents: int, queries: int, judgements: int, empty: int
) -> None:
    found, report = load_beir_set(name, BeirParameters(root=str(shared_data), download=False))
    assert (len(found.corpus), len(found.queries), len(found.qrels)) == (
        documents,
        queries,
        judgements,
    )
    assert report["empty_documents"] == empty
