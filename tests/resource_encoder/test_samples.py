import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.errors import InputError
from embedlab.resource_encoder.configs import (
    CONFIG_COLUMNS,
    INPUT_SIZES,
    NUMBERS,
    default_tool_configs,
)
from embedlab.resource_encoder.descriptions import (
    FIELDS,
    INSTRUCTIONS,
    TEMPLATES,
    read_fields,
    write_descriptions,
)
from embedlab.resource_encoder.samples import AugmentationParameters, augment, unseen_jitter
from embedlab.resource_encoder.tools import default_tool_registry

CONFIGS = default_tool_configs(default_tool_registry(), seed=0)[::9].reset_index(drop=True)
N = len(CONFIGS)
number = st.floats(0.001, 1e6).map(lambda value: float(f"{value:.5g}"))
tool_name = st.from_regex(r"[a-z]{1,9}(_[a-z]{1,9}){0,3}", fullmatch=True)
row = st.tuples(tool_name, st.sampled_from(INPUT_SIZES), *[number] * 5)


def one_row(*values: object) -> pd.DataFrame:
    return pd.DataFrame([values], columns=list(CONFIG_COLUMNS))


def augmented(**parameters: object) -> pd.DataFrame:
    return augment(CONFIGS, AugmentationParameters.model_validate(parameters), seed=5)


def values(rows: pd.DataFrame) -> np.ndarray:
    return rows[list(NUMBERS)].to_numpy(float)


@settings(max_examples=60, deadline=None)
@given(row=row, template=st.sampled_from(range(len(TEMPLATES))))
def test_fields_are_read_back_from_every_template(row: tuple, template: int) -> None:
    (text,) = write_descriptions(one_row(*row), template)
    fields = list(read_fields(text, template).values())
    assert fields[:2] == [row[0].replace("_", " "), row[1]]
    assert [float(field) for field in fields[2:]] == list(row[2:])


@pytest.mark.parametrize("template", range(len(TEMPLATES)))
def test_each_field_is_read_independently_from_a_damaged_text(template: int) -> None:
    (text,) = write_descriptions(one_row("odd_job", "large", 2, 4, 20, 3, 150.0), template)
    sound = read_fields(text, template)
    assert list(sound) == list(FIELDS)
    assert read_fields(text.replace("150", "999"), template) == {**sound, "latency_ms": "999"}
    assert set(read_fields("no such words", template).values()) == {""}
    halves = [read_fields(half, template) for half in (text[: len(text) // 2], text[50:])]
    for half in halves:
        found = {name: value for name, value in half.items() if value}
        assert 2 <= len(found) < 7
        assert found.items() <= sound.items()


def test_numbers_are_written_with_as_few_digits_as_distinguish_them() -> None:
    (text,) = write_descriptions(one_row("odd_job", "small", 4.0, 4.12, 20, 1270.0, 0.5), 0)
    assert text == (
        "The odd job tool runs a small input on 4 CPU cores, 4.12 GB memory, 20 GPU SMs and 1270 GB"
        " GPU memory in 0.5 ms."
    )


def test_templates_are_at_least_five_and_short_with_distinct_instructions() -> None:
    assert len(TEMPLATES) >= 5
    assert len(set(INSTRUCTIONS)) == len(INSTRUCTIONS) == len(TEMPLATES)
    for template, instruction in enumerate(INSTRUCTIONS):
        assert 2 <= len(instruction.split()) <= 5
        assert max(len(text.split()) for text in write_descriptions(CONFIGS, template)) <= 30


@pytest.mark.parametrize("mode", ["jitter", "variation", "both"])
def test_the_first_copies_are_the_unchanged_configurations(mode: str) -> None:
    rows = augmented(mode=mode, num_copies=4)
    assert len(rows) == 4 * N
    pd.testing.assert_frame_equal(rows[:N], augmented(mode="none"))
    pd.testing.assert_frame_equal(rows.loc[: N - 1, list(CONFIGS)], CONFIGS)
    assert rows["text"].tolist()[:N] == write_descriptions(CONFIGS, 0)


@pytest.mark.parametrize("mode", ["none", "jitter", "variation", "both"])
def test_every_text_describes_its_own_row(mode: str) -> None:
    rows = augmented(mode=mode, num_copies=3)
    read = pd.DataFrame(list(map(read_fields, rows["text"], rows["template"])))
    np.testing.assert_array_equal(values(read), values(rows))
    assert read["input_size"].tolist() == rows["input_size"].tolist()
    assert read["tool"].tolist() == rows["tool_name"].str.replace("_", " ").tolist()


@pytest.mark.parametrize("jitter", [0.01, 0.05, 0.5])
def test_jitter_moves_every_number_within_its_bounds_and_nothing_else(jitter: float) -> None:
    rows = augmented(mode="jitter", num_copies=8, jitter=jitter)
    copies = values(rows).reshape(8, N, 5)
    change = copies[1:] / copies[0] - 1
    assert np.abs(change).max() <= jitter + 0.006 * (1 + jitter)  # three digits: half of 1 in 100
    assert change.min() < -0.9 * jitter
    assert change.max() > 0.9 * jitter
    assert abs(change.mean()) < 0.05 * jitter
    assert (
        copies[1:] == [[[float(f"{x:.3g}") for x in row] for row in c] for c in copies[1:]]
    ).all()
    for column in ("config_id", "tool_name", "input_size"):
        assert rows[column].tolist() == CONFIGS[column].tolist() * 8
    assert set(rows["template"]) == {0}


def test_variation_keeps_the_numbers_and_gives_each_configuration_every_template_once() -> None:
    cycle = len(TEMPLATES)
    rows = augmented(mode="variation", num_copies=2 * cycle + 1)
    np.testing.assert_array_equal(values(rows), np.tile(values(CONFIGS), (2 * cycle + 1, 1)))
    templates = rows["template"].to_numpy().reshape(-1, N)
    for copies in (templates[:cycle], templates[cycle : 2 * cycle]):
        assert (np.sort(copies, axis=0) == np.arange(cycle)[:, None]).all()
    shares = np.bincount(templates[-1], minlength=cycle) / N
    assert (np.abs(shares - 1 / cycle) < 0.1).all()


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    parameters = AugmentationParameters(num_copies=3)
    first, again, other = (augment(CONFIGS, parameters, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["template"] != other["template"]).any()
    assert (values(first)[N:] != values(other)[N:]).any(axis=1).all()


def test_unseen_rows_were_never_trained_on() -> None:
    trained = augmented(mode="both", num_copies=10)
    unseen = unseen_jitter(CONFIGS, trained, 0.05, seed=5)
    assert len(unseen) == N
    assert list(unseen) == list(trained)
    assert np.abs(values(unseen) / values(CONFIGS) - 1).max() < 0.057
    both = pd.concat([trained, unseen])
    assert not both.duplicated(list(CONFIG_COLUMNS)).iloc[-N:].any()
    half = unseen_jitter(CONFIGS, pd.concat([trained, unseen[::2]]), 0.05, seed=5)
    pd.testing.assert_frame_equal(half, unseen[1::2].reset_index(drop=True))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"mode": "both", "num_copies": 1}, "raise it or set mode: none"),
        ({"num_copies": 0}, "num_copies:"),
        ({"jitter": 1.0}, "jitter:"),
        ({"jitter": 0.0}, "jitter:"),
        ({"mode": "all"}, "mode:"),
    ],
)
def test_impossible_parameters_are_refused(parameters: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        AugmentationParameters.model_validate(parameters)
