import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from embedlab.errors import InputError
from embedlab.resource_encoder.configs import (
    CONFIG_COLUMNS,
    RESOURCES,
    default_tool_configs,
    read_tool_configs,
    resource_values,
)
from embedlab.resource_encoder.latency_model import latency_ms
from embedlab.resource_encoder.provenance import configs_sha256
from embedlab.resource_encoder.tools import default_tool_registry, read_tool_registry

HEADER = ",".join(CONFIG_COLUMNS)
SOUND = ["cut,small,2,4,20,2,150", "glue,large,4,8.5,40,4,90.25", "cut,large,2,4,20,2,310"]
TOOLS = pd.DataFrame({"tool_name": ["glue", "cut"], "description": ["Joins.", "Parts."]})


def write_csv(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "profile.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def write_json(folder: Path, content: Any) -> Path:
    path = folder / "tools.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def only_line(read: Callable[[], object]) -> str:
    with pytest.raises(InputError) as error:
        read()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_default_profile_holds_every_combination_tool_by_tool() -> None:
    registry = default_tool_registry()
    configs = default_tool_configs(registry, seed=0)
    assert configs["config_id"].tolist() == list(range(1701))
    assert configs["tool_name"].tolist() == np.repeat(registry["tool_name"], 243).tolist()
    assert not configs.duplicated(["tool_name", *RESOURCES[:5]]).any()
    assert configs.iloc[1, 1:7].tolist() == ["image_classification", "small", 2, 4, 20, 4]
    assert [configs[name].nunique() for name in RESOURCES[:5]] == [3] * 5
    assert registry["description"].str.split().str.len().between(20, 80).all()


@pytest.mark.parametrize("seed", [0, 7, 123])
def test_default_latencies_are_whole_and_between_20_and_3000_ms(seed: int) -> None:
    latencies = default_tool_configs(default_tool_registry(), seed)["latency_ms"]
    assert latencies.between(20, 3000).all()
    assert (latencies == latencies.round()).all()
    assert latencies.max() > 10 * latencies.min()


def test_latencies_follow_from_the_seed() -> None:
    registry = default_tool_registry()
    same, again, other = (default_tool_configs(registry, seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(same, again)
    ratio = same["latency_ms"] / other["latency_ms"]
    assert 0.02 < ratio.std() < 0.08


@pytest.mark.parametrize(
    ("resource", "direction"),
    [
        ("input_size", 1),
        ("cpu_cores", -1),
        ("memory_gb", -1),
        ("gpu_sm", -1),
        ("gpu_memory_gb", -1),
    ],
)
def test_each_resource_moves_the_mean_latency_its_way(resource: str, direction: int) -> None:
    configs = default_tool_configs(default_tool_registry(), seed=0)
    levels = resource_values(configs)[:, RESOURCES.index(resource)]
    means = configs["latency_ms"].groupby(levels).mean()
    assert (np.sign(np.diff(means)) == direction).all()


def test_sixteen_times_the_input_takes_less_than_sixteen_times_as_long() -> None:
    small, large = np.array([[0, 4, 64, 40, 64], [2, 4, 64, 40, 64]], dtype=float)
    before, after = latency_ms(["super_resolution"] * 2, np.stack([small, large]), seed=0)
    assert 2 * before < after < 16 * before


def test_latencies_of_unknown_tools_follow_from_the_seed() -> None:
    names = [f"tool_{number}" for number in range(20)]
    registry = pd.DataFrame({"tool_name": names, "description": "Does something."})
    latencies = default_tool_configs(registry, seed=0)["latency_ms"]
    assert latencies.between(20, 3000).all()
    assert latencies.groupby(np.arange(len(latencies)) // 243).mean().nunique() == 20
    # Apart from the noise, a tool's latencies do not depend on the other tools.
    alone = default_tool_configs(registry[7:8], seed=0)["latency_ms"].to_numpy()
    np.testing.assert_allclose(alone, latencies[7 * 243 : 8 * 243], rtol=0.3)


def test_rows_of_a_profile_are_ordered_by_the_registry_then_by_the_file(tmp_path: Path) -> None:
    configs = read_tool_configs(write_csv(tmp_path, *SOUND), TOOLS)
    assert configs["config_id"].tolist() == [0, 1, 2]
    assert configs["tool_name"].tolist() == ["glue", "cut", "cut"]
    expected = [[2, 4, 8.5, 40, 4, 90.25], [0, 2, 4, 20, 2, 150], [2, 2, 4, 20, 2, 310]]
    assert resource_values(configs).tolist() == expected


def test_the_default_profile_can_be_edited_and_read_back(tmp_path: Path) -> None:
    registry = default_tool_registry()
    configs = default_tool_configs(registry, seed=0)
    configs.drop(columns="config_id").to_csv(tmp_path / "edited.csv", index=False)
    pd.testing.assert_frame_equal(read_tool_configs(tmp_path / "edited.csv", registry), configs)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("saw,small,2,4,20,2,150", "tool_name is not in the tool registry ('saw')"),
        ("cut,tiny,2,4,20,2,150", "input_size is not one of small, medium, large ('tiny')"),
        ("cut,medium,two,4,20,2,150", "cpu_cores is not a positive number ('two')"),
        ("cut,medium,1_0,4,20,2,150", "cpu_cores is not a positive number ('1_0')"),
        ("cut,medium,2,,20,2,150", "memory_gb is not a positive number ('')"),
        ("cut,medium,2,4,0,2,150", "gpu_sm is not a positive number ('0')"),
        ("cut,medium,2,4,20,-2,150", "gpu_memory_gb is not a positive number ('-2')"),
        ("cut,medium,2,4,20,2,nan", "latency_ms is not a positive number ('nan')"),
        ("cut,medium,2,4,20,2,inf", "latency_ms is not a positive number ('inf')"),
        (" ,medium,2,4,20,2,150", "field 'tool_name' is empty"),
        ("cut,medium,2,4,20,2", "not 7 cells as in the header (6)"),
        ("cut,small,2.0,4,20,2,151", "the same configuration as in {path}:2"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str, reason: str) -> None:
    path = write_csv(tmp_path, *SOUND, row)
    line = only_line(lambda: read_tool_configs(path, TOOLS))
    assert line == f"{path}:5: {reason.format(path=path)} (bad rows: 1 of 4; repair them)"


def test_a_tool_without_rows_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path, SOUND[0])
    line = only_line(lambda: read_tool_configs(path, TOOLS))
    assert line.startswith(f"{path}: no rows for glue;")


def test_missing_columns_and_a_config_id_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "cut,small", header="tool_name,input_size")
    assert "no column cpu_cores, memory_gb," in only_line(lambda: read_tool_configs(path, TOOLS))
    path = write_csv(tmp_path, f"5,{SOUND[0]}", header=f"config_id,{HEADER}")
    assert "remove the column config_id" in only_line(lambda: read_tool_configs(path, TOOLS))


def test_a_registry_is_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write_json(tmp_path, TOOLS.to_dict("records"))
    pd.testing.assert_frame_equal(read_tool_registry(path), TOOLS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[{]", "not JSON"),
        ({"tool_name": "cut"}, "neither a list"),
        ([], "holds no rows"),
        (["cut"], "item 1: not a JSON object"),
        ([{"tool_name": "cut"}], "item 1: field 'description' is missing"),
        ([{"tool_name": " ", "description": "x"}], "item 1: field 'tool_name' is empty"),
        ([{"tool_name": 3, "description": "x"}], "item 1: field 'tool_name' is not text (3)"),
        (
            [{"tool_name": "a b", "description": "x"}, {"tool_name": "a_b", "description": "y"}],
            "item 2: the same tool_name as in .*item 1 \\('a_b'\\)",
        ),
    ],
)
def test_a_bad_registry_is_one_line(tmp_path: Path, content: Any, reason: str) -> None:
    path = write_json(tmp_path, content)
    line = only_line(lambda: read_tool_registry(path))
    assert line.startswith(str(path))
    assert reason in line or re.search(reason, line)


def test_the_hash_is_of_the_content_and_not_of_its_storage() -> None:
    registry = default_tool_registry()
    configs = default_tool_configs(registry, seed=0)
    digest = configs_sha256(registry, configs)
    stored = configs.to_json(orient="records", lines=True)
    assert configs_sha256(registry, pd.read_json(StringIO(stored), lines=True)) == digest
    changed = configs.assign(latency_ms=configs["latency_ms"] + 1)
    reworded = registry.assign(description=registry["description"] + " ")
    reordered = configs.iloc[::-1]
    others = [(registry, changed), (reworded, configs), (registry, reordered)]
    assert len({digest, *(configs_sha256(*tables) for tables in others)}) == 4
