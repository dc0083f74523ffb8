"""Training of a Gaussian projection: what it reads, what it learns, what it keeps."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from synthetic_retrieval import UNFROZEN, job_in, parameters_of, text_data, unit, vector_data
from torch import nn

from embedlab.errors import InputError
from embedlab.isotropic.inputs import CachedInputs, project
from embedlab.isotropic.trainable_encoder import load_base
from embedlab.isotropic.training import (
    MEASURE,
    IsotropicData,
    PairLosses,
    Validation,
    load_projection,
)
from embedlab.retrieval.scores import score_run
from embedlab.search.exact import exact_search
from embedlab.text_table import as_ids

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def ndcg(queries, documents, validation, similarity):
    """nDCG@10 of the validation queries on all documents."""
    asked, names = validation[:, 0], [str(row) for row in range(len(documents))]
    qrels = pd.DataFrame(validation.astype(str), columns=["query_id", "corpus_id"]).assign(score=1)
    ids = as_ids(asked.astype(str)), as_ids(names)
    run = exact_search(queries[asked], documents, *ids, 10, similarity)
    return score_run(run, qrels, [10])[MEASURE].mean()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Data, the model trained on them, and its history."""
    data = vector_data()
    return data, *job_in(tmp_path_factory.mktemp("trained"), data).train()


def test_a_residual_projection_starts_as_its_base_and_learns(trained):
    data, model, history = trained
    base = ndcg(data.queries, data.documents, data.validation, "cosine")
    assert history.rows[0][MEASURE] == pytest.approx(base, abs=1e-9)
    best = history.best[MEASURE]
    assert best > base + 0.05
    assert history.last["loss"] < history.rows[1]["loss"]

    projection = load_projection(model, parameters_of().projection)
    vectors = [project(projection, part) for part in (data.queries, data.documents)]
    assert ndcg(*vectors, data.validation, "euclidean") == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_narrower_mlp_learns_too(tmp_path, precision):
    changes = {
        "projection": {"kind": "mlp", "output_dim": 8},
        "training": {"precision": precision, "max_epochs": 6},
    }
    model, history = job_in(tmp_path, vector_data(), changes).train()
    assert model["projection"]["output.weight"].shape == (8, 32)
    assert history.best[MEASURE] > history.rows[0][MEASURE] + 0.05


def test_the_seed_decides(tmp_path):
    changes = {"projection": {"dropout": 0.3}, "training": {"max_epochs": 1}}
    models = [
        job_in(tmp_path / str(run), vector_data(), changes, {"seed": seed}).train()[0]["projection"]
        for run, seed in enumerate((1, 1, 2))
    ]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert not torch.equal(models[0]["output.weight"], models[2]["output.weight"])


# The losses of a batch.


def pair_losses(data, **objective):
    inputs = CachedInputs(data.queries, data.documents, CPU)
    return PairLosses(inputs, data, parameters_of({"objective": objective}).objective, CPU)


ALL_LOSSES = {"lambda_isotropy": 0.5, "lambda_reg": 2.0, "lambda_predictive": 0.25}


@pytest.mark.parametrize("contrastive", ["info_nce", "hardest", "triplet"])
@pytest.mark.parametrize("isotropy", ["sigreg", "covariance"])
def test_every_objective_reaches_all_weights(contrastive, isotropy):
    model = nn.Linear(16, 8)
    nn.init.normal_(model.weight, std=0.05)  # small, so that the variance is wanting
    objective = parameters_of(
        {
            "objective": {"contrastive": contrastive, "isotropy": isotropy, **ALL_LOSSES},
            "hard_negatives": {"count": 1},
        }
    ).objective
    losses = pair_losses(vector_data(), **objective.model_dump())
    found = losses(model, torch.arange(40), 3)
    assert set(found) == {"contrastive", "isotropy", "reg", "predictive", "loss"}
    weights = {"contrastive": 1.0} | {k.removeprefix("lambda_"): w for k, w in ALL_LOSSES.items()}
    expected = sum(weight * found[name] for name, weight in weights.items())
    torch.testing.assert_close(found["loss"], expected)
    for name, loss in found.items():
        (gradient,) = torch.autograd.grad(loss, model.weight, retain_graph=True)
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() > 0, name


def test_a_loss_of_weight_zero_is_not_computed():
    losses = pair_losses(vector_data(), lambda_isotropy=0, lambda_reg=0)
    assert set(losses(nn.Identity(), torch.arange(40), 0)) == {"contrastive", "loss"}


def crowded(seed):
    """Few queries and documents: they come again, as positives of one and negatives of another."""
    random = np.random.default_rng(seed)
    queries, documents = (unit(random.normal(size=(n, 5))) for n in (4, 9))
    triples = np.column_stack(
        [random.integers(4, size=12), random.integers(9, size=12), random.integers(9, size=(12, 2))]
    )
    triples[random.random(12) < 0.4, 3] = -1
    validation = np.array([[0, 8], [1, 7]])
    return IsotropicData(queries, documents, triples, validation)


def plain_contrastive(data, objective):
    """The contrastive loss of all pairs as one batch, pair by pair."""
    answers = {tuple(pair) for pair in [*data.triples[:, :2].tolist(), *data.validation.tolist()]}
    others = [d for d in [*data.triples[:, 1], *data.triples[:, 2:].ravel()] if d >= 0]
    losses = []
    for query, positive, *own in data.triples.tolist():
        # Triplets without a second negative have the first one twice.
        own = [d if d >= 0 else own[0] for d in own]
        pool = own if objective["contrastive"] == "triplet" else others
        allowed = [d for d in pool if d >= 0 and (query, d) not in answers]
        far = np.linalg.norm(data.documents[allowed] - data.queries[query], axis=1)
        near = np.linalg.norm(data.documents[positive] - data.queries[query])
        if objective["contrastive"] == "info_nce":
            scores = -(np.append(far, near) ** 2) / (2 * objective["temperature"])
            losses.append(np.log(np.exp(scores).sum()) - scores[-1])
        elif objective["contrastive"] == "hardest":
            losses.append(max(0, 0.3 + near - far.min()) if len(far) else 0)
        else:
            losses.append(np.maximum(0, 0.3 + near - far).sum() / len(own))
    return np.mean(losses)


@pytest.mark.parametrize("contrastive", ["info_nce", "hardest", "triplet"])
@pytest.mark.parametrize("seed", range(4))
def test_no_relevant_or_missing_document_is_a_negative(contrastive, seed):
    data = crowded(seed)
    objective = {"contrastive": contrastive, "temperature": 0.5, "margin": 0.3}
    found = pair_losses(data, **objective)(nn.Identity(), torch.arange(12), 0)["contrastive"]
    assert found.item() == pytest.approx(plain_contrastive(data, objective), rel=1e-5)


@pytest.mark.parametrize("contrastive", ["info_nce", "hardest", "triplet"])
def test_what_is_forbidden_may_lie_anywhere(contrastive):
    """All pairs are of query 0; documents 1 to 3 are relevant to it, 0 stands for a missing one."""
    triples = np.array([[0, 1, 2, 5], [0, 2, 3, -1], [0, 1, 1, 4]])
    data = crowded(0)
    data = IsotropicData(data.queries, data.documents, triples, np.array([[0, 3]]))
    before, after, allowed = (copy.deepcopy(data) for _ in range(3))
    after.documents[[0, 3]] = 0.1 * after.queries[0]
    allowed.documents[4] = 0.1 * after.queries[0]
    losses = [
        pair_losses(own, contrastive=contrastive)(nn.Identity(), torch.arange(3), 0)["contrastive"]
        for own in (before, after, allowed)
    ]
    assert losses[0] == losses[1]
    assert losses[0] < losses[2]


def test_triplets_without_a_negative_are_one_line():
    data = crowded(0)
    data.triples[5, 2:] = -1
    with pytest.raises(InputError, match=r"^contrastive: triplet needs a negative for every pair;"):
        pair_losses(data, contrastive="triplet")


def test_a_missing_negative_leaves_isotropy_to_the_documents_of_the_batch():
    data = crowded(0)
    elsewhere = copy.deepcopy(data)
    triples = np.array([[0, 1, 2, -1], [1, 3, 4, -1], [2, 5, 6, -1]])
    losses = []
    for own in (data, elsewhere):
        own = IsotropicData(own.queries, own.documents, triples, data.validation)
        losses.append(pair_losses(own)(nn.Identity(), torch.arange(3), 0)["isotropy"])
        elsewhere.documents[0] = 10  # of no pair
    assert losses[0] == losses[1]


def test_validation_searches_the_relevant_documents_among_others():
    data = vector_data()
    limits = {"max_queries": 20, "max_documents": 50}
    inputs = CachedInputs(data.queries, data.documents, CPU)
    own = parameters_of({"validation": limits})
    validation = Validation(nn.Identity(), inputs, data.validation, len(data.documents), own)
    assert len(validation.queries) == 20
    assert len(validation.documents) == len(set(validation.documents.tolist())) == 50
    assert set(validation.queries.tolist()) <= set(validation.documents.tolist())
    all_of_them = parameters_of({"validation": {"max_documents": 1000}})
    whole = Validation(nn.Identity(), inputs, data.validation, len(data.documents), all_of_them)
    assert whole.documents.tolist() == list(range(240))
    assert validation() > whole()


# Going on from a model.


def test_training_goes_on_from_a_model(trained, tmp_path):
    data, model, history = trained
    going_on = IsotropicData(
        data.queries, data.documents, data.triples, data.validation, start=model
    )
    _, further = job_in(tmp_path, going_on, {"training": {"max_epochs": 1}}).train()
    best = history.best[MEASURE]
    assert further.rows[0][MEASURE] == pytest.approx(best, abs=1e-9)


def test_a_model_of_another_shape_is_one_line(trained, tmp_path):
    data, model, _ = trained
    other = IsotropicData(data.queries, data.documents, data.triples, data.validation, start=model)
    with pytest.raises(InputError, match=r"^load_checkpoint: other shapes; give .*$") as found:
        job_in(tmp_path, other, {"projection": {"output_dim": 8}}).train()
    assert "\n" not in str(found.value)


def test_no_pairs_are_one_line(tmp_path):
    data = vector_data()
    none = IsotropicData(data.queries, data.documents, data.triples[:0], data.validation)
    with pytest.raises(InputError, match=r"^projection: 1 processes for 0 items in batches of 60"):
        job_in(tmp_path, none).train()


# A base that trains.


@pytest.fixture(scope="module")
def unfrozen(tmp_path_factory):
    """Data, the encoder trained on them, its history and the rows of its log."""
    data = text_data(tmp_path_factory.mktemp("bert"))
    job = job_in(tmp_path_factory.mktemp("unfrozen"), data, UNFROZEN)
    return data, *job.train(), job.log.rows()


def base_vectors(encoder, texts):
    return load_base(encoder).encode_document(texts)


def test_an_unfrozen_base_starts_as_it_is_and_learns(unfrozen):
    data, _, history, rows = unfrozen
    vectors = [base_vectors(data.encoder, texts) for texts in (data.queries, data.documents)]
    base = ndcg(*vectors, data.validation, "cosine")
    assert history.rows[0][MEASURE] == pytest.approx(base, abs=1e-9)
    assert history.rows[2]["loss"] < history.rows[1]["loss"]
    rates = [(row["learning_rate_0"], row["learning_rate_1"]) for row in rows if "loss" in row]
    assert rates == [(1e-3, 3e-3)] * 4


def test_frozen_layers_stay_and_the_others_move(tmp_path, unfrozen):
    data = unfrozen[0]
    # Only the last weights are sure to have moved; the best ones may be those of the start.
    job = job_in(tmp_path, data, UNFROZEN)
    job.train()
    moved = job.checkpoint.load()["model"]
    base = load_base(data.encoder).state_dict()
    for name, before in base.items():
        is_frozen = any(part in name for part in ("embeddings", "layer.0.", "layer.1.", "pooler"))
        # The bias of keys adds the same to all scores of a query: softmax leaves it no gradient.
        if "key.bias" not in name:
            assert torch.equal(moved[f"base.{name}"], before) == is_frozen, name
    assert moved["projection.output.weight"].any()


def test_the_base_is_part_of_the_model_to_go_on_from(unfrozen, tmp_path):
    data, _, _, _ = unfrozen
    job = job_in(tmp_path / "last", data, UNFROZEN, {"training": {"patience": 1}})
    _, history = job.train()
    last = job.checkpoint.load()["model"]
    start = {
        "base": {k.removeprefix("base."): v for k, v in last.items() if k.startswith("base.")},
        "projection": {
            k.removeprefix("projection."): v for k, v in last.items() if k.startswith("proj")
        },
    }
    going_on = IsotropicData(
        data.queries, data.documents, data.triples, data.validation, data.encoder, start
    )
    model, further = job_in(
        tmp_path / "on", going_on, UNFROZEN, {"training": {"max_epochs": 0}}
    ).train()
    assert further.rows[0][MEASURE] == pytest.approx(history.last[MEASURE], abs=1e-9)
    assert all(torch.equal(model["base"][name], start["base"][name]) for name in start["base"])


def test_a_trained_base_is_not_left_behind(trained, unfrozen, tmp_path):
    data, model = trained[0], unfrozen[1]
    frozen = IsotropicData(data.queries, data.documents, data.triples, data.validation, start=model)
    with pytest.raises(
        InputError, match=r"^load_checkpoint: its base was trained, too; continue with"
    ):
        job_in(tmp_path, frozen).train()
