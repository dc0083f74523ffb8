"""The model card of an exported model: what a hub shows of it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from huggingface_hub import ModelCardData

# What the hub accepts as the name of a model; a folder or a package's model has none.
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

CARD = """---
{front_matter}
---

# {name}

A sentence-transformers model: `{base_model}`, followed by a Gaussian projection to {dimension}
dimensions. It maps a text of at most {max_length} tokens to a vector that is **not normalised**;
training drew the vectors towards an isotropic Gaussian distribution. Texts are compared by
**Euclidean distance**: the smaller, the closer.

## How to use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
queries = model.encode_query(["what is an isotropic distribution?"])
documents = model.encode_document(["It is the same in all directions.", "A cat sat on a mat."])
print(model.similarity(queries, documents))  # negative Euclidean distances
```

An index needs the L2 metric, without normalisation of the vectors.

## Training data

{data}

## Parameters

{parameters}

## Metrics

{metrics}
"""


class ModelFacts(TypedDict):
    """What a card says.

    Attributes:
        name: the model's name.
        base_model: the base encoder as the parameters name it.
        dimension: width of the output.
        max_length: tokens kept of a text.
        data: rows of the table of training data.
        parameters: of the training, nested at will.
        metrics: rows of the table of metrics.
    """

    name: str
    base_model: str
    dimension: int
    max_length: int
    data: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]


def model_card(facts: ModelFacts) -> str:
    """The text of README.md: YAML front matter for a hub, then sections for people."""
    parameters = [
        {"parameter": key, "value": value} for key, value in _flat(facts["parameters"]).items()
    ]
    tables = {
        "data": markdown_table(facts["data"]),
        "parameters": markdown_table(parameters),
        "metrics": markdown_table(facts["metrics"]),
    }
    return CARD.format(**(facts | tables), front_matter=_front_matter(facts["base_model"]))


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table, its columns those of the first row; numbers to four digits."""
    if not rows:
        return "None given."
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[_cell(row.get(column)) for column in rows[0]] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _front_matter(base_model: str) -> str:
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "sentence-similarity", "feature-extraction"],
        base_model=base_model if HUB_ID.fullmatch(base_model) else None,
    )
    return data.to_yaml()


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
