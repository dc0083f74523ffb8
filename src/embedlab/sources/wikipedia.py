"""Passages of Wikipedia: streamed from the hub or read from files, cleaned, of bounded length."""

import re
from typing import Self

from pydantic import Field, model_validator

from embedlab.parameters import Parameters
from embedlab.sources.bad_rows import BadRows
from embedlab.sources.huggingface import HuggingFaceSource
from embedlab.sources.passages import Passage, PassageReader, column_reader
from embedlab.sources.records import Record

HUB_DATASET = "wikimedia/wikipedia"
TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
# What goes, in this order, and what stays in its place.
LEFTOVERS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.DOTALL), kept)
    for pattern, kept in (
        (r"<!--.*?-->", " "),
        (r"<ref\b[^>]*/>|<ref\b[^>]*>.*?</ref>", " "),
        (r"</?[a-z][^<>]*>", " "),
        (r"\[\[(?:file|image|category):[^\[\]]*\]\]", " "),
        (r"\[\[(?:[^\[\]|]*\|)?([^\[\]]*)\]\]", r"\1"),
        (r"^[ \t]*(={2,6})[^=\n]+\1[ \t]*$", " "),
        (r"\[(?:\d+|[a-z]|note \d+|citation needed)\]", ""),
        (r"'{2,5}", ""),
    )
)


class WikipediaParameters(Parameters):
    """Which passages to take; one article gives at most one passage.

    Attributes:
        files: local files with the column text (title optional); () streams from the hub.
        language: Wikipedia's language code.
        dump: the dump's date, as in the dataset's configurations ("20231101").
        num_passages: reading stops after so many usable passages.
        minimum_length: shorter texts are left out; characters.
        maximum_length: longer texts are cut at a word boundary; characters.
        clean: drop mark-up leftovers and collapse white space.
    """

    files: tuple[str, ...] = ()
    language: str = "en"
    dump: str = "20231101"
    num_passages: int = Field(default=100_000, ge=1)
    minimum_length: int = Field(default=100, ge=1)
    maximum_length: int = Field(default=2_000, ge=1)
    clean: bool = True

    @model_validator(mode="after")
    def _ordered_lengths(self) -> Self:
        if self.minimum_length > self.maximum_length:
            raise ValueError("minimum_length exceeds maximum_length")
        return self

    @property
    def articles(self) -> HuggingFaceSource:
        """Where the articles come from."""
        name = f"{self.dump}.{self.language}"
        return HuggingFaceSource(path=HUB_DATASET, name=name, files=self.files, streaming=True)


def article_reader(p: WikipediaParameters, bad_rows: BadRows) -> PassageReader:
    """A reader of articles: cleaned, cut, and left out where too short."""
    read = column_reader("wikipedia", "text", "title", None if p.files else "id")

    def read_article(record: Record) -> Passage | None:
        article = read(record)
        text = shortened(clean_markup(article.text) if p.clean else article.text, p.maximum_length)
        if len(text) < p.minimum_length:
            bad_rows.leave_out("shorter than minimum_length")
            return None
        return article._replace(text=text)

    return read_article


def clean_markup(text: str) -> str:
    """Drop wiki mark-up leftovers (a link keeps its label) and collapse white space."""
    while (without := TEMPLATE.sub(" ", text)) != text:
        text = without
    for pattern, kept in LEFTOVERS:
        text = pattern.sub(kept, text)
    return " ".join(text.split())


def shortened(text: str, maximum_length: int) -> str:
    """The longest start of at most `maximum_length` characters that ends at a word boundary."""
    if len(text) <= maximum_length:
        return text
    end = text.rfind(" ", 0, maximum_length + 1)
    return text[: end if end > 0 else maximum_length].rstrip()
