"""The registry of tools: the seven that ship, or the user's."""

from pathlib import Path

import pandas as pd

from embedlab.sources.fields import required_text
from embedlab.sources.records import Record, read_sound_rows, refuse_repeated

TOOL_COLUMNS = ["tool_name", "description"]
TOOLS = {
    "image_classification": (
        "Takes one picture and names the kind of thing it shows, with a probability for every"
        " known class. A single pass through a compact vision network: light on memory, quick on"
        " a small share of a graphics card, and still usable when processor cores are few."
    ),
    "text_summarization": (
        "Takes a long document and writes a short passage that keeps its main points. The words"
        " come out one after another, so its time grows with the document, and the states of all"
        " the words read so far fill the memory of the graphics card."
    ),
    "image_captioning": (
        "Takes a picture and writes one sentence that says what happens in it. A vision network"
        " looks once, then a small language model writes word by word; both have to stay in"
        " memory, yet neither of them is large."
    ),
    "object_detection": (
        "Takes a picture and returns a box, a class and a score for each object found in it."
        " It looks at the picture at several scales, which wants many parallel units of the"
        " graphics card, and sorting out overlapping boxes keeps the processor busy."
    ),
    "machine_translation": (
        "Takes a text in one language and returns the same text in another. An encoder reads all"
        " sentences at once and a decoder writes several candidates word by word: a moderate load"
        " for the graphics card, and processor work for splitting and joining the words."
    ),
    "super_resolution": (
        "Takes a small or blurred picture and returns a larger, sharper one. Every output pixel is"
        " computed at full size, which makes it the hungriest for graphics memory and parallel"
        " units, while the processor has little to do."
    ),
    "visual_question_answering": (
        "Takes a picture together with a question about it and returns a short answer in words."
        " Picture and question pass through one large joint network, which needs much main and"
        " graphics memory, although the answer itself is written quickly."
    ),
}


def default_tool_registry() -> pd.DataFrame:
    """The seven tools that ship: columns tool_name and description, one row per tool."""
    return pd.DataFrame(TOOLS.items(), columns=TOOL_COLUMNS)


def read_tool_registry(path: Path) -> pd.DataFrame:
    """Read the user's tools from a JSON list of objects with `tool_name` and `description`.

    Raises:
        InputError: if a field is missing, blank or not text, or two tools have the same name or
            description.
    """
    names, descriptions = dict[str, str](), dict[str, str]()

    def parse(record: Record) -> tuple[str, str]:
        name, description = (required_text(record, column) for column in TOOL_COLUMNS)
        # Texts write `_` as a space, so `a_b` and `a b` would be the same tool in every text.
        refuse_repeated(names, name.replace("_", " "), record, "tool_name", name)
        # The encoder knows a tool by its description only.
        refuse_repeated(descriptions, description, record, "description", description)
        return name, description

    return pd.DataFrame(read_sound_rows(path, parse), columns=TOOL_COLUMNS)
