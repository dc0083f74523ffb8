"""The small language model's tokenizer, and configurations as bags of its words."""

import itertools
from collections.abc import Sequence
from string import Formatter
from typing import TYPE_CHECKING

import pandas as pd

from embedlab.resource_encoder.configs import CONFIG_COLUMNS, INPUT_SIZES, NUMBERS
from embedlab.resource_encoder.descriptions import INSTRUCTIONS, TEMPLATES, format_number
from embedlab.resource_encoder.prompt import INSTRUCTION, PLACEHOLDER

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

END = "<|end|>"
SYMBOLS = "0123456789."
# Symbols of a number that have a word each; a bag of words leaves out the rest.
MAX_SYMBOLS = 6


def make_tokenizer(prompt: str, tool_names: Sequence[str]) -> "Qwen2Tokenizer":
    """Make a tokenizer of single bytes, phrases of prompts and descriptions, and words of bags.

    No phrase contains a digit, so each digit of a number is a token.
    """
    # Imported late: slow, and most runs need no language model.
    from tokenizers import AddedToken, pre_tokenizers
    from transformers import Qwen2Tokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([END, *alphabet])}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], eos_token=END, pad_token=END)
    phrases = [*_phrases(prompt), *INPUT_SIZES, *(name.replace("_", " ") for name in tool_names)]
    tokenizer.add_tokens(
        [AddedToken(phrase, normalized=False) for phrase in phrases if phrase.isascii()]
    )
    tokenizer.add_tokens([AddedToken(word) for word in bag_vocabulary(tool_names)])
    return tokenizer


def bag_vocabulary(tool_names: Sequence[str]) -> list[str]:
    """All words that occur in bags of words of these tools' configurations."""
    words = [f"<tool={name}>" for name in tool_names]
    words += [f"<input_size={size}>" for size in INPUT_SIZES]
    symbols = itertools.product(NUMBERS, range(MAX_SYMBOLS), SYMBOLS)
    return words + [f"<{number}[{index}]={symbol}>" for number, index, symbol in symbols]


def bags_of_words(configs: pd.DataFrame) -> list[list[str]]:
    """The words of each configuration: its tool, its input size, and each symbol of its numbers.

    Example:
        >>> row = ["cut", "small", 4, 8.5, 20, 2, 150]
        >>> bags_of_words(pd.DataFrame([row], columns=CONFIG_COLUMNS))[0][1:4]
        ['<input_size=small>', '<cpu_cores[0]=4>', '<memory_gb[0]=8>']
    """
    return [
        [
            f"<tool={tool}>",
            f"<input_size={size}>",
            *(
                f"<{name}[{index}]={symbol}>"
                for name, number in zip(NUMBERS, numbers, strict=True)
                for index, symbol in enumerate(format_number(number)[:MAX_SYMBOLS])
            ),
        ]
        for tool, size, *numbers in configs[list(CONFIG_COLUMNS)].itertuples(index=False)
    ]


def _phrases(prompt: str) -> list[str]:
    """The fixed texts of the prompt and the templates, of more than one character each."""
    literals = prompt.replace(PLACEHOLDER, INSTRUCTION).split(INSTRUCTION)
    literals += [literal for text in TEMPLATES for literal, *_ in Formatter().parse(text)]
    return [phrase for phrase in dict.fromkeys([*literals, *INSTRUCTIONS]) if len(phrase) > 1]
