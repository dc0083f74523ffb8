"""Finds where the first sentence of a text ends."""

import re

CLOSERS = "\"'”’»)]」』"
OPENERS = "\"'“‘«([「『"
STOPS = ".!?…。！？"
# A full-width stop ends a sentence even if no space follows.
FULL_WIDTH_END = re.compile(r"([。！？][」』”’）]*)(?=\S)")
# Titles and names, months, then words of references and measures.
ABBREVIATIONS = frozenset(
    (
        *("adm", "capt", "col", "dr", "gen", "gov", "hon", "jr", "lt", "maj", "mr", "mrs", "ms"),
        *("ph.d", "prof", "rep", "rev", "sen", "sgt", "sr", "st", "ste", "co", "corp", "inc"),
        *("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"),
        *("al", "approx", "ave", "blvd", "ca", "cf", "ch", "dept", "ed", "eds", "esp", "fig"),
        *("figs", "ft", "lit", "ltd", "mt", "no", "nos", "op", "pp", "pt", "viz", "vol", "vs"),
    )
)


def first_sentence(text: str) -> tuple[str, str]:
    """Split a text into its first sentence and the rest (or ""), with white space collapsed.

    A sentence ends at a word that ends in a stop (ignoring closing quotes and brackets) and is
    followed by a word that does not start in lower case. Stops inside round brackets, after
    initials ("J. S. Bach", "e.g.") and after common English abbreviations do not count.

    Example:
        >>> first_sentence("Dr. Who is old. He travels. In time.")
        ('Dr. Who is old.', 'He travels. In time.')
    """
    words = FULL_WIDTH_END.sub(r"\1 ", text).split()
    brackets = 0
    for index in range(1, len(words)):
        brackets += words[index - 1].count("(") - words[index - 1].count(")")
        if brackets <= 0 and _ends_sentence(words[index - 1], words[index]):
            return " ".join(words[:index]), " ".join(words[index:])
    return " ".join(words), ""


def _ends_sentence(word: str, following: str) -> bool:
    bare = word.rstrip(CLOSERS)
    if not bare.endswith(tuple(STOPS)) or following.lstrip(OPENERS)[:1].islower():
        return False
    return not bare.endswith(".") or not _is_abbreviation(bare)


def _is_abbreviation(word: str) -> bool:
    """Whether the word's full stop marks initials or a listed abbreviation."""
    stem = word.strip(STOPS + OPENERS).lower()
    return stem in ABBREVIATIONS or all(len(part) <= 1 for part in stem.split("."))
