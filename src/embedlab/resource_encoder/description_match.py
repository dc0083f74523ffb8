"""How much of a description is decoded right."""

from collections.abc import Sequence

from embedlab.resource_encoder.templates import read_fields


def exact_match_rates(
    decoded: Sequence[str], expected: Sequence[str], template: int
) -> dict[str, float]:
    """The share of descriptions, and of each field of theirs, that are decoded to the letter.

    Args:
        decoded: what a model wrote, n texts.
        expected: what it should have written.
        template: the wording of all.

    Returns:
        The rate of the whole `description`, then that of each field.
    """
    rows = [
        {"description": text == truth} | _fields_match(text, truth, template)
        for text, truth in zip(decoded, expected, strict=True)
    ]
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def _fields_match(text: str, truth: str, template: int) -> dict[str, bool]:
    found = read_fields(text, template)
    return {name: found[name] == value for name, value in read_fields(truth, template).items()}
