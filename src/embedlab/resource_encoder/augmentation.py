"""More rows from few configurations: values shaken a little, descriptions worded differently."""

from typing import Literal, Self

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field, model_validator

from embedlab.parameters import Parameters
from embedlab.resource_encoder.templates import TEMPLATES, describe
from embedlab.resource_encoder.tool_configs import NUMBERS, RESOURCES

COLUMNS = ["config_id", "tool_name", *RESOURCES, "template", "text"]
# One seed serves several draws; these keep them apart, and apart from the noise of the latencies.
TRAINED_STREAM, UNSEEN_STREAM = 1, 2


class AugmentationParameters(Parameters):
    """How many rows become of each configuration, and in what they differ.

    Attributes:
        mode: `none` leaves one row each; `jitter` changes the numbers of the further copies,
            `variation` the words of their descriptions, `both` both.
        num_copies: rows of each configuration, the unchanged first one included; `none` has one.
        jitter: the largest relative change of a number, which is then rounded to three significant
            digits.
    """

    mode: Literal["none", "jitter", "variation", "both"] = "both"
    num_copies: int = Field(10, ge=1)
    jitter: float = Field(0.05, gt=0, lt=1)

    @model_validator(mode="after")
    def _something_to_change(self) -> Self:
        if self.mode != "none" and self.num_copies == 1:
            raise ValueError(
                f"num_copies: 1 keeps the configurations as they are, which mode: {self.mode} is"
                " to change; raise it or set mode: none"
            )
        return self


def augment(configs: pd.DataFrame, parameters: AugmentationParameters, seed: int) -> pd.DataFrame:
    """Copy every configuration; all copies but the first are changed as the parameters say.

    Every text describes its own row's values. In any `len(TEMPLATES)` copies from the first on,
    a configuration meets each template once.

    Args:
        configs: columns config_id, tool_name and `RESOURCES`; n rows.
        parameters: of the augmentation.
        seed: of the jitter and of the order of the templates.

    Returns:
        Columns config_id, tool_name, `RESOURCES`, template, text; n rows of first copies, then n
        of second ones, and so on.
    """
    n, mode = len(configs), parameters.mode
    copies = 1 if mode == "none" else parameters.num_copies
    random = np.random.default_rng([seed, TRAINED_STREAM])
    rows = pd.concat([configs] * copies, ignore_index=True)
    if mode in ("jitter", "both"):
        rows = pd.concat([configs, jittered(rows[n:], parameters.jitter, random)])
    templates = np.zeros((n, copies), dtype=np.int64)
    if mode in ("variation", "both"):
        templates = _shuffled_templates(n, copies, random)
    return described(rows, templates.T.ravel())


def unseen_jitter(
    configs: pd.DataFrame, trained: pd.DataFrame, jitter: float, seed: int
) -> pd.DataFrame:
    """Jitter every configuration once, and keep those whose values were not trained on.

    Args:
        configs: columns config_id, tool_name and `RESOURCES`; n rows.
        trained: the rows that `augment` made.
        jitter: the largest relative change of a number.
        seed: of the jitter; the same seed as of `augment` gives other values.

    Returns:
        The columns of `augment`, described by the first template; at most n rows.
    """
    random = np.random.default_rng([seed, UNSEEN_STREAM])
    rows = described(jittered(configs, jitter, random), np.zeros(len(configs), dtype=np.int64))
    return rows[~_keys(rows).isin(_keys(trained))].reset_index(drop=True)


def jittered(rows: pd.DataFrame, jitter: float, random: Generator) -> pd.DataFrame:
    """Each number times one of U(1 - jitter, 1 + jitter), then to three significant digits."""
    values = rows[list(NUMBERS)].to_numpy(np.float64)
    values = values * random.uniform(1 - jitter, 1 + jitter, values.shape)
    rounded = np.char.mod("%.3g", values).astype(np.float64)
    return rows.assign(**dict(zip(NUMBERS, rounded.T, strict=True)))


def _shuffled_templates(n: int, copies: int, random: Generator) -> NDArray[np.int64]:
    """For each configuration all templates in random order, again and again, the canonical first.

    Returns:
        Shape (n, copies).
    """
    cycles = -(-copies // len(TEMPLATES))
    order = np.tile(np.arange(len(TEMPLATES)), (n, cycles, 1))
    order[:, 0, 1:] = random.permuted(order[:, 0, 1:], axis=-1)
    order[:, 1:] = random.permuted(order[:, 1:], axis=-1)
    return order.reshape(n, -1)[:, :copies]


def described(rows: pd.DataFrame, templates: NDArray[np.int64]) -> pd.DataFrame:
    """The rows as a table of their own, with the number and the text of each one's template."""
    rows = rows.astype(dict.fromkeys(NUMBERS, np.float64)).reset_index(drop=True)
    rows = rows.assign(template=templates, text="")
    for template in np.unique(templates):
        chosen = templates == template
        rows.loc[chosen, "text"] = describe(rows[chosen], template)
    return rows[COLUMNS]


def _keys(rows: pd.DataFrame) -> pd.MultiIndex:
    """What makes two rows the same to an encoder."""
    floats = rows.astype(dict.fromkeys(NUMBERS, np.float64))
    return pd.MultiIndex.from_frame(floats[["tool_name", *RESOURCES]])
