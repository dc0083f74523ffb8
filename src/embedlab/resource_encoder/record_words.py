"""A configuration as a bag of words, each of which is one fact."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from embedlab.resource_encoder.tool_configs import INPUT_SIZES, NUMBERS

SYMBOLS = "0123456789."
# Symbols of a number that have words; what follows is not said.
PLACES = 6


def record_vocabulary(tool_names: Sequence[str]) -> list[str]:
    """All the words that records of these tools are made of."""
    words = [f"<tool={name}>" for name in tool_names]
    words += [f"<input_size={size}>" for size in INPUT_SIZES]
    return words + [
        f"<{number}[{place}]={symbol}>"
        for number in NUMBERS
        for place in range(PLACES)
        for symbol in SYMBOLS
    ]


def record_words(configs: pd.DataFrame) -> list[list[str]]:
    """The words of each configuration: its tool, its input size, and each symbol of its numbers."""
    columns = [
        [
            [f"<{name}[{place}]={symbol}>" for place, symbol in enumerate(_digits(value))]
            for value in configs[name]
        ]
        for name in NUMBERS
    ]
    first = zip(configs["tool_name"], configs["input_size"], strict=True)
    return [
        [f"<tool={tool}>", f"<input_size={size}>", *(word for number in numbers for word in number)]
        for (tool, size), *numbers in zip(first, *columns, strict=True)
    ]


def _digits(value: float) -> str:
    return np.format_float_positional(value, trim="-")[:PLACES]
