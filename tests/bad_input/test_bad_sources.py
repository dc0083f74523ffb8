"""Faulty rows, files, datasets and retrieval sets, and the one line that each gives."""

import json
import os
import re
import resource
import subprocess
import sys

import pytest
from click.testing import CliRunner
from faulty_projects import (
    INGEST,
    PROBLEMS,
    ROW,
    assert_one_line,
    configure,
    hidden_files,
    ingestion,
    preference_file,
    problems,
)
from kedro.framework.startup import bootstrap_project

from embedlab.cli import run

SETS = (*INGEST, "--nodes=ingest_beir_mine")


def beir_set(corpus=None, queries=None, qrels=None):
    """A small retrieval set with one file changed; None leaves it as it should be."""

    def prepare(project):
        folder = project / "data" / "01_raw" / "beir" / "mine"
        (folder / "qrels").mkdir(parents=True)
        files = {
            "corpus.jsonl": (corpus, '{"_id": "d1", "title": "", "text": "a"}'),
            "queries.jsonl": (queries, '{"_id": "q1", "text": "b"}'),
            "qrels/test.tsv": (qrels, "query-id\tcorpus-id\tscore\nq1\td1\t1"),
        }
        for name, (changed, sound) in files.items():
            if changed != "absent":
                (folder / name).write_text(sound if changed is None else changed)
        configure(project, "data_ingestion", retrieval_sets=["mine"])

    return prepare


# The fault, the arguments of `kedro run`, and the message.
CASES = {
    "row is not JSON": (problems("p.jsonl", f"{ROW}\n{{oops"), PROBLEMS, r"p\.jsonl:2: not JSON"),
    "row is no object": (
        problems("p.jsonl", f"{ROW}\n[1]"),
        PROBLEMS,
        r"p\.jsonl:2: not a JSON",
    ),
    "field is missing": (
        problems("p.jsonl", f'{ROW}\n{{"question": "x"}}'),
        PROBLEMS,
        r"p\.jsonl:2: field 'answer' is missing",
    ),
    "text is empty": (
        problems("p.jsonl", '{"question": " ", "answer": "2"}'),
        PROBLEMS,
        r"p\.jsonl:1: field 'question' is empty",
    ),
    "value is of a wrong type": (
        problems("p.jsonl", '{"question": 7, "answer": "2"}'),
        PROBLEMS,
        r"p\.jsonl:1: field 'question' is not text \(7\)",
    ),
    "id is duplicate": (
        problems("p.jsonl", '{"id": "a", "question": "x", "answer": "y"}\n' * 2, id_column="id"),
        PROBLEMS,
        r"p\.jsonl:2: duplicate id \('a'\)",
    ),
    "text is not UTF-8": (
        problems("p.jsonl", ROW.encode() + b'\n{"question": "\xff"}'),
        PROBLEMS,
        r"p\.jsonl:2: invalid UTF-8",
    ),
    "several rows are bad": (
        problems("p.jsonl", "1\n2\n3\n4\n" + ROW),
        PROBLEMS,
        r"p\.jsonl:1: .*p\.jsonl:2: .*p\.jsonl:3: .*\(bad rows: 4 of 5; .* on_error: skip\)",
    ),
    "file is absent": (problems("p.jsonl", None), PROBLEMS, r"p\.jsonl: no such file"),
    "file is empty": (problems("p.jsonl", ""), PROBLEMS, r"p\.jsonl: is empty"),
    "kind of file is unknown": (
        problems("p.xlsx", "x"),
        PROBLEMS,
        r"p\.xlsx: unknown kind",
    ),
    "cell is missing": (
        problems("p.csv", "question,answer\na,b\nc\n"),
        PROBLEMS,
        r"p\.csv:3: not 2 cells",
    ),
    "quote is stray": (
        problems("p.csv", 'question,answer\na,b\nc,"d\ne,f\n', on_error="skip"),
        PROBLEMS,
        r"p\.csv:3: the quote that opens here is not closed \(read up to line 4\); close it",
    ),
    "delimiter is a semicolon": (
        problems("p.csv", "question;answer\na;b\n"),
        PROBLEMS,
        r"p\.csv:1: the header has semicolons and no comma; save the file with commas, or",
    ),
    "Parquet is damaged": (
        problems("p.parquet", "PAR1 no"),
        PROBLEMS,
        r"p\.parquet: not a sound",
    ),
    "data set is out of reach": (
        ingestion(
            problem_solutions={"source": "problem_solution", "data": [{"path": "openai/gsm8k"}]}
        ),
        PROBLEMS,
        r"openai/gsm8k\[train\]: cannot be loaded .* files",
    ),
    "split sums to more than one": (
        ingestion(
            retrieval_pairs={
                "source": "documents",
                "data": {"files": ["a.txt"]},
                "split": [0.8, 0.2, 0.1],
            }
        ),
        INGEST,
        r"split \[0\.8, 0\.2, 0\.1\] must be three shares that sum to 1",
    ),
    "held-out library is unknown": (
        ingestion(library_docs={"libraries": ["kedro"], "test_libraries": ["numpy"]}),
        INGEST,
        r"test_libraries numpy must be listed in libraries",
    ),
    "set is absent": (
        ingestion(retrieval_sets=["no-such-set"]),
        (*INGEST, "--nodes=ingest_beir_no-such-set"),
        r"beir/no-such-set: no such BEIR set; put corpus\.jsonl",
    ),
    "set cannot be downloaded": (
        ingestion(retrieval_sets=["bioasq"]),
        (*INGEST, "--nodes=ingest_beir_bioasq"),
        r"bioasq: is not free",
    ),
    "qrels are absent": (beir_set(qrels="absent"), SETS, r"qrels/test\.tsv"),
    "qrels name an unknown document": (
        beir_set(qrels="query-id\tcorpus-id\tscore\nq1\td9\t1"),
        SETS,
        r"test\.tsv:2: .*d9",
    ),
    "qrels name an unknown query": (
        beir_set(qrels="query-id\tcorpus-id\tscore\nq9\td1\t1"),
        SETS,
        r"test\.tsv:2: .*q9",
    ),
    "document stands twice": (
        beir_set(corpus='{"_id": "d1", "text": "a"}\n' * 2),
        SETS,
        r"corpus\.jsonl:2: duplicate id \('d1'\)",
    ),
    "artifact's folder is a file": (
        lambda project: (
            (project / "data" / "03_primary").rename(project / "moved")
            and (project / "data" / "03_primary").write_text("")
        ),
        INGEST,
        r"03_primary",
    ),
    "response in a file is empty": (
        preference_file('{"prompt": "a", "chosen": "b", "rejected": ""}'),
        (*INGEST, "--nodes=ingest_preference_pairs"),
        r"pairs\.jsonl:1: field 'rejected' is empty",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_faults_of_sources_give_one_line(case, project):
    assert_one_line(project, *case)


def test_a_full_disk_leaves_the_old_artifacts(project):
    """A limit on the size of files stands in for a disk with no space left."""
    before = {p: p.read_bytes() for p in (project / "data" / "03_primary").glob("*.jsonl")}
    result = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--env=test", *INGEST],
        cwd=project,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert result.returncode == 1
    assert re.search(r"Error: .*File too large", result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    assert {p: p.read_bytes() for p in before} == before
    assert not hidden_files(project)


def test_skipped_rows_are_counted_in_the_report(project):
    problems("p.jsonl", f"{ROW}\noops\n[]\n{ROW}", on_error="skip")(project)
    bootstrap_project(project)
    result = CliRunner().invoke(run, [*PROBLEMS, "--env=test"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    path = project / "data/08_reporting/ingestion/problem_solutions.json"
    report = json.loads(path.read_text())
    assert (report["read"], report["kept"], report["skipped"]) == (4, 2, 2)
    assert report["reasons"] == {"not JSON": 1, "not a JSON object": 1}
