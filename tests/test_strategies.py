"""The documented strategies: what their environments say, and that they run on little data."""

import itertools
import json
import re

import pandas as pd
import pytest
import torch
import yaml
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from support import ROOT, kedro, make_project
from transformers import BertConfig, BertModel, BertTokenizerFast

from embedlab import project_parameters
from embedlab.tensor_files import read_tensors

STRATEGIES = ["quick", "medium", "smart_hybrid"]
# Of Wikipedia, 40 of them to train on; of MS MARCO to train and to validate on; of a BEIR set.
N_PASSAGES, N_PAIRS, N_VALIDATION, N_DOCUMENTS = 50, 40, 10, 20
N_LAYERS = 13  # twelve that are frozen, and one that is not


def parameters_of(strategy):
    """The validated parameters of an environment; its pipelines are then registered."""
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env=strategy) as session:
        session.load_context()
    return project_parameters.current()


def command_of(strategy):
    """The arguments of the command that the environment's file gives."""
    text = (ROOT / "conf" / strategy / "parameters.yml").read_text()
    (command,) = re.findall(r"^#   kedro (.+)$", text, re.MULTILINE)
    return command.split()


def values(parameters, **expected):
    """What parameters of these names are, to be compared with what they should be."""
    return {name: getattr(parameters, name) for name in expected}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_command_runs_it(strategy):
    stages = "data_ingestion,embedding_cache,isotropic_retrieval,evaluation"
    assert command_of(strategy) == ["run", f"--env={strategy}", f"--pipelines={stages}"]


@pytest.mark.parametrize(("strategy", "size"), [("quick", 100_000), ("medium", 1_000_000)])
def test_pretraining_is_on_wikipedia(strategy, size):
    parameters = parameters_of(strategy)
    pairs = parameters.data_ingestion.pretraining_pairs
    expected = {
        "max_documents": size,
        "max_characters": 500,
        "negatives": "random",
        "split": (0.8, 0.1, 0.1),
    }
    assert values(pairs, **expected) == expected
    assert (pairs.data.path, pairs.data.name) == ("wikimedia/wikipedia", "20231101.en")
    assert pairs.data.streaming
    pretraining = parameters.isotropic_retrieval.pretraining
    rates = {"base_learning_rate": 2e-5, "projection_learning_rate": 2e-5, "frozen_layers": 12}
    assert values(pretraining, **rates) == rates
    assert pretraining.objective.lambda_isotropy == 1.0
    assert pretraining.objective.lambda_reg == 0.1
    steps = {"accumulation_steps": 1, "warmup_steps": 0}
    if strategy == "medium":
        steps = {"accumulation_steps": 4, "warmup_steps": 1000}
    steps |= {"max_epochs": 3, "batch_size": 8, "log_interval": 100}
    assert values(pretraining.training, **steps) == steps


TRAINING = {
    "quick": {"max_epochs": 1, "batch_size": 8, "accumulation_steps": 1, "warmup_steps": 0},
    "medium": {"max_epochs": 3, "batch_size": 8, "accumulation_steps": 4, "warmup_steps": 500},
    "smart_hybrid": {
        "max_epochs": 3,
        "batch_size": 16,
        "accumulation_steps": 2,
        "warmup_steps": 1000,
    },
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_training_is_on_ms_marco(strategy):
    parameters = parameters_of(strategy)
    pairs = parameters.data_ingestion.retrieval_pairs
    assert (pairs.train.path, pairs.train.split) == ("microsoft/ms_marco", "train")
    assert pairs.max_samples == (100_000 if strategy == "quick" else None)
    assert (pairs.validation is None) == (strategy == "quick")
    training = parameters.isotropic_retrieval.retrieval
    assert training.freeze_base == (strategy == "smart_hybrid")
    shape = {"kind": "residual", "output_dim": 512, "hidden_size": 1536, "dropout": 0.1}
    assert values(training.projection, **shape) == shape
    isotropy = 0.5 if strategy == "medium" else 1.0
    expected = {"isotropy": "sigreg", "lambda_isotropy": isotropy, "lambda_reg": 0.1}
    assert values(training.objective, **expected) == expected
    steps = TRAINING[strategy] | {"log_interval": 100}
    assert values(training.training, **steps) == steps
    # embeddinggemma does not support float16.
    assert training.training.precision == ("float16" if training.freeze_base else "bfloat16")
    assert training.frozen_layers is None
    rate = 5e-4 if strategy == "smart_hybrid" else 1e-5
    assert training.projection_learning_rate == rate
    assert training.freeze_base or training.base_learning_rate == rate


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_public_set_of_beir_is_tested_on_beside_the_baselines(strategy):
    parameters = parameters_of(strategy)
    names, notes = parameters.retrieval_sets()
    assert len(names) == 13 + 12  # each forum of CQADupStack is a set
    assert len(notes) == 4
    base = "mpnet" if strategy == "smart_hybrid" else "embeddinggemma"
    assert parameters.base_encoder() == base
    tested = {
        output.removesuffix(".scifact.run")
        for output in pipelines["evaluation"].all_outputs()
        if output.endswith(".scifact.run")
    }
    assert tested == {"bm25", base, "mpnet", "contriever", "isotropic"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_its_command_makes_all_that_it_needs_and_no_vectors_that_it_does_not(strategy):
    parameters_of(strategy)
    stages = command_of(strategy)[-1].removeprefix("--pipelines=").split(",")
    whole = sum((pipelines[stage] for stage in stages[1:]), pipelines[stages[0]])
    needed = {name for name in whole.inputs() if not name.startswith("param")}
    assert needed == {"embedding_store", "isotropic_checkpoints"}
    made = {name.split(".")[1] for name in whole.all_outputs() if name.endswith(".vectors")}
    trained_on = {"retrieval_queries", "retrieval_documents"}
    frozen = strategy == "smart_hybrid"
    assert {name for name in made if name.startswith(("retrieval_", "pretraining_"))} == (
        trained_on if frozen else set()
    )
    assert "isotropic_ablations" not in whole.all_outputs()
    assert ("isotropic_pretrained_model" in whole.all_outputs()) != frozen


# The document's two tips for the resource encoder.
TIPS = {
    "fast": {"num_copies": 3, "batch_size": 64, "max_epochs": 50, "target_loss": 0.05},
    "production": {"num_copies": 20, "batch_size": 16, "max_epochs": 200, "target_loss": 0.005},
}


@pytest.mark.parametrize("tip", TIPS)
def test_a_tip_changes_only_what_the_document_says(tip):
    stages = "encoder_pretrain,weight_export"
    assert command_of(tip) == ["run", f"--env={tip}", f"--pipelines={stages}"]
    base, tuned = (parameters_of(env).model_dump() for env in (None, tip))
    given = tuned["encoder_pretrain"]
    found = {"num_copies": given["augmentation"]["num_copies"]} | given["training"]
    assert found | TIPS[tip] == found
    assert (given["wandb"] is not None) == (tip == "production")
    # One validation an epoch, where an epoch is long.
    trained = [*list(TIPS[tip])[1:], "validation_interval"]
    for part, names in (("augmentation", ["mode", "num_copies"]), ("training", trained)):
        given[part] |= {name: base["encoder_pretrain"][part][name] for name in names}
    given["wandb"] = None
    assert tuned == base


@pytest.fixture(scope="module")
def passages(shared_data):
    """Short passages of Wikipedia, each a title and a text."""
    with (shared_data / "wiki-passages" / "passages.jsonl").open() as file:
        short = (row for row in map(json.loads, file) if len(row["text"]) < 200)
        return list(itertools.islice(short, 4 * N_PASSAGES))


@pytest.fixture(scope="module")
def encoder(passages, tmp_path_factory):
    """The folder of a BERT that is deep enough, and tiny otherwise."""
    folder = tmp_path_factory.mktemp("encoder")
    text = " ".join(row["text"] for row in passages).lower()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(re.findall(r"\w+", text)))]
    BertTokenizerFast({word: i for i, word in enumerate(words)}).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_ms_marco(path, rows):
    """Titles as queries in MS MARCO's format; each other passage is a negative."""
    write_rows(
        path,
        [
            {
                "query": row["title"],
                "passages": {
                    "is_selected": [0, 1],
                    "passage_text": [other["text"], row["text"]],
                },
            }
            for row, other in zip(rows, rows[1:] + rows[:1], strict=True)
        ],
    )


def write_beir_set(folder, rows):
    write_rows(folder / "corpus.jsonl", rows)
    queries = [{"_id": f"query-{row['_id']}", "text": row["title"]} for row in rows]
    write_rows(folder / "queries.jsonl", queries)
    (folder / "qrels").mkdir()
    lines = [f"query-{row['_id']}\t{row['_id']}\t1" for row in rows]
    header = "query-id\tcorpus-id\tscore"
    (folder / "qrels" / "test.tsv").write_text("\n".join([header, *lines]))


def read_few_libraries(conf):
    """What the test environment reads, which no strategy trains on; --params takes no such list."""
    name = "parameters_data_ingestion.yml"
    base, test = (yaml.safe_load((conf / env / name).read_text()) for env in ("base", "test"))
    base["data_ingestion"] |= test["data_ingestion"]
    (conf / "base" / name).write_text(yaml.safe_dump(base))


@pytest.fixture
def project(tmp_path, passages):
    """A project with little data."""
    project = make_project(tmp_path / "project")
    read_few_libraries(project / "conf")
    data = project / "data" / "01_raw"
    write_rows(data / "wikipedia.jsonl", passages)
    write_ms_marco(data / "train.jsonl", passages[:N_PAIRS])
    write_ms_marco(data / "dev.jsonl", passages[N_PAIRS:][:N_VALIDATION])
    write_beir_set(data / "beir" / "tiny", passages[-N_DOCUMENTS:])
    return project


def overrides(parameters, encoder):
    """What takes the place of data and models from the hub; all else is the environment's."""
    given = {f"encoders.{name}.model": encoder for name in parameters.embedding_cache.encoders}
    given["data_ingestion.retrieval_sets"] = "[tiny]"
    pairs = "data_ingestion.retrieval_pairs"
    given[f"{pairs}.train.files"] = "[data/01_raw/train.jsonl]"
    if parameters.data_ingestion.retrieval_pairs.validation:
        given[f"{pairs}.validation.files"] = "[data/01_raw/dev.jsonl]"
    if parameters.data_ingestion.pretraining_pairs:
        pairs = "data_ingestion.pretraining_pairs"
        given[f"{pairs}.data.files"] = "[data/01_raw/wikipedia.jsonl]"
        given[f"{pairs}.id_column"] = "_id"
        given[f"{pairs}.max_documents"] = N_PASSAGES
    return ",".join(f"{name}={value}" for name, value in given.items())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_runs_on_little_data(strategy, project, encoder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # more would only wait for each other
    parameters = parameters_of(strategy)
    given = f"--params={overrides(parameters, encoder)}"
    result = kedro(project, *command_of(strategy), given)
    assert result.returncode == 0, result.stderr
    trained = parameters.isotropic_retrieval.trainings()
    names = {"pretraining": "isotropic_pretrained", "retrieval": "isotropic"}
    models, reports = project / "data" / "06_models", project / "data" / "08_reporting"
    for stage, training in trained.items():
        model = read_tensors(models / names[stage] / "best_model.pt")
        assert model["parameters"] == training.model_dump(mode="json")
        assert (model["base"] is None) == training.freeze_base
        summary = json.loads((reports / f"isotropic/{names[stage]}_summary.json").read_text())
        # Two pairs in forty are held out where no others are there to validate on.
        n_pairs = 38 if (strategy, stage) == ("quick", "retrieval") else N_PAIRS
        assert summary["training_pairs"] == n_pairs
        loop, batches = training.training, -(-n_pairs // training.training.batch_size)
        assert summary["steps"] == loop.max_epochs * -(-batches // loop.accumulation_steps)
        history = pd.read_json(reports / f"isotropic/{names[stage]}_history.jsonl", lines=True)
        assert len(history) == 1 + loop.max_epochs  # one validation before, and one each epoch
    table = pd.read_csv(reports / "evaluation/table.csv")
    assert {"bm25", "isotropic", *parameters.embedding_cache.encoders} <= set(table["model"])
    assert (models / "isotropic/sentence_transformer/README.md").is_file()
