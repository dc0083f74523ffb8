"""Descriptions of configurations in words, in several wordings, and what can be read from them."""

import re
from dataclasses import dataclass
from functools import cache
from string import Formatter

import numpy as np
import pandas as pd

from embedlab.resource_encoder.tool_configs import NUMBERS, RESOURCES

FIELDS = ("tool", *RESOURCES)


@dataclass(frozen=True)
class Template:
    """One wording of a description.

    Attributes:
        instruction: asks for this wording; each template has its own, so that the text is certain.
        text: the description, with a place for each of `FIELDS`.
    """

    instruction: str
    text: str


TEMPLATES = (  # the first is the canonical description
    Template(
        "Describe this configuration.",
        "The {tool} tool runs a {input_size} input on {cpu_cores} CPU cores, {memory_gb} GB memory,"
        " {gpu_sm} GPU SMs and {gpu_memory_gb} GB GPU memory in {latency_ms} ms.",
    ),
    Template(
        "List the resources.",
        "Tool: {tool}; input: {input_size}; CPU cores: {cpu_cores}; memory: {memory_gb} GB;"
        " GPU SMs: {gpu_sm}; GPU memory: {gpu_memory_gb} GB; latency: {latency_ms} ms.",
    ),
    Template(
        "How fast is it?",
        "In {latency_ms} ms the {tool} tool handles a {input_size} input, given {cpu_cores} CPU"
        " cores, {memory_gb} GB memory, {gpu_sm} GPU SMs and {gpu_memory_gb} GB GPU memory.",
    ),
    Template(
        "What does it need?",
        "To process a {input_size} input within {latency_ms} ms, the {tool} tool needs {cpu_cores}"
        " CPU cores, {memory_gb} GB memory, {gpu_sm} GPU SMs and {gpu_memory_gb} GB GPU memory.",
    ),
    Template(
        "Plan the deployment.",
        "Reserve {cpu_cores} CPU cores, {memory_gb} GB memory, {gpu_sm} GPU SMs and"
        " {gpu_memory_gb} GB GPU memory for the {tool} tool; a {input_size} input takes"
        " {latency_ms} ms.",
    ),
    Template(
        "Begin with the GPU.",
        "A GPU with {gpu_sm} SMs and {gpu_memory_gb} GB, beside {cpu_cores} CPU cores and"
        " {memory_gb} GB memory, runs the {tool} tool on a {input_size} input in {latency_ms} ms.",
    ),
)


INSTRUCTIONS = tuple(template.instruction for template in TEMPLATES)


def describe(rows: pd.DataFrame, template: int) -> list[str]:
    """Describe each configuration in the words of one of `TEMPLATES`.

    Tool names are written with spaces, numbers with as few digits as tell them apart.

    Args:
        rows: columns tool_name and `RESOURCES`; n rows.
        template: its position.

    Returns:
        n texts.
    """
    tools = rows["tool_name"].str.replace("_", " ")
    columns = [tools, rows["input_size"], *(rows[name].map(_number) for name in NUMBERS)]
    text = TEMPLATES[template].text
    return [
        text.format_map(dict(zip(FIELDS, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]


def read_fields(text: str, template: int) -> dict[str, str]:
    """Read each of `FIELDS` from a description, or from what a model wrote in its place.

    A field is what stands between the words that the template has before and after it, whatever
    the rest of the text says; where these words are not found, it is the empty string.
    """
    patterns = _patterns(template)
    found = {field: patterns[field].search(text) for field in FIELDS}
    return {field: match[1] if match else "" for field, match in found.items()}


def _number(value: float) -> str:
    """4.0 as "4" and 4.12 as "4.12"."""
    return np.format_float_positional(value, trim="-")


@cache
def _patterns(template: int) -> dict[str, re.Pattern[str]]:
    """What finds each field: the template's words on its left and on its right."""
    parts = list(Formatter().parse(TEMPLATES[template].text))
    literals = [re.escape(literal) for literal, *_ in parts]
    fields = [field for _, field, *_ in parts if field is not None]
    return {
        field: re.compile(f"{before}(.*?){after}", re.DOTALL)
        for field, before, after in zip(fields, literals[:-1], literals[1:], strict=True)
    }
