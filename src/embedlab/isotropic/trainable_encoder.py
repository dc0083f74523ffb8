"""An encoder and a projection over it as one model that trains."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from sentence_transformers.util import batch_to_device
from torch import Tensor, nn
from transformers import PreTrainedModel

from embedlab.encoders.parameters import (
    AnyEncoder,
    ExecutionParameters,
    Role,
    SentenceTransformerParameters,
)
from embedlab.encoders.recipe import make_recipe
from embedlab.encoders.sentence_transformer import SentenceTransformerEncoder, reading_modules
from embedlab.errors import InputError
from embedlab.isotropic.inputs import project
from embedlab.isotropic.projection import GaussianProjection


def load_base(encoder: AnyEncoder) -> SentenceTransformer:
    """Load an encoder as a float32 model on the CPU that computes the same vectors as the cache.

    Prompts by role, maximum length, truncation of vectors and normalisation are part of the model.

    Raises:
        InputError: if its kind is not sentence_transformer, or it cannot be loaded.
    """
    if not isinstance(encoder, SentenceTransformerParameters):
        raise InputError(
            f"encoder of kind {encoder.kind}: only a sentence_transformer can be trained or "
            "exported; choose one"
        )
    execution = ExecutionParameters(precision="float32")
    recipes = {role: make_recipe(encoder, role, execution) for role in get_args(Role)}
    base = SentenceTransformerEncoder(recipes["document"], "cpu", None).model
    if base.truncate_dim is not None:
        _truncate_by_module(base)
    base.prompts = base.prompts | {role: recipe.prompt for role, recipe in recipes.items()}
    if encoder.normalize and not isinstance(base[-1], Normalize):
        base.append(Normalize())
    return base


class TrainableEncoder(nn.Module):
    """A base encoder followed by a projection, both with gradients.

    DistributedDataParallel can wrap it: a training step makes a single forward pass, and every
    parameter that is not frozen gets a gradient. Those without influence on the vectors are frozen.

    Shape:
        - input: tokenised batches, with tensors `(b_i, L_i)`
        - output: float32 `(sum of b_i, output_dim)`
    """

    def __init__(self, base: SentenceTransformer, projection: GaussianProjection):
        super().__init__()
        self.base = base
        self.projection = projection
        _freeze_unused(base)

    def tokenize(self, texts: Sequence[str], role: Role) -> dict[str, Any]:
        """Tokenise texts after the role's prompt, truncated: tensors `(b, L)` on the CPU."""
        features = self.base.preprocess(list(texts), prompt=self.base.prompts[role], task=role)
        return features | {"task": role}

    def forward(self, *batches: Mapping[str, Any]) -> Tensor:
        """The vectors of all batches; one a role, so that queries are not padded like documents."""
        # The modules write into their features, so each gets a copy.
        copies = [batch_to_device(dict(batch), self.base.device) for batch in batches]
        outputs = [self.base(copy, task=copy["task"])["sentence_embedding"] for copy in copies]
        return torch.cat([self.projection(output) for output in outputs]).float()

    def encode(self, texts: Sequence[str], role: Role) -> np.ndarray:
        """The vectors of texts of one role in evaluation mode, float32 `(n, output_dim)`."""
        was_training = self.training
        self.eval()
        prompt = self.base.prompts[role]
        vectors = self.base.encode(list(texts), prompt=prompt, task=role, show_progress_bar=True)
        projected = project(self.projection, vectors, self.base.device)
        self.train(was_training)
        return projected

    def freeze_early_layers(self, num_layers: int) -> None:
        """Exclude the embeddings and the first transformer layers from training.

        Raises:
            InputError: if the model has no transformer, or one has no further layer.
        """
        found = [
            next((part for part in module.modules() if isinstance(part, PreTrainedModel)), None)
            for module in reading_modules(self.base)
        ]
        transformers = [transformer for transformer in found if transformer is not None]
        if not transformers:
            raise InputError("frozen_layers: the model has no transformer; set it to null")
        for transformer in transformers:
            _freeze_early_layers(transformer, num_layers)


def _freeze_early_layers(transformer: PreTrainedModel, num_layers: int) -> None:
    layers = _layers(transformer)
    if num_layers >= len(layers):
        raise InputError(
            f"frozen_layers is {num_layers}, but the model has {len(layers)} layers; lower it"
        )
    first_trained = next(layers[num_layers].parameters())
    # Parameters are registered in the order of their use: embeddings, then layer by layer.
    for parameter in transformer.parameters():
        if parameter is first_trained:
            break
        parameter.requires_grad_(False)


def _truncate_by_module(base: SentenceTransformer) -> None:
    """Let a linear module cut vectors off, so that further modules can follow."""
    size, base.truncate_dim = base.get_embedding_dimension() or 0, None
    dimension = base.get_embedding_dimension() or 0
    kept = torch.eye(size, dimension)
    base.append(Dense(dimension, size, False, nn.Identity(), init_weight=kept))


def _freeze_unused(base: SentenceTransformer) -> None:
    """Freeze parameters without influence on the vectors, as the pooler of a mean-pooled BERT.

    DistributedDataParallel would wait for their gradients.
    """
    parameters = list(base.parameters())
    total = torch.zeros((), device=base.device)
    for role in get_args(Role):  # each may have modules of its own
        features = batch_to_device(base.preprocess(["text"], task=role), base.device)
        total = total + base(features, task=role)["sentence_embedding"].sum()
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def _layers(transformer: PreTrainedModel) -> nn.ModuleList:
    """The transformer's list of layers, whose name depends on the model family."""
    num_layers = transformer.config.num_hidden_layers
    for module in transformer.modules():
        if isinstance(module, nn.ModuleList) and len(module) == num_layers:
            return module
    raise InputError(
        f"frozen_layers: found no list of layers in a {type(transformer).__name__}; set it to null"
    )
