"""Descriptions of configurations by templates, and how many a model decodes exactly."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from string import Formatter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from embedlab.resource_encoder.configs import NUMBERS, RESOURCES

FIELDS = ("tool", *RESOURCES)
# Texts by the instruction that asks for them; the first one is the default.
TEXTS = {
    "Describe this configuration.": (
        "The {tool} tool runs a {input_size} input on {cpu_cores} CPU cores, {memory_gb} GB memory,"
        " {gpu_sm} GPU SMs and {gpu_memory_gb} GB GPU memory in {latency_ms} ms."
    ),
    "List the resources.": (
        "Tool: {tool}; input: {input_size}; CPU cores: {cpu_cores}; memory: {memory_gb} GB;"
        " GPU SMs: {gpu_sm}; GPU memory: {gpu_memory_gb} GB; latency: {latency_ms} ms."
    ),
    "How fast is it?": (
        "In {latency_ms} ms the {tool} tool handles a {input_size} input, given {cpu_cores} CPU"
        " cores, {memory_gb} GB memory, {gpu_sm} GPU SMs and {gpu_memory_gb} GB GPU memory."
    ),
    "What does it need?": (
        "To process a {input_size} input within {latency_ms} ms, the {tool} tool needs {cpu_cores}"
        " CPU cores, {memory_gb} GB memory, {gpu_sm} GPU SMs and {gpu_memory_gb} GB GPU memory."
    ),
    "Plan the deployment.": (
        "Reserve {cpu_cores} CPU cores, {memory_gb} GB memory, {gpu_sm} GPU SMs and"
        " {gpu_memory_gb} GB GPU memory for the {tool} tool; a {input_size} input takes"
        " {latency_ms} ms."
    ),
    "Begin with the GPU.": (
        "A GPU with {gpu_sm} SMs and {gpu_memory_gb} GB, beside {cpu_cores} CPU cores and"
        " {memory_gb} GB memory, runs the {tool} tool on a {input_size} input in {latency_ms} ms."
    ),
}
INSTRUCTIONS, TEMPLATES = tuple(TEXTS), tuple(TEXTS.values())


def write_descriptions(rows: pd.DataFrame, template: int | NDArray[np.int64]) -> list[str]:
    """Describe configurations, with spaces for the underscores of tool names.

    Args:
        rows: columns tool_name and `RESOURCES`; n rows.
        template: index in `TEMPLATES`, of all rows or of each, `(n,)`.

    Example:
        >>> row = ["cut", "small", 4.0, 8.12, 20, 2, 150]
        >>> rows = pd.DataFrame([row], columns=["tool_name", *RESOURCES])
        >>> write_descriptions(rows, template=0)[0][:64]
        'The cut tool runs a small input on 4 CPU cores, 8.12 GB memory, '
    """
    texts = {name: rows[name].map(format_number) for name in NUMBERS}
    fields = rows.assign(tool=rows["tool_name"].str.replace("_", " "), **texts)
    texts_of = zip(np.broadcast_to(template, len(rows)), fields.to_dict("records"), strict=True)
    return [TEMPLATES[index].format_map(row) for index, row in texts_of]


def format_number(value: float) -> str:
    """The shortest decimal that reads back as `value`: "4" for 4.0, "4.12" for 4.12."""
    return np.format_float_positional(value, trim="-")


def read_fields(text: str, template: int) -> dict[str, str]:
    """Read each of `FIELDS` from a description, or from what a model decoded as one.

    A field is the text between the template's words before and after it, or empty if these words
    do not occur; the rest of the text does not matter.
    """
    found = {field: _patterns(template)[field].search(text) for field in FIELDS}
    return {field: match[1] if match else "" for field, match in found.items()}


def exact_match_rates(
    decoded: Sequence[str], expected: Sequence[str], template: int
) -> dict[str, float]:
    """The share of descriptions, and of each field, that are decoded exactly.

    Args:
        decoded: what a model wrote, n texts.
        expected: the true descriptions by the template, n texts.
        template: its index in `TEMPLATES`.

    Returns:
        The rate of the whole `description`, then that of each of `FIELDS`.
    """
    found, true = (
        pd.DataFrame([{"description": text} | read_fields(text, template) for text in texts])
        for texts in (decoded, expected)
    )
    return {str(name): rate for name, rate in found.eq(true).mean().items()}


@cache
def _patterns(template: int) -> dict[str, re.Pattern[str]]:
    """By field, the expression between the template's words on its left and on its right."""
    parts = list(Formatter().parse(TEMPLATES[template]))
    return {
        field: re.compile(f"{re.escape(before)}(.*?){re.escape(after)}", re.DOTALL)
        for (before, field, *_), (after, *_) in pairwise(parts)
        if field is not None
    }
