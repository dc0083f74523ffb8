"""Configurations of tools: an input size, four resources, and the latency of a run with them."""

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from embedlab.errors import InputError
from embedlab.resource_encoder.latency_model import latency_ms
from embedlab.sources.bad_rows import BadRowError
from embedlab.sources.fields import number_of, required_text
from embedlab.sources.records import Record, read_sound_rows, refuse_repeated

INPUT_SIZES = ("small", "medium", "large")
NUMBERS = ("cpu_cores", "memory_gb", "gpu_sm", "gpu_memory_gb", "latency_ms")
RESOURCES = ("input_size", *NUMBERS)
CONFIG_COLUMNS = ("tool_name", *RESOURCES)
# Of the default profile, for all of `RESOURCES` but the latency.
RESOURCE_LEVELS = (INPUT_SIZES, (2, 4, 8), (4, 8, 16), (20, 40, 60), (2, 4, 8))

ConfigRow = tuple[str | float, ...]


def default_tool_configs(registry: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Every tool with every combination of five resources at three levels each.

    Returns:
        Columns config_id, tool_name and `RESOURCES`, with synthetic latencies (`latency_ms`); 243
        rows for each of the registry's tools, in its order.
    """
    configs = _table(itertools.product(registry["tool_name"], *RESOURCE_LEVELS, [math.nan]))
    latencies = latency_ms(list(configs["tool_name"]), resource_values(configs)[:, :5], seed)
    return configs.assign(latency_ms=latencies)


def read_tool_configs(path: Path, registry: pd.DataFrame) -> pd.DataFrame:
    """Read the user's profile, a CSV file with the columns tool_name and `RESOURCES`.

    Returns:
        The columns of `default_tool_configs`; config_id counts rows in the registry's order of
        tools, and within a tool in the order of the file.

    Raises:
        InputError: if a column is missing, there is a config_id, a tool has no row or is not in the
            registry, a value is invalid, or two rows differ in nothing but the latency.
    """
    order = {tool: index for index, tool in enumerate(registry["tool_name"])}
    seen: dict[ConfigRow, str] = {}

    def parse(record: Record) -> ConfigRow:
        _check_columns(path, record)
        row = _parse_config(record)
        if row[0] not in order:
            raise BadRowError("tool_name is not in the tool registry", row[0])
        refuse_repeated(seen, row[:-1], record, "configuration")
        return row

    rows = read_sound_rows(path, parse)
    present = {row[0] for row in rows}
    if missing := ", ".join(tool for tool in order if tool not in present):
        hint = "add them or take the tool off the registry"
        raise InputError(f"{path}: no rows for {missing}; {hint}")
    return _table(sorted(rows, key=lambda row: order[row[0]]))


def resource_values(configs: pd.DataFrame) -> NDArray[np.float64]:
    """The resources as numbers `(n, 6)`, in the order of `RESOURCES`; input sizes are 0, 1, 2.

    Raises:
        InputError: if an input size is unknown.
    """
    sizes = _indices(configs["input_size"], INPUT_SIZES)
    return configs.assign(input_size=sizes)[list(RESOURCES)].to_numpy(np.float64)


def tool_positions(configs: pd.DataFrame, tool_names: Sequence[str]) -> NDArray[np.int64]:
    """The index of each configuration's tool in `tool_names`, `(n,)`.

    Raises:
        InputError: if a tool is not in `tool_names`.
    """
    return _indices(configs["tool_name"], tool_names)


def config_tensors(configs: pd.DataFrame, tool_names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The inputs of an encoder: `tool_positions` `(n,)`, and float32 `resource_values` `(n, 6)`."""
    tools, values = tool_positions(configs, tool_names), resource_values(configs)
    return torch.from_numpy(tools), torch.from_numpy(values).float()


def _indices(column: pd.Series, known: Sequence[str]) -> NDArray[np.int64]:
    indices = pd.Index(known).get_indexer(pd.Index(column)).astype(np.int64)
    if (indices < 0).any():
        value = column.iloc[indices.argmin()]
        raise InputError(f"{column.name}: {value!r} is none of {', '.join(known)}")
    return indices


def _table(rows: Iterable[ConfigRow]) -> pd.DataFrame:
    """The rows with a config_id each, and all numbers as floats."""
    configs = pd.DataFrame(list(rows), columns=list(CONFIG_COLUMNS))
    configs.insert(0, "config_id", np.arange(len(configs)))
    return configs.astype(dict.fromkeys(NUMBERS, np.float64))


def _check_columns(path: Path, record: Record) -> None:
    if missing := ", ".join(name for name in CONFIG_COLUMNS if name not in record.fields):
        columns = ", ".join(CONFIG_COLUMNS)
        raise InputError(f"{path}: no column {missing}; the columns are {columns}")
    if "config_id" in record.fields:
        raise InputError(f"{path}: remove the column config_id; it follows from the order of rows")


def _parse_config(record: Record) -> ConfigRow:
    size = required_text(record, "input_size")
    if size not in INPUT_SIZES:
        raise BadRowError(f"input_size is not one of {', '.join(INPUT_SIZES)}", size)
    numbers = [_positive_number(record.fields[column], column) for column in NUMBERS]
    return required_text(record, "tool_name"), size, *numbers


def _positive_number(value: object, column: str) -> float:
    number = number_of(value)
    if not 0 < number < math.inf:
        raise BadRowError(f"{column} is not a positive number", value)
    return number
