"""The names of BEIR's sets, their groups, and which of them can be downloaded."""

from collections.abc import Iterable
from pathlib import Path

# Thakur et al. 2021 (arXiv 2104.08663), table 1; they train on MS MARCO and do not test on it.
QUICK = ("scifact", "nfcorpus")
STANDARD = (*QUICK, "arguana", "fiqa", "trec-covid")
NOT_DOWNLOADABLE = ("bioasq", "signal1m", "trec-news", "robust04")
FULL = (
    *STANDARD,
    *("nq", "hotpotqa", "webis-touche2020", "cqadupstack", "quora", "dbpedia-entity"),
    *("scidocs", "fever", "climate-fever"),
    *NOT_DOWNLOADABLE,
)
BEIR_GROUPS = {"quick": QUICK, "standard": STANDARD, "full": FULL}

# The judgements that BEIR evaluates on where they are not those of its split test, which for
# MS MARCO has the 43 queries of TREC Deep Learning 2019 only.
EVALUATION_SPLITS = {"msmarco": "dev"}

CQADUPSTACK = "cqadupstack"
FORUMS = (
    *("android", "english", "gaming", "gis", "mathematica", "physics"),
    *("programmers", "stats", "tex", "unix", "webmasters", "wordpress"),
)


def expand_groups(names: Iterable[str]) -> tuple[str, ...]:
    """Replace each group by its sets; each set occurs once, in the order of first mention.

    Names that are no group are kept: they are folders in BEIR's format.

    Example:
        >>> expand_groups(["mine", "quick", "scifact"])
        ('mine', 'scifact', 'nfcorpus')
    """
    return tuple(dict.fromkeys(one for name in names for one in BEIR_GROUPS.get(name, (name,))))


def with_forums(names: Iterable[str], root: Path) -> tuple[str, ...]:
    """Replace CQADupStack by its forums, unless `root` has it as one set; each set occurs once."""
    return tuple(dict.fromkeys(one for name in names for one in _forums(name, root)))


def available_sets(names: Iterable[str], root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Expand groups, and CQADupStack into its forums; leave out what cannot be downloaded.

    Returns:
        The sets, and a note on each one left out: those of the group `full` that cannot be
        downloaded, are not in `root` and are not named by themselves.
    """
    named = tuple(names)
    missing = [
        name
        for name in expand_groups(named)
        if name in NOT_DOWNLOADABLE and name not in named and not has_set(root / name)
    ]
    sets = [name for name in expand_groups(named) if name not in missing]
    notes = [f"{name} skipped: not free to download, and not in {root / name}" for name in missing]
    return with_forums(sets, root), tuple(notes)


def has_set(folder: Path) -> bool:
    """Whether the folder looks like a BEIR set."""
    return plain_or_gz(folder / "corpus.jsonl").is_file()


def plain_or_gz(path: Path) -> Path:
    """The path, or that of the gzipped file if only this one exists."""
    gzipped = path.with_name(f"{path.name}.gz")
    return gzipped if gzipped.is_file() and not path.is_file() else path


def archive_of(name: str) -> str | None:
    """The name of the archive that has the set: CQADupStack's for a forum; None without one."""
    parent, _, forum = name.partition("/")
    if parent == CQADUPSTACK:
        return parent if forum in FORUMS else None
    return name if name in FULL or name == "msmarco" else None


def _forums(name: str, root: Path) -> tuple[str, ...]:
    """The forums of CQADupStack, unless `root` has them merged into one set; else `name`."""
    if name != CQADUPSTACK or has_set(root / name):
        return (name,)
    local = sorted(folder.name for folder in (root / name).glob("*") if has_set(folder))
    return tuple(f"{name}/{forum}" for forum in local or FORUMS)
