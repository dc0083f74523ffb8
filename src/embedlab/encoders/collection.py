"""Collections of texts to embed, made from the tables of ingested data."""

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from embedlab.encoders.parameters import Role
from embedlab.errors import InputError
from embedlab.sources.prefixes import PREFIX_ID_SCHEME, RESPONSE_ID_SCHEME, prefix_text, response_id
from embedlab.sources.retrieval_documents import TEXT_ID_SCHEME, text_id
from embedlab.sources.retrieval_set import full_texts
from embedlab.text_table import Ids, Texts, as_ids, column_texts, repeated_rows

SEPARATOR = " [SEP] "


@dataclass(frozen=True)
class TextCollection:
    """Identified items, each of one or more texts whose vectors are put end to end.

    Attributes:
        ids: n distinct identifiers.
        parts: p columns of n texts, each of which can be read several times; an item's vector has
            p times the encoder's dimension.
        id_scheme: how the identifiers were made.
    """

    ids: Ids
    parts: list[list[str] | Texts]
    role: Role = "document"
    id_scheme: str = "as in the source"

    def __post_init__(self) -> None:
        if any(len(texts) != len(self.ids) for texts in self.parts):
            raise InputError(f"a collection has {len(self.ids)} ids, but not as many texts")
        if duplicates := len(repeated_rows(self.ids)):
            raise InputError(f"a collection has {duplicates} duplicate ids; make them distinct")


def pair_texts(pairs: pd.DataFrame) -> TextCollection:
    """Problems with their solutions, two texts each: their vectors are put end to end."""
    return TextCollection(
        as_ids(pairs["id"]), [pairs["problem"].tolist(), pairs["solution"].tolist()]
    )


def concatenated_pair_texts(pairs: pd.DataFrame) -> TextCollection:
    """Problems with their solutions, as one text each."""
    joined = pairs["problem"] + SEPARATOR + pairs["solution"]
    return TextCollection(as_ids(pairs["id"]), [joined.tolist()])


def prefix_texts(prefixes: pd.DataFrame) -> TextCollection:
    """Conversation prefixes, all their messages joined."""
    texts = prefixes["prefix"].map(prefix_text).tolist()
    return TextCollection(as_ids(prefixes["id"]), [texts], id_scheme=PREFIX_ID_SCHEME)


def response_texts(preference_pairs: pd.DataFrame) -> TextCollection:
    """Responses after their prefixes, two texts each: the distinct ones, in order of appearance.

    Raises:
        InputError: naming the row, from 0, of the first response that is empty or no text.
    """
    distinct = _responses(preference_pairs).drop_duplicates("id")
    return TextCollection(
        as_ids(distinct["id"]),
        [distinct["prefix"].tolist(), distinct["response"].tolist()],
        id_scheme=RESPONSE_ID_SCHEME,
    )


def response_ids(preference_pairs: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The ids that `response_texts` gives to the chosen and the rejected response of each pair."""
    ids = _responses(preference_pairs)["id"].tolist()
    return ids[::2], ids[1::2]


def query_texts(queries: pd.DataFrame) -> TextCollection:
    """The queries of a retrieval set."""
    return TextCollection(as_ids(queries["id"]), [queries["text"].tolist()], "query")


def corpus_texts(corpus: pa.Table) -> TextCollection:
    """The documents of a retrieval set, title and text."""
    return TextCollection(corpus["id"], [full_texts(corpus)])


def pair_query_texts(train: pd.DataFrame, validation: pd.DataFrame) -> TextCollection:
    """The distinct queries of training pairs, then of validation pairs."""
    queries = list(dict.fromkeys([*train["query"], *validation["query"]]))
    return TextCollection(as_ids(map(text_id, queries)), [queries], "query", TEXT_ID_SCHEME)


def pair_document_texts(documents: pa.Table) -> TextCollection:
    """The documents that can be found for training queries."""
    texts = column_texts(documents, "text")
    return TextCollection(documents["id"], [texts], id_scheme=TEXT_ID_SCHEME)


def _responses(preference_pairs: pd.DataFrame) -> pd.DataFrame:
    """Columns id, prefix (text) and response: of each pair the chosen one, then the rejected."""
    prefixes = preference_pairs["prefix"].map(prefix_text).repeat(2).tolist()
    responses = preference_pairs[["chosen", "rejected"]].to_numpy(object).ravel().tolist()
    for index, response in enumerate(responses):
        if not isinstance(response, str) or not response.strip():
            row, column = index // 2, ("chosen", "rejected")[index % 2]
            raise InputError(
                f"preference_pairs: row {row}: {column} is empty or no text; leave the pair out"
            )
    ids = list(map(response_id, prefixes, responses))
    return pd.DataFrame({"id": ids, "prefix": prefixes, "response": responses})
