"""Download of a BEIR set: it writes into the set's folder only, all of it or nothing."""

import http.client
import shutil
import stat
import urllib.request
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from tqdm import tqdm

from embedlab.errors import InputError

BEIR_URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"
TIMEOUT_SECONDS = 20.0
CHUNK_BYTES = 1 << 20


def download_beir_set(name: str, root: Path) -> None:
    """Download and unpack the set into `root/name`, in one rename at the end.

    Raises:
        InputError: when the server is out of reach, or the archive is damaged or unsafe.
    """
    target = root / name
    if target.exists():
        raise InputError(f"{target}: is incomplete; add what is missing, or remove it")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{name}-", dir=root) as temporary:
            archive = Path(temporary) / "archive.zip"
            _fetch(name, archive, target)
            unpack(archive, name, Path(temporary)).rename(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error})") from None


def unpack(archive: Path, name: str, into: Path) -> Path:
    """Extract the archive's folder `name` into the folder `into`, all its members checked first.

    Raises:
        InputError: for a damaged archive, or a member that is a link or lies outside the folder.
    """
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.infolist():
                _check(member, name)
            members.extractall(into)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise InputError(f"{name}.zip: damaged archive ({error}); download it again") from None
    if not (into / name).is_dir():
        raise InputError(f"{name}.zip: holds no folder {name}")
    return into / name


def _check(member: zipfile.ZipInfo, name: str) -> None:
    """Refuse links, absolute paths, "..", and whatever is not inside the folder `name`."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    link = stat.S_ISLNK(member.external_attr >> 16)
    if link or path.is_absolute() or ".." in path.parts or path.parts[:1] != (name,):
        raise InputError(
            f"{name}.zip: refused, its member {member.filename!r} is a link or lies outside {name}/"
        )


def _fetch(name: str, archive: Path, target: Path) -> None:
    url = BEIR_URL.format(name=name)
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response,
            archive.open("wb") as file,
        ):
            total = int(response.headers.get("Content-Length") or 0)
            with tqdm.wrapattr(response, "read", total or None, desc=f"downloading {name}") as body:
                shutil.copyfileobj(body, file, CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{name}: cannot be downloaded from {url} ({reason}); put corpus.jsonl, queries.jsonl "
            f"and qrels/ into {target}"
        ) from None
    if archive.stat().st_size < total:
        raise InputError(f"{name}: the download broke off; run again")
