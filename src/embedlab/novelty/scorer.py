"""Novelty as an intrinsic reward: a trained model, loaded and applied."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from embedlab.errors import InputError
from embedlab.novelty.rnd import BLOCK_SIZE, RandomNetworkDistillation, RNDModelParameters
from embedlab.tensor_files import read_tensors


class NoveltyScorer:
    """Scores vectors `(n, d)` by a trained model, in blocks; scoring does not change the model.

    Raises:
        InputError: on scoring, if the vectors have another dimension, or one is not finite.

    Example:
        >>> scorer = NoveltyScorer(RandomNetworkDistillation(4, RNDModelParameters()))
        >>> scorer.novelty(np.ones((3, 4))).shape
        (3,)
    """

    def __init__(self, model: RandomNetworkDistillation):
        self.model = model.eval()

    @classmethod
    def load(cls, path: str | Path, seed: int | None = None, device: str = "cpu") -> Self:
        """Load the run of this seed, or the first one, from a model file `precomp_<name>.pt`.

        Raises:
            InputError: if the file is damaged, no model of an experiment, or without this seed.
        """
        content: dict[str, Any] = read_tensors(Path(path))
        if not content.keys() >= {"weights", "model", "embedding_dim"}:
            raise InputError(f"{path}: not the model of an experiment of rnd")
        weights = content["weights"]
        name = next(iter(weights), None) if seed is None else str(seed)
        if name not in weights:
            raise InputError(f"{path}: no run of seed {seed}; there are {', '.join(weights)}")
        parameters = RNDModelParameters.model_validate(content["model"])
        model = RandomNetworkDistillation(content["embedding_dim"], parameters)
        model.load_state_dict(weights[name])
        return cls(model.to(device))

    def novelty(self, embeddings: np.ndarray) -> np.ndarray:
        """Mean squared error of the predictor: float32 `(n,)`, not negative."""
        return self._apply(self.model, embeddings)

    def reward(self, embeddings: np.ndarray) -> np.ndarray:
        """Novelty minus the training mean, in training standard deviations: float32 `(n,)`."""
        return self._apply(self.model.reward, embeddings)

    @torch.inference_mode()
    def _apply(self, function: Callable[[Tensor], Tensor], embeddings: np.ndarray) -> np.ndarray:
        device = next(self.model.parameters()).device
        dimension = self.model.target[0].in_features
        if embeddings.ndim != 2 or embeddings.shape[1] != dimension:
            raise InputError(f"vectors must be (n, {dimension}), not {embeddings.shape}")
        scores = np.empty(len(embeddings), dtype=np.float32)
        for start in range(0, len(embeddings), BLOCK_SIZE):
            block = np.array(embeddings[start : start + BLOCK_SIZE], dtype=np.float32)
            outputs = function(torch.from_numpy(block).to(device))
            scores[start : start + len(block)] = outputs.cpu().numpy()
        finite = np.isfinite(scores)
        if not finite.all():
            raise InputError(f"row {int(finite.argmin())} of the vectors is not finite")
        return scores
