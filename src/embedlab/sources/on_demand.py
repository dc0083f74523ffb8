"""Items to embed at once: any JSON lines of identified prefixes or prompts."""

from pathlib import Path

from embedlab.sources.prefixes import prefix_text
from embedlab.sources.records import BadRows, Record, read_records, required_text


def read_items(path: str) -> tuple[list[str], list[str]]:
    """Read `id` and the text of either `prefix` (its messages joined) or `prompt`.

    Returns:
        The n ids and the n texts.

    Raises:
        InputError: naming the first rows that are not as they should be.
    """
    raise NotImplementedError
