"""Training samples: described configurations, with jittered and reworded copies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from embedlab.parameters import Parameters
from embedlab.resource_encoder.configs import CONFIG_COLUMNS, NUMBERS, config_tensors
from embedlab.resource_encoder.descriptions import TEMPLATES, write_descriptions

SAMPLE_COLUMNS = ["config_id", *CONFIG_COLUMNS, "template", "text"]
# Second entries of the seeds, so that the draws of one seed are independent of each other.
TRAINED_STREAM, UNSEEN_STREAM = 1, 2


class AugmentationParameters(Parameters):
    """How many training samples are made of each configuration, and how they differ.

    Attributes:
        mode: `none` makes one sample per configuration; in further copies, `jitter` changes the
            numbers, `variation` the template of the description, and `both` changes both.
        num_copies: samples per configuration, including the unchanged one; `none` ignores it.
        jitter: largest relative change of a number, before rounding to three significant digits.
    """

    mode: Literal["none", "jitter", "variation", "both"] = "both"
    num_copies: int = Field(10, ge=1)
    jitter: float = Field(0.05, gt=0, lt=1)

    @model_validator(mode="after")
    def _changes_a_copy(self) -> Self:
        if self.mode != "none" and self.num_copies == 1:
            fault = f"1 leaves no copy for mode: {self.mode} to change"
            raise ValueError(f"num_copies: {fault}; raise it or set mode: none")
        return self


def augment(configs: pd.DataFrame, parameters: AugmentationParameters, seed: int) -> pd.DataFrame:
    """Copy and describe every configuration; all copies but the first are changed.

    Every text describes the values in its row. Each `len(TEMPLATES)` consecutive copies of a
    configuration, counted from the first, use each template once. The seed decides the jitter and
    the order of the templates.

    Returns:
        Columns `SAMPLE_COLUMNS`; the first copies of all configurations, then the second ones, and
        so on.
    """
    n, mode = len(configs), parameters.mode
    copies = 1 if mode == "none" else parameters.num_copies
    random = np.random.default_rng([seed, TRAINED_STREAM])
    rows = pd.concat([configs] * copies, ignore_index=True)
    if mode in ("jitter", "both"):
        rows = pd.concat([configs, jitter_numbers(rows[n:], parameters.jitter, random)])
    if mode in ("variation", "both"):
        return add_descriptions(rows, _shuffled_templates(n, copies, random).T.ravel())
    return add_descriptions(rows, 0)


def unseen_jitter(
    configs: pd.DataFrame, trained: pd.DataFrame, jitter: float, seed: int
) -> pd.DataFrame:
    """Jitter every configuration once and describe it, except those that are trained on.

    Args:
        configs: columns config_id, tool_name and `RESOURCES`.
        trained: the result of `augment`.
        jitter: largest relative change of a number.
        seed: of the jitter; independent of the draws of `augment` with the same seed.
    """
    random = np.random.default_rng([seed, UNSEEN_STREAM])
    rows = add_descriptions(jitter_numbers(configs, jitter, random), 0)
    columns = list(CONFIG_COLUMNS)
    known = rows.set_index(columns).index.isin(trained.set_index(columns).index)
    return rows[~known].reset_index(drop=True)


def jitter_numbers(rows: pd.DataFrame, jitter: float, random: Generator) -> pd.DataFrame:
    """Multiply numbers by draws of U(1 - jitter, 1 + jitter); round to three significant digits."""
    values = rows[list(NUMBERS)].to_numpy(np.float64)
    values = values * random.uniform(1 - jitter, 1 + jitter, values.shape)
    rounded = np.char.mod("%.3g", values).astype(np.float64)
    return rows.assign(**dict(zip(NUMBERS, rounded.T, strict=True)))


def add_descriptions(rows: pd.DataFrame, template: int | NDArray[np.int64]) -> pd.DataFrame:
    """Add the columns template and text; numbers become floats. Columns: `SAMPLE_COLUMNS`."""
    rows = rows.astype(dict.fromkeys(NUMBERS, np.float64)).reset_index(drop=True)
    return rows.assign(template=template, text=write_descriptions(rows, template))[SAMPLE_COLUMNS]


def _shuffled_templates(n: int, copies: int, random: Generator) -> NDArray[np.int64]:
    """Random permutations of all templates per configuration, `(n, copies)`; column 0 is 0."""
    cycles = -(-copies // len(TEMPLATES))
    order = np.tile(np.arange(len(TEMPLATES)), (n, cycles, 1))
    order[:, 0, 1:] = random.permuted(order[:, 0, 1:], axis=-1)
    order[:, 1:] = random.permuted(order[:, 1:], axis=-1)
    return order.reshape(n, -1)[:, :copies]


@dataclass(frozen=True)
class DescribedConfigs:
    """Configurations with one description each, as tensors and lists of one length n.

    Attributes:
        tools: indices in the registry, int64 `(n,)`.
        values: the six resources, float32 `(n, 6)`.
        wordings: the template of each description.
        texts: the descriptions.
    """

    tools: Tensor
    values: Tensor
    wordings: list[int]
    texts: list[str]

    @classmethod
    def from_table(cls, rows: pd.DataFrame, tool_names: Sequence[str]) -> Self:
        """The rows of a table with the columns tool_name, `RESOURCES`, template and text."""
        tools, values = config_tensors(rows, tool_names)
        return cls(tools, values, rows["template"].tolist(), rows["text"].tolist())

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def content(self) -> dict[str, Any]:
        """The fields as lists, for JSON."""
        return vars(self) | {"tools": self.tools.tolist(), "values": self.values.tolist()}
