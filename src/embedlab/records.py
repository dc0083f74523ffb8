"""Records beside artifacts: what each was made from, and the digest of its content."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from embedlab.digests import file_digest, file_state, remember, value_digest
from embedlab.errors import InputError
from embedlab.files import replacing

SUFFIX = ".lineage.json"


@dataclass(frozen=True)
class Cause:
    """What determines the outputs of a node.

    Attributes:
        node: its name.
        code: digest of its function and of the code that this uses.
        parameters: what its results depend on, by input; with the content of files that they name.
        inputs: digests of its other inputs, by catalog entry.
    """

    node: str
    code: str
    parameters: dict[str, Any]
    inputs: dict[str, str | None]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return value_digest(asdict(self))


@dataclass(frozen=True)
class Record:
    """What an artifact is.

    Attributes:
        digest: of its content.
        files: size, time of change (ns) and SHA-256 of each of its files.
        cause: what it was made from; None for an artifact that a user put there.
        made_at: UTC, ISO 8601.
        libraries: versions of the libraries that compute. Other versions, and another processor,
            change the last digits only, so they make nothing stale.
    """

    digest: str
    files: dict[str, tuple[int, int, str]]
    cause: Cause | None
    made_at: str
    libraries: dict[str, str]


def record_path(artifact: Path) -> Path:
    """Where the record of a file, or of an existing folder, is."""
    if artifact.is_dir():
        return artifact / SUFFIX
    return artifact.with_name(f".{artifact.name}{SUFFIX}")


def write_record(
    fresh: Path, artifact: Path, cause: Cause | None, libraries: dict[str, str]
) -> None:
    """Record the content of `fresh`, which is `artifact` or is about to replace it.

    The record of a folder is inside, so both are replaced at once. That of a file is replaced
    before the file: after a crash between the two, the old file does not have the recorded digest.
    """
    content = _content(fresh, artifact.name)
    files = {name: (*file_state(path), file_digest(path)) for name, path in content.items()}
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(_digest(content), files, cause, made_at, libraries)
    with replacing(record_path(fresh if fresh.is_dir() else artifact)) as temporary:
        text = json.dumps(asdict(record), indent=1, ensure_ascii=False)
        temporary.write_text(text, encoding="utf-8")
    _remember(record, artifact, fresh.is_dir())


def read_record(artifact: Path) -> Record | None:
    """The record of an artifact; None if it has none.

    Raises:
        InputError: if the record is damaged.
    """
    path = record_path(artifact)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cause = content.pop("cause")
        record = Record(**content, cause=None if cause is None else Cause(**cause))
        _remember(record, artifact, artifact.is_dir())
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: damaged record ({error}); delete it") from error
    return record


def content_digest(artifact: Path) -> str:
    """The digest of what is in a file or folder now; `read_record` saves reading it."""
    return _digest(_content(artifact, artifact.name))


def _content(artifact: Path, name: str) -> dict[str, Path]:
    """The files of an artifact by their relative paths, records and hidden files aside."""
    if not artifact.is_dir():
        return {name: artifact}
    files = {path.relative_to(artifact): path for path in sorted(artifact.rglob("*"))}
    return {
        relative.as_posix(): path
        for relative, path in files.items()
        if path.is_file() and not any(part.startswith(".") for part in relative.parts)
    }


def _digest(content: dict[str, Path]) -> str:
    digests = {name: file_digest(path) for name, path in content.items()}
    return next(iter(digests.values())) if len(digests) == 1 else value_digest(digests)


def _remember(record: Record, artifact: Path, is_folder: bool) -> None:
    """Let the digests of files that have not changed since be known."""
    for name, state in record.files.items():
        remember(artifact / name if is_folder else artifact, *state)
