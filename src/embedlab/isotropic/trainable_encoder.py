"""An encoder and a projection over it as one model that trains."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize
from sentence_transformers.util import batch_to_device
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel

from embedlab.encoders.parameters import (
    AnyEncoder,
    ExecutionParameters,
    Role,
    SentenceTransformerParameters,
)
from embedlab.encoders.recipe import make_recipe
from embedlab.encoders.transformer import SentenceTransformerEncoder
from embedlab.errors import InputError
from embedlab.isotropic.projection import GaussianProjection
from embedlab.training.recomputation import recompute_activations

Features = Mapping[str, Any]


def load_base(encoder: AnyEncoder) -> SentenceTransformer:
    """Load an encoder as one model that gives the vectors of the cache by itself.

    Returns:
        The model on the CPU, in float32, with the encoder's prompts by role, its maximum length
        and its normalisation.

    Raises:
        InputError: if it is of another kind than sentence_transformer, or cannot be loaded.
    """
    if not isinstance(encoder, SentenceTransformerParameters):
        raise InputError(
            f"encoder of kind {encoder.kind}: only a sentence_transformer can be trained or "
            "exported; choose one"
        )
    execution = ExecutionParameters(precision="float32")
    recipes = {role: make_recipe(encoder, role, execution) for role in get_args(Role)}
    loaded = SentenceTransformerEncoder(recipes["document"], "cpu", None)
    base = loaded.model
    assert isinstance(base, SentenceTransformer)
    base.max_seq_length = loaded.max_length
    base.prompts = base.prompts | {role: recipe.prompt for role, recipe in recipes.items()}
    if encoder.normalize and not isinstance(base[-1], Normalize):
        base.append(Normalize())
    return base


class TrainableEncoder(nn.Module):
    """A base encoder followed by a projection, both with gradients.

    It runs under DistributedDataParallel: a training step gives all its batches to one forward
    pass, and every parameter that is not frozen has a gradient.

    Args:
        base: as `load_base` gives it.
        projection: of the base's width.
    """

    def __init__(self, base: SentenceTransformer, projection: GaussianProjection):
        super().__init__()
        self.base = base
        self.projection = projection
        _freeze_unused(base)

    def tokenize(self, texts: Sequence[str], role: Role) -> dict[str, Any]:
        """Texts of one role as the model's features: tensors `(b, L)` on the CPU.

        The role's prompt comes first, what is too long is cut off, and L is the longest text's
        number of tokens.
        """
        return self.base.preprocess(list(texts), prompt=self.base.prompts[role])

    def forward(self, *batches: Features) -> Tensor:
        """The vectors of tokenised batches, one batch after the other.

        Queries and documents stay apart, so that the short ones are not padded to the long ones.

        Returns:
            float32 `(b, output_dim)`, b the rows of all batches together.
        """
        return torch.cat([self._vectors(batch) for batch in batches]).float()

    def _vectors(self, features: Features) -> Tensor:
        # The modules write into the features they get.
        own = batch_to_device(dict(features), self.projection.output.weight.device)
        vectors: Tensor = self.projection(self.base(own)["sentence_embedding"])
        return vectors

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], role: Role, batch_size: int = 32) -> np.ndarray:
        """The vectors of texts of one role in evaluation mode, float32 `(n, output_dim)`."""
        was_training = self.training
        self.eval()
        vectors = np.empty((len(texts), self.projection.output_dim), dtype=np.float32)
        # Texts of like length share a batch; the longest come first, so that memory fails early.
        order = np.argsort([-len(text) for text in texts], kind="stable")
        with tqdm(total=len(texts), desc="encode", unit="text", leave=False) as bar:
            for start in range(0, len(texts), batch_size):
                rows = order[start : start + batch_size]
                features = self.tokenize([texts[row] for row in rows], role)
                vectors[rows] = self(features).cpu().numpy()
                bar.update(len(rows))
        self.train(was_training)
        return vectors

    def freeze_early_layers(self, n_layers: int) -> None:
        """Exclude the embeddings and the first `n_layers` transformer layers from training.

        Raises:
            InputError: if the model has not more layers than that.
        """
        transformer = self.base.transformers_model
        assert transformer is not None  # `load_base` takes nothing else
        layers = _layers(transformer)
        if n_layers >= len(layers):
            raise InputError(
                f"frozen_layers: {n_layers}, but the model's layers are {len(layers)}; give fewer"
            )
        first_trained = next(layers[n_layers].parameters())
        # Parameters are registered in the order of their use: embeddings, layers, what follows.
        for parameter in transformer.parameters():
            if parameter is first_trained:
                break
            parameter.requires_grad_(False)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass: less memory, about a third more time."""
        recompute_activations(self.base)

    def parameter_groups(
        self, base_learning_rate: float, projection_learning_rate: float
    ) -> list[dict[str, Any]]:
        """What an optimiser trains, the base first; frozen parameters are left out."""
        parts = ((self.base, base_learning_rate), (self.projection, projection_learning_rate))
        return [
            {"params": [p for p in part.parameters() if p.requires_grad], "lr": rate}
            for part, rate in parts
        ]


def _freeze_unused(base: SentenceTransformer) -> None:
    """Freeze parameters that no vector depends on, such as the pooler of a mean-pooled BERT.

    DistributedDataParallel would wait for their gradients.
    """
    parameters = list(base.parameters())
    features = batch_to_device(base.preprocess(["text"]), base.device)
    vectors = base(features)["sentence_embedding"]
    gradients = torch.autograd.grad(vectors.sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def _layers(transformer: PreTrainedModel) -> nn.ModuleList:
    """The transformer's layers, whatever its family calls them."""
    n_layers = transformer.config.num_hidden_layers
    for module in transformer.modules():
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            return module
    raise InputError(
        f"frozen_layers: found no list of layers in a {type(transformer).__name__}; leave it out"
    )
