"""The index of keys, against a dictionary."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.encoders.key_index import ABSENT, KEY_TYPE, KeyIndex

# Few prefixes, so that many keys share one; zeros at the end, which numpy strips from strings.
KEYS = st.builds(
    lambda prefix, rest: bytes([prefix]) * 8 + bytes([rest]) * 4 + bytes(20),
    st.integers(0, 3),
    st.integers(0, 9),
)


def array(keys):
    return np.array(keys, dtype=KEY_TYPE)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(KEYS, max_size=6), max_size=12), st.lists(KEYS, max_size=10))
def test_each_key_is_found_at_one_of_its_places(additions, asked):
    index, places = KeyIndex(), {}
    for keys in additions:
        for offset, key in enumerate(keys):
            places.setdefault(key, set()).add(len(index) + offset)
        index.add(array(keys))
    found = index.find(array(asked)).tolist()
    assert len(index) == sum(map(len, additions))
    assert all(place in places.get(key, {ABSENT}) for key, place in zip(asked, found, strict=True))


def test_many_small_additions_stay_few_runs():
    index, random = KeyIndex(), np.random.default_rng(0)
    keys = random.integers(0, 256, size=(3000, 32), dtype=np.uint8).view(KEY_TYPE).ravel()
    for start in range(0, len(keys), 3):
        index.add(keys[start : start + 3])
    assert np.array_equal(index.find(keys[::-1]), np.arange(3000)[::-1])
    assert len(index._runs) <= 12
