"""An encoder that becomes another of the same width, which no check of shapes would notice."""

import re
import shutil

import numpy as np
import pytest
import yaml
from mutations import run_in
from sentence_transformers import SentenceTransformer
from support import make_project
from synthetic_encoders import tower
from torch import from_numpy

from embedlab.isotropic.projection import ProjectionParameters
from embedlab.isotropic.training import load_projection
from embedlab.tensor_files import read_tensors

MODEL = "data/06_models/isotropic"
TEXTS = ["the cat sat on the mat", "a dog ran"]


def write_encoder(folder, seed):
    """Write a model of this seed to a folder, instead of the one that is there."""
    shutil.rmtree(folder, ignore_errors=True)
    model = SentenceTransformer(modules=tower(folder / "parts", seed=seed), device="cpu")
    model.save(str(folder / "model"), create_model_card=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of two encoders of the same width."""
    folder = tmp_path_factory.mktemp("encoders")
    for seed, name in enumerate(("first", "second")):
        write_encoder(folder / name, seed)
    return folder


@pytest.fixture(scope="module")
def project(folder):
    """A project whose projection is trained on the vectors of the first encoder."""
    project = make_project(folder / "project")
    encoder = {"kind": "sentence_transformer", "model": str(folder / "first" / "model")}
    changes = {
        "encoders": {"tiny": encoder},
        "embedding_cache": {
            "encoders": ["tiny"],
            "collections": ["retrieval_queries", "retrieval_documents"],
        },
        "isotropic_retrieval": {"ablations": {"only": []}},
    }
    for name, values in changes.items():
        path = project / "conf" / "test" / f"parameters_{name}.yml"
        own = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump(own | {name: own.get(name, {}) | values}))
    result = run_in(project, "--pipelines=data_ingestion,embedding_cache,isotropic_retrieval")
    assert result.exit_code == 0, result.output
    return project


def error_of(project, *options):
    """The one line with which the pipeline ends."""
    result = run_in(project, "--pipelines=isotropic_retrieval", *options)
    assert result.exit_code == 1, result.output
    (line,) = re.findall("^Error: (.*)$", result.output, re.MULTILINE)
    return line


def test_another_folder_is_told(project, folder):
    line = error_of(project, f"--params=encoders.tiny.model={folder / 'second' / 'model'}")
    assert line.startswith(
        f"tiny.library_docs_corpus.vectors is stale (encoders.tiny.model: {folder}"
    )


def test_other_weights_are_told_mended_and_exported(project, folder):
    start = shutil.copy(project / MODEL / "best_model.pt", project / "start.pt")
    write_encoder(folder / "first", seed=1)
    line = error_of(project)
    assert line.startswith("tiny.library_docs_corpus.vectors is stale (encoders.tiny.version: ")
    (command,) = re.findall("`kedro run (.*)`", line)
    for options in (command, "--pipelines=isotropic_retrieval"):
        result = run_in(project, *options.split())
        assert result.exit_code == 0, result.output
    trained = read_tensors(project / MODEL / "best_model.pt")
    shape = ProjectionParameters.model_validate(trained["parameters"]["projection"])
    base = SentenceTransformer(str(folder / "second" / "model"), device="cpu")
    base_vectors = base.encode(TEXTS, normalize_embeddings=True)
    expected = load_projection(trained, shape)(from_numpy(base_vectors)).detach().numpy()
    exported = SentenceTransformer(str(project / MODEL / "sentence_transformer"), device="cpu")
    np.testing.assert_allclose(exported.encode(TEXTS), expected, atol=1e-5)
    line = error_of(project, f"--params=isotropic_retrieval.load_checkpoint={start}")
    assert line == (
        f"load_checkpoint: {start}: was trained on another encoder; give a model of this one"
    )
