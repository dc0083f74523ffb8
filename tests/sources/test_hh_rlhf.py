import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support import local, write

from embedlab.errors import InputError
from embedlab.sources.hh_rlhf import HhRlhfParameters, read_preference_pairs
from embedlab.sources.prefixes import Message, prefix_id

ASKED = "\n\nHuman: Hi.\n\nAssistant: Hello!\n\nHuman: Name a colour.\n\nAssistant:"
MESSAGES = [
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Name a colour."},
]


def preferences(tmp_path: Path, *rows: dict[str, Any], **options: Any) -> pd.DataFrame:
    path = write(tmp_path / "pairs.jsonl", list(rows))
    parameters = HhRlhfParameters.model_validate({"data": [local(path)], **options})
    return read_preference_pairs(parameters)[0]


def test_a_dialogue_is_split_into_its_messages_and_the_two_responses(tmp_path: Path) -> None:
    row = {"chosen": f"{ASKED} Red.\n\nOr blue.", "rejected": f"{ASKED} No."}
    table = preferences(tmp_path, row)
    assert table.iloc[0].to_dict() == {
        "prefix": {"messages": MESSAGES},
        "chosen": "Red.\n\nOr blue.",
        "rejected": "No.",
        "src": "pairs",
        "prefix_id": prefix_id(MESSAGES),  # type: ignore[arg-type]
    }


def test_structured_rows_are_taken_as_they_are(tmp_path: Path) -> None:
    responses = {"chosen": "a", "rejected": "b"}
    table = preferences(
        tmp_path,
        {"prefix": {"messages": MESSAGES}, "src": "mine", **responses},
        {"prompt": "Name a colour.", **responses},
    )
    assert table["prefix"][0] == {"messages": MESSAGES}
    assert table["prefix"][1] == {"messages": MESSAGES[2:]}
    assert list(table["src"]) == ["mine", "pairs"]


def test_a_prompt_may_stand_in_columns_of_its_own(tmp_path: Path) -> None:
    row = {"topic": "Tea", "stance": "for", "prompt": "?", "chosen": "a", "rejected": "b"}
    table = preferences(tmp_path, row, prompt_columns=("topic", "stance"), src_column="topic")
    message = Message(role="user", content="Tea\nfor")
    assert table["prefix"][0] == {"messages": [message]}
    assert table["prefix_id"][0] == prefix_id([message])
    assert table["src"][0] == "Tea"


ROW = {"topic": "Tea", "src": "mine", "chosen": "a", "rejected": "b"}


@pytest.mark.parametrize(
    ("options", "row", "reason"),
    [
        ({"prompt_columns": ["topic", "stance"]}, ROW, "field 'stance' is missing"),
        ({"prompt_columns": ["topic"]}, ROW | {"topic": " "}, "field 'topic' is empty"),
        ({"prompt_columns": ["topic"]}, ROW | {"rejected": ""}, "field 'rejected' is empty"),
        ({"prompt_columns": ["topic"], "src_column": "by"}, ROW, "field 'by' is missing"),
    ],
)
def test_a_missing_column_or_an_empty_response_is_a_bad_row(
    tmp_path: Path, options: dict[str, Any], row: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError) as raised:
        preferences(tmp_path, row, **options)
    assert str(raised.value) == (
        f"{tmp_path}/pairs.jsonl:1: {reason} (bad rows: 1 of 1; repair them or set on_error: skip)"
    )


PREFERENCE_ERRORS = {
    "no dialogue": (("Red.", "Blue."), "not a Human:/Assistant: dialogue ('Red.')"),
    "empty response": ((ASKED, f"{ASKED} x"), "a turn of the dialogue is empty"),
    "no response": (
        ("\n\nHuman: a", f"{ASKED} x"),
        "the dialogue in 'chosen' does not end in a response to the user",
    ),
    "other questions": (
        (f"{ASKED} x", "\n\nHuman: a\n\nAssistant: y"),
        "chosen and rejected differ before their last responses",
    ),
    "equal responses": ((f"{ASKED} x", f"{ASKED} x "), "chosen and rejected are the same"),
}


@pytest.mark.parametrize("case", PREFERENCE_ERRORS)
def test_a_bad_preference_is_named_or_skipped(tmp_path: Path, case: str) -> None:
    (chosen, rejected), reason = PREFERENCE_ERRORS[case]
    bad = {"chosen": chosen, "rejected": rejected}
    good = {"prompt": "p", "chosen": "a", "rejected": "b"}
    with pytest.raises(InputError) as raised:
        preferences(tmp_path, good, bad)
    assert str(raised.value) == (
        f"{tmp_path}/pairs.jsonl:2: {reason} (bad rows: 1 of 2; repair them or set on_error: skip)"
    )
    assert len(preferences(tmp_path, good, bad, on_error="skip")) == 1


@pytest.mark.parametrize(
    "prefix", [None, "text", {"messages": []}, {"messages": ["hi"]}, {"messages": [{"role": "u"}]}]
)
def test_a_prefix_without_proper_messages_is_bad(tmp_path: Path, prefix: Any) -> None:
    with pytest.raises(InputError, match=r"pairs.jsonl:1: "):
        preferences(tmp_path, {"prefix": prefix, "chosen": "a", "rejected": "b"})


def test_pairs_of_arguments_are_read_by_their_columns(shared_data: Path) -> None:
    file = shared_data / "pref-ukpconvarg1" / "pairs.jsonl"
    columns = {"prompt_columns": ("topic", "stance"), "src_column": "topic"}
    parameters = HhRlhfParameters.model_validate({"data": [local(file)], **columns})
    table, report = read_preference_pairs(parameters)
    assert len(table) == 11650 == report["kept"]
    assert (table["prefix_id"].nunique(), table["src"].nunique()) == (32, 16)
    assert table["prefix"][0]["messages"] == [
        {"role": "user", "content": "ban-plastic-water-bottles\nno-bad-for-the-economy"}
    ]


# --- a prompt beside whole dialogues -------------------------------------------------------------

WHOLE = {"chosen": f"{ASKED} Red.", "rejected": f"{ASKED} No."}


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": ASKED},
        {"prompt": ASKED.removesuffix("\n\nAssistant:")},
        {"prompt": "Name a colour."},
        {"prefix": {"messages": MESSAGES}},
    ],
)
def test_dialogues_that_repeat_the_prompt_have_it_once(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    repeated, plain = preferences(tmp_path, given | WHOLE), preferences(tmp_path, WHOLE)
    pd.testing.assert_frame_equal(repeated, plain)
    assert repeated["chosen"].tolist() == ["Red."]


def test_a_dialogue_as_prompt_is_split_into_its_messages(tmp_path: Path) -> None:
    table = preferences(tmp_path, {"prompt": ASKED, "chosen": "Red.", "rejected": "No."})
    assert table["prefix"][0] == {"messages": MESSAGES}
    assert table[["chosen", "rejected"]].values.tolist() == [["Red.", "No."]]


def test_dialogues_without_the_prompt_are_responses(tmp_path: Path) -> None:
    table = preferences(tmp_path, {"prompt": "Which dialogue is better?", **WHOLE})
    assert table["prefix"][0] == {
        "messages": [{"role": "user", "content": "Which dialogue is better?"}]
    }
    assert table["chosen"][0] == WHOLE["chosen"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"rejected": "No."}, "not a Human:/Assistant: dialogue ('No.')"),
        (
            {"prefix": {"messages": [{"role": "system", "content": "Be brief."}, MESSAGES[2]]}},
            "a response repeats some messages of the prompt and lacks others",
        ),
    ],
)
def test_a_prompt_that_is_repeated_in_part_is_refused(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError) as raised:
        preferences(tmp_path, {"prompt": ASKED, **WHOLE, **row})
    assert f"pairs.jsonl:1: {reason} (bad rows: 1 of 1" in str(raised.value)


PARAGRAPHS = {"messages": [{"role": "user", "content": "Hi.\n\nName a colour."}]}


@pytest.mark.parametrize("given", [{}, {"prompt": ASKED}, {"prefix": PARAGRAPHS}])
def test_windows_line_ends_change_nothing(tmp_path: Path, given: dict[str, Any]) -> None:
    row = given | WHOLE
    windows = json.loads(json.dumps(row).replace(r"\n", r"\r\n"))
    pd.testing.assert_frame_equal(preferences(tmp_path, windows), preferences(tmp_path, row))
