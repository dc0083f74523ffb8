"""Rates of exact matches, on handwritten texts."""

import pytest

from embedlab.resource_encoder.descriptions import FIELDS, TEMPLATES, exact_match_rates

VALUES = {
    "tool": "image captioning",
    "input_size": "small",
    "cpu_cores": "4",
    "memory_gb": "8.12",
    "gpu_sm": "20",
    "gpu_memory_gb": "2",
    "latency_ms": "150",
}


def text(template: int = 0, **changes: str) -> str:
    return TEMPLATES[template].format(**VALUES | changes)


def test_the_rates_of_hand_made_texts() -> None:
    decoded = [
        text(),
        text(latency_ms="151"),
        text(tool="image", latency_ms="15"),
        text() + " And more.",
    ]
    rates = exact_match_rates(decoded, [text()] * 4, 0)
    right = dict.fromkeys(FIELDS, 1.0)
    assert rates == {"description": 0.25} | right | {"tool": 0.75, "latency_ms": 0.5}
    assert list(rates) == ["description", *FIELDS]


@pytest.mark.parametrize("template", range(len(TEMPLATES)))
@pytest.mark.parametrize("field", FIELDS)
def test_one_wrong_field_is_found_in_every_wording(template: int, field: str) -> None:
    wrong = text(template, **{field: VALUES[field] + "0"})
    rates = exact_match_rates([wrong], [text(template)], template)
    assert rates == dict.fromkeys(("description", *FIELDS), 1.0) | {"description": 0, field: 0}


@pytest.mark.parametrize("decoded", ["", "no description at all"])
def test_a_text_without_fields_has_none_right(decoded: str) -> None:
    assert set(exact_match_rates([decoded], [text()], 0).values()) == {0.0}


def test_a_tool_of_two_lines_is_read_whole() -> None:
    truth = text(tool="of\ntwo lines")
    assert exact_match_rates([text(tool="of"), truth], [truth] * 2, 0)["tool"] == 0.5


def test_each_text_is_compared_with_its_own() -> None:
    texts = [text(gpu_sm="40"), text(gpu_sm="60")]
    assert exact_match_rates(texts, texts, 0)["description"] == 1
    swapped = exact_match_rates(texts[::-1], texts, 0)
    assert swapped["gpu_sm"] == swapped["description"] == 0
    assert swapped["tool"] == 1
