"""A trained model for everybody: a SentenceTransformer of built-in modules, and its model card."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

from huggingface_hub import ModelCardData
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch import Tensor, nn

from embedlab.isotropic.projection import GaussianProjection

# Names that the hub accepts; a base in a folder or a Python package has no such name.
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

# A number of tokens by which libraries say that there is no bound.
UNBOUNDED = 10**9

CARD = """---
{front_matter}
---

# {name}

A sentence-transformers model: `{base_model}`, followed by a Gaussian projection to {dimension}
dimensions. It maps a text of {length} to a vector that is **not normalised**;
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
    """The contents of a model card."""

    name: str
    base_model: str  # as the parameters name it
    dimension: int  # of the output vectors
    max_length: float  # in tokens
    data: Sequence[Mapping[str, Any]]  # rows of a table
    parameters: Mapping[str, Any]  # of the training, nested
    metrics: Sequence[Mapping[str, Any]]  # rows of a table


def build_sentence_transformer(
    base: SentenceTransformer, projection: GaussianProjection
) -> SentenceTransformer:
    """Append a projection to a copy of its base encoder, as modules of sentence-transformers.

    The saved model loads without this package and without `trust_remote_code`.

    Returns:
        A model on the CPU with the base's prompts and maximum length, whose similarity is the
        negative Euclidean distance.
    """
    hidden, output = projection.dense_layers()
    normalise = [] if isinstance(base[-1], Normalize) else [Normalize()]
    dense = [_dense(*hidden, nn.GELU()), _dense(*output, nn.Identity())]
    return SentenceTransformer(
        modules=[*copy.deepcopy(list(base)), *normalise, *dense],
        device="cpu",
        prompts={name: prompt or "" for name, prompt in base.prompts.items()},
        default_prompt_name=base.default_prompt_name,
        similarity_fn_name="euclidean",
    )


def model_card(facts: ModelFacts) -> str:
    """The text of README.md: YAML front matter for the hub, then sections for readers."""
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "sentence-similarity", "feature-extraction"],
        base_model=facts["base_model"] if HUB_ID.fullmatch(facts["base_model"]) else None,
    )
    length = facts["max_length"]
    bound = f"at most {length} tokens" if length < UNBOUNDED else "any length"
    tables = {
        "data": markdown_table(facts["data"]),
        "parameters": markdown_table(list(_parameter_rows(facts["parameters"]))),
        "metrics": markdown_table(facts["metrics"]),
    }
    return CARD.format(**(facts | tables), length=bound, front_matter=data.to_yaml())


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format rows as a Markdown table with the first row's columns, numbers to four digits.

    Example:
        >>> print(markdown_table([{"set": "scifact", "nDCG@10": 0.64512}]))
        | set | nDCG@10 |
        | --- | --- |
        | scifact | 0.6451 |
    """
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[_cell(row[column]) for column in rows[0]] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _dense(weight: Tensor, bias: Tensor, activation: nn.Module) -> Dense:
    return Dense(
        weight.shape[1],
        weight.shape[0],
        activation_function=activation,
        init_weight=weight.clone(),
        init_bias=bias.clone(),
    )


def _parameter_rows(nested: Mapping[str, Any], prefix: str = "") -> Iterator[dict[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _parameter_rows(value, f"{prefix}{key}.")
        else:
            yield {"parameter": prefix + key, "value": value}


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
