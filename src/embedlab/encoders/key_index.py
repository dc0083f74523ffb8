"""An index of millions of keys: 12 bytes of memory a key, the keys themselves in a file."""

import tempfile

import numpy as np

KEY_BYTES = 32
KEY_TYPE = np.dtype(f"S{KEY_BYTES}")
ABSENT = -1

# Sorted prefixes and the places of their keys.
Run = tuple[np.ndarray, np.ndarray]


class KeyIndex:
    """The places of keys in the order in which they were added.

    Sorted prefixes of 8 bytes with the places of their keys are in memory, in runs of which each
    has at least twice the length of the next one: k new keys of n cost O(k log n) on average. The
    whole keys are in a temporary file without a name, mapped into memory.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the index
        self._keys = np.empty(0, dtype=KEY_TYPE)
        self._runs: list[Run] = []

    def __len__(self) -> int:
        """The number of keys that were added."""
        return len(self._keys)

    def add(self, keys: np.ndarray) -> None:
        """Give the keys `(k,)`, distinct or not, the next k places."""
        if not len(keys):
            return
        places = np.arange(len(self), len(self) + len(keys), dtype=np.uint32)
        self._file.write(keys.tobytes())
        self._file.flush()
        self._keys = np.memmap(self._file, KEY_TYPE, mode="r")
        prefixes = _prefixes(keys)
        order = np.argsort(prefixes, kind="stable")
        self._runs.append((prefixes[order], places[order]))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            shorter, longer = self._runs.pop(), self._runs.pop()
            self._runs.append(_merged(longer, shorter))

    def find(self, keys: np.ndarray) -> np.ndarray:
        """A place of each key `(k,)`, or `ABSENT`: int64 `(k,)`."""
        keys = np.ascontiguousarray(keys)
        wanted = _prefixes(keys)
        found = np.full(len(keys), ABSENT, dtype=np.int64)
        for prefixes, places in self._runs:
            at = np.searchsorted(prefixes, wanted)
            open_ = np.flatnonzero(found == ABSENT)
            # Other keys may have the same prefix: look at all of them.
            while len(open_ := open_[_holds(prefixes, at[open_], wanted[open_])]):
                candidates = places[at[open_]]
                equal = self._keys[candidates] == keys[open_]
                found[open_[equal]] = candidates[equal]
                open_ = open_[~equal]
                at[open_] += 1
        return found


def _prefixes(keys: np.ndarray) -> np.ndarray:
    """The first 8 bytes of each key, uint64 `(k,)`."""
    words = np.ascontiguousarray(keys).view(np.uint64).reshape(-1, KEY_BYTES // 8)
    return words[:, 0].copy()


def _holds(prefixes: np.ndarray, at: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whether the sorted prefixes have the wanted ones `(k,)` at these positions `(k,)`."""
    inside = at < len(prefixes)
    inside[inside] = prefixes[at[inside]] == wanted[inside]
    return inside


def _merged(longer: Run, shorter: Run) -> Run:
    """Two sorted runs as one."""
    at = np.searchsorted(longer[0], shorter[0])
    return np.insert(longer[0], at, shorter[0]), np.insert(longer[1], at, shorter[1])
