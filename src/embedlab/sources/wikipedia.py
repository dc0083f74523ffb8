"""Articles of Wikipedia from the hub or from files, cut to a bounded length."""

from typing import Self

from pydantic import Field, model_validator

from embedlab.parameters import Parameters
from embedlab.sources.bad_rows import UnwantedRowError
from embedlab.sources.huggingface import HuggingFaceSource

# Its articles are plain text: the mark-up was removed when the dataset was built.
HUB_DATASET = "wikimedia/wikipedia"


class WikipediaParameters(Parameters):
    """Which passages to take; an article gives at most one passage, its beginning.

    Attributes:
        files: local files with the column text (title optional); () streams from the hub.
        language: Wikipedia's language code.
        dump: the dump's date, as in the dataset's configurations ("20231101").
        max_passages: usable passages after which reading stops.
        min_characters: shorter texts are left out.
        max_characters: longer texts are cut at a word boundary.
    """

    files: tuple[str, ...] = ()
    language: str = "en"
    dump: str = "20231101"
    max_passages: int = Field(default=100_000, ge=1)
    min_characters: int = Field(default=100, ge=1)
    max_characters: int = Field(default=2_000, ge=1)

    @model_validator(mode="after")
    def _ordered_lengths(self) -> Self:
        if self.min_characters > self.max_characters:
            raise ValueError("min_characters exceeds max_characters")
        return self

    @property
    def articles(self) -> HuggingFaceSource:
        """The source of the articles."""
        name = f"{self.dump}.{self.language}"
        return HuggingFaceSource(path=HUB_DATASET, name=name, files=self.files, streaming=True)

    def passage(self, article: str) -> str:
        """The beginning of an article, with white space collapsed.

        Raises:
            UnwantedRowError: if it has fewer than `min_characters` characters.
        """
        text = shortened(" ".join(article.split()), self.max_characters)
        if len(text) < self.min_characters:
            raise UnwantedRowError("shorter than min_characters")
        return text


def shortened(text: str, max_characters: int) -> str:
    """The longest prefix of at most `max_characters` characters that ends at a word boundary.

    Example:
        >>> shortened("a long passage", 8)
        'a long'
    """
    if len(text) <= max_characters:
        return text
    end = text.rfind(" ", 0, max_characters + 1)
    return text[: end if end > 0 else max_characters].rstrip()
