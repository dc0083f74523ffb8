"""Configurations of tools: what a run is given and what it then takes."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from embedlab.errors import InputError
from embedlab.resource_encoder.latency_model import latency_ms
from embedlab.sources.bad_rows import BadRowError
from embedlab.sources.fields import required_text
from embedlab.sources.records import Record, read_sound_rows, refuse_repeated

INPUT_SIZES = ("small", "medium", "large")
NUMBERS = ("cpu_cores", "memory_gb", "gpu_sm", "gpu_memory_gb", "latency_ms")
RESOURCES = ("input_size", *NUMBERS)
COLUMNS = ("tool_name", *RESOURCES)
LEVELS = (INPUT_SIZES, (2, 4, 8), (4, 8, 16), (20, 40, 60), (2, 4, 8))

Row = tuple[str | float, ...]


def default_tool_configs(registry: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Every tool under every combination of five resources at three levels each.

    The latencies are synthetic: `latency_model` computes them.

    Returns:
        Columns config_id, tool_name, input_size, cpu_cores, memory_gb, gpu_sm, gpu_memory_gb,
        latency_ms; 243 rows for each of the registry's tools, in its order.
    """
    configs = _numbered(itertools.product(registry["tool_name"], *LEVELS, [math.nan]))
    latencies = latency_ms(list(configs["tool_name"]), resource_values(configs)[:, :5], seed)
    return configs.assign(latency_ms=latencies)


def read_tool_configs(path: Path, registry: pd.DataFrame) -> pd.DataFrame:
    """Read the user's own profile, a CSV file with the columns tool_name and `RESOURCES`.

    The file has no config_id: identifiers count from 0 in the order of the registry's tools and,
    for each tool, of the file.

    Returns:
        The columns of `default_tool_configs`.

    Raises:
        InputError: naming the rows: a column that is absent, a config_id, a tool without rows or
            without a place in the registry, a value that is not a positive number, an unknown input
            size, a second row of the same tool, input size, cores, SMs and memories.
    """
    order = {tool: position for position, tool in enumerate(registry["tool_name"])}
    places: dict[Row, str] = {}

    def parse(record: Record) -> Row:
        _check_columns(path, record)
        row = _parse(record)
        if row[0] not in order:
            raise BadRowError("tool_name is not in the tool registry", row[0])
        refuse_repeated(places, row[:-1], record, "configuration")
        return row

    rows = read_sound_rows(path, parse)
    without = list(order.keys() - {row[0] for row in rows})
    if without:
        names = ", ".join(sorted(without, key=order.__getitem__))
        raise InputError(f"{path}: no rows for {names}; add them or take the tool off the registry")
    return _numbered(sorted(rows, key=lambda row: order[row[0]]))


def resource_values(configs: pd.DataFrame) -> NDArray[np.float64]:
    """The resources as numbers, in the order of `RESOURCES`; input sizes are 0, 1, 2.

    Returns:
        Shape (n, 6).

    Raises:
        InputError: if an input size is unknown.
    """
    unknown = configs.loc[~configs["input_size"].isin(INPUT_SIZES), "input_size"]
    if len(unknown):
        known = ", ".join(INPUT_SIZES)
        raise InputError(f"input_size: there is no {unknown.iloc[0]!r}; choose one of {known}")
    sizes = configs["input_size"].map(INPUT_SIZES.index)
    return configs.assign(input_size=sizes)[list(RESOURCES)].to_numpy(np.float64)


def tool_positions(configs: pd.DataFrame, tool_names: Sequence[str]) -> NDArray[np.int64]:
    """The position of each configuration's tool among these.

    Returns:
        Shape (n,).

    Raises:
        InputError: if a tool is not among them.
    """
    names = pd.Index(configs["tool_name"])
    positions = pd.Index(tool_names).get_indexer(names)
    if (positions < 0).any():
        raise InputError(
            f"tool_name: the encoder does not know {names[positions < 0][0]}; "
            f"its tools are {', '.join(tool_names)}"
        )
    return positions.astype(np.int64)


def configs_sha256(registry: pd.DataFrame, configs: pd.DataFrame) -> str:
    """A hash of all that the two tables say, in their order, however their numbers are stored."""
    tools = registry[["tool_name", "description"]].to_numpy().tolist()
    names = configs[["config_id", "tool_name"]].to_numpy().tolist()
    content = json.dumps([tools, names, resource_values(configs).tolist()])
    return hashlib.sha256(content.encode()).hexdigest()


def check_descriptions(described: pd.DataFrame, registry: pd.DataFrame, sha256: str) -> None:
    """Refuse descriptions that are not of the configurations with this `configs_sha256`.

    Raises:
        InputError: if they are not.
    """
    if configs_sha256(registry, described) != sha256:
        raise InputError(
            "tool_descriptions: of other configurations; "
            "run `kedro run --pipelines=encoder_pretrain`"
        )


def _numbered(rows: Iterable[Row]) -> pd.DataFrame:
    """The table of these rows, with identifiers from 0 and all numbers as floats."""
    configs = pd.DataFrame(list(rows), columns=list(COLUMNS))
    configs.insert(0, "config_id", np.arange(len(configs)))
    return configs.astype(dict.fromkeys(NUMBERS, np.float64))


def _check_columns(path: Path, record: Record) -> None:
    absent = [column for column in COLUMNS if column not in record.fields]
    if absent:
        raise InputError(
            f"{path}: no column {', '.join(absent)}; the columns are {', '.join(COLUMNS)}"
        )
    if "config_id" in record.fields:
        raise InputError(f"{path}: take out config_id; identifiers follow the order of the rows")


def _parse(record: Record) -> Row:
    size = required_text(record, "input_size")
    if size not in INPUT_SIZES:
        raise BadRowError(f"input_size is not one of {', '.join(INPUT_SIZES)}", size)
    numbers = [_positive(column, record.fields[column]) for column in NUMBERS]
    return required_text(record, "tool_name"), size, *numbers


def _positive(column: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise BadRowError(f"{column} is not a positive number", value)
    return number
