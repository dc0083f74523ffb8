"""Which files identify a model, which are downloaded, and that none of them is run unasked."""

import json

import pytest
from huggingface_hub.utils import filter_repo_objects
from synthetic_encoders import encode, recipe_of, save_shape, transformer_folder

from embedlab.encoders import model_files
from embedlab.encoders.model_files import find_model
from embedlab.encoders.parameters import LanguageModelSource, ModelSource
from embedlab.errors import InputError
from embedlab.resource_encoder.language_model import load_language_model

TOKENIZERS = ["vocab.bpe", "merges.txt", "qwen.tiktoken", "source.spm", "spiece.model"]
WEIGHTS = ["model.safetensors", "pytorch_model.bin", "2_Dense/model.safetensors"]
SETTINGS = ["config.json", "modules.json", "chat_template.jinja", "additional_chat/rag.jinja"]
OTHERS = ["README.md", "LICENSE", "LICENSE.txt", "images/plot.png", ".gitattributes", ".git/HEAD"]
OTHERS += ["onnx/config.json", "openvino/model.bin", "tf_model.h5", "flax_model.msgpack"]
OTHERS += ["__pycache__/modeling.pyc", "model.onnx", "rust_model.ot"]
MODEL_CODE = "def run():\n    raise RuntimeError('this code ran')\nrun()\n"


def version(folder):
    return find_model(ModelSource(model=str(folder))).version


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)


@pytest.mark.parametrize("name", [*TOKENIZERS, *WEIGHTS, *SETTINGS, "modeling_own.py", "own.dat"])
def test_any_file_that_vectors_may_depend_on_identifies_a_model(tmp_path, name):
    write(tmp_path, "config.json", "{}")
    versions = {version(tmp_path)}
    for content in ("one", "another"):
        write(tmp_path, name, content)
        versions.add(version(tmp_path))
    assert len(versions) == 3


@pytest.mark.parametrize("name", OTHERS)
def test_what_no_vector_depends_on_does_not_identify_a_model(tmp_path, name):
    write(tmp_path, "config.json", "{}")
    before = version(tmp_path)
    write(tmp_path, name, "anything")
    assert version(tmp_path) == before


def test_a_gguf_file_is_identified_with_the_tokenizer_beside_it(tmp_path):
    write(tmp_path, "one.gguf", "weights")
    one = version(tmp_path / "one.gguf")
    for name in ("other.gguf", "notes.txt", "results.json"):
        write(tmp_path, name, "anything")
        assert version(tmp_path / "one.gguf") == one
    found = {one}
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "spiece.model"):
        write(tmp_path, name, "{}")
        found.add(version(tmp_path / "one.gguf"))
    write(tmp_path, "one.gguf", "other weights")
    assert len({*found, version(tmp_path / "one.gguf")}) == 6


@pytest.mark.parametrize("trust", [False, True])
def test_a_download_has_the_files_that_vectors_depend_on(tmp_path, monkeypatch, trust):
    asked = {}

    def download(name, **options):
        asked.update(options)
        return str(tmp_path)

    monkeypatch.setattr(model_files, "snapshot_download", download)
    find_model(ModelSource(model="someone/something", trust_remote_code=trust))
    patterns = {key: asked[key] for key in ("allow_patterns", "ignore_patterns")}
    names = [*TOKENIZERS, *WEIGHTS, *SETTINGS, *OTHERS, "modeling_own.py", "model.q8.gguf"]
    found = set(filter_repo_objects(names, **patterns))
    code = {"modeling_own.py"} if trust else set()
    assert found - {"LICENSE.txt"} == {*TOKENIZERS, *WEIGHTS, *SETTINGS} | code


def test_the_fingerprint_covers_whether_code_of_the_model_runs(tmp_path):
    folder = save_shape("mean", tmp_path)
    recipes = [recipe_of(folder, trust_remote_code=trust) for trust in (False, True)]
    assert recipes[0].fingerprint != recipes[1].fingerprint


def add_code(folder):
    """Let a model's configuration ask for code in its folder."""
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {}}
    for name in ("AutoConfig", "AutoModel", "AutoModelForCausalLM"):
        config["auto_map"][name] = "modeling_own.Own"
    write(folder, "config.json", json.dumps(config))
    write(folder, "modeling_own.py", MODEL_CODE)


@pytest.mark.parametrize("kind", ["sentence_transformer", "causal_lm"])
def test_a_models_code_is_refused_in_one_line_unless_trusted(tmp_path, kind):
    add_code(transformer_folder(tmp_path))
    with pytest.raises(InputError, match=r"cannot load: .*trust_remote_code") as caught:
        encode(recipe_of(tmp_path, kind=kind), ["a"])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot load: this code ran"):
        encode(recipe_of(tmp_path, kind=kind, trust_remote_code=True), ["a"])


def test_a_language_models_code_is_refused_in_one_line_unless_trusted(tmp_path):
    add_code(transformer_folder(tmp_path))
    source = LanguageModelSource(model=str(tmp_path))
    with pytest.raises(InputError, match=r"cannot load: .*trust_remote_code") as caught:
        load_language_model(source, "float32", "cpu")
    assert "\n" not in str(caught.value)


def test_a_modules_code_is_refused_in_one_line_unless_trusted(tmp_path):
    folder = save_shape("mean", tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "modeling_own.Own"
    write(folder, "modules.json", json.dumps(modules))
    write(folder, "modeling_own.py", MODEL_CODE)
    with pytest.raises(InputError, match=r"cannot load: .*trust_remote_code") as caught:
        encode(recipe_of(folder), ["a"])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot load: this code ran"):
        encode(recipe_of(folder, trust_remote_code=True), ["a"])
