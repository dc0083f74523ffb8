"""A base encoder and a projection as one SentenceTransformer, of built-in modules only."""

import copy

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch import nn

from embedlab.isotropic.projection import DenseLayer, GaussianProjection

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "identity": nn.Identity}


def build_sentence_transformer(
    base: SentenceTransformer, projection: GaussianProjection
) -> SentenceTransformer:
    """Put a projection behind its base, as layers that sentence-transformers has itself.

    Whoever loads the saved model needs neither this package nor `trust_remote_code`.

    Args:
        base: as `trainable_encoder.load_base` gives it, or as training left it; not changed.
        projection: of the base's width.

    Returns:
        A model on the CPU whose similarity is the negative Euclidean distance; prompts and maximum
        length are the base's.
    """
    dense = [_dense(layer) for layer in projection.dense_layers()]
    units = [] if isinstance(base[-1], Normalize) else [Normalize()]
    return SentenceTransformer(
        modules=[*copy.deepcopy(list(base)), *units, *dense],
        device="cpu",
        prompts={name: prompt or "" for name, prompt in base.prompts.items()},
        default_prompt_name=base.default_prompt_name,
        similarity_fn_name="euclidean",
    )


def _dense(layer: DenseLayer) -> Dense:
    out_features, in_features = layer.weight.shape
    return Dense(
        in_features,
        out_features,
        activation_function=ACTIVATIONS[layer.activation](),
        init_weight=layer.weight.clone(),
        init_bias=layer.bias.clone(),
    )
