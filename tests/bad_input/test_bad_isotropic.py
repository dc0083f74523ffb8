"""Faulty inputs of isotropic training, and the one line that each gives."""

import shutil

import pandas as pd
import pytest
import torch
from faulty_projects import assert_one_line, change_file, configure, edited_file

ISOTROPIC = ("--pipelines=isotropic_retrieval",)


def isotropic(**changes):
    def prepare(project):
        configure(project, "isotropic_retrieval", **changes)
        configure(project, "lineage", on_stale="ignore")

    return prepare


def start_from(content, **changes):
    """Train on from a file of this content, or from the finished run's model."""

    def prepare(project):
        path = project / "start.pt"
        if content is None:
            shutil.copy(project / "data/06_models/isotropic/best_model.pt", path)
        else:
            path.write_bytes(content)
        configure(project, "isotropic_retrieval", load_checkpoint="start.pt", **changes)
        configure(project, "lineage", on_stale="ignore")

    return prepare


def start_of_another_encoder(project):
    start_from(None)(project)
    model = torch.load(project / "start.pt", weights_only=True)
    torch.save(model | {"encoder": {"query": "0", "document": "0"}}, project / "start.pt")


def triplets_without_negatives(project):
    path = project / "data/03_primary/retrieval_pairs_train.jsonl"
    pairs = pd.read_json(path, lines=True, dtype=False).drop(columns="negative")
    pairs.to_json(path, lines=True, orient="records")
    retrieval = {"objective": {"contrastive": "triplet"}, "hard_negatives": {"count": 0}}
    configure(project, "isotropic_retrieval", retrieval=retrieval, ablations={"only": []})
    configure(project, "lineage", on_stale="ignore")


# The fault, the arguments of `kedro run`, and the message.
CASES = {
    "no pair to validate on": (
        change_file("03_primary/retrieval_pairs_val.jsonl", lambda path: path.write_text("")),
        (*ISOTROPIC, "--from-nodes=train_isotropic"),
        r"retrieval_pairs_val has no pair to validate on; give data_ingestion\.retrieval_pairs",
    ),
    "pairs of other texts than the vectors": (
        edited_file("03_primary/retrieval_documents.arrow", lambda path: path.write_bytes(b"")),
        ISOTROPIC,
        r"retrieval_documents\.vectors is stale \(retrieval_documents is not what node collect",
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
        r"load_checkpoint: other shapes; give the same projection",
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
        r"contrastive: triplet needs a negative for every pair; raise hard_negatives\.count",
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
        r"ablations: only: unknown variant nobody; there are untrained",
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
    "start is of another encoder": (
        start_of_another_encoder,
        (*ISOTROPIC, "--from-nodes=train_isotropic"),
        r"load_checkpoint: start\.pt: was trained on another encoder; give a model of this one",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_faults_of_isotropic_give_one_line(case, project):
    assert_one_line(project, *case)
