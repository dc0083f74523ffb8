"""Preference pairs whose responses are rows of an embedding matrix."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from embedlab.density.reward_head import RewardHead
from embedlab.losses.bradley_terry import bradley_terry_loss

# Pairs scored at a time.
BLOCK_SIZE = 8192


@dataclass(frozen=True)
class RewardPairs:
    """Preference pairs as a reward head takes them.

    Attributes:
        embeddings: prefix and response vectors concatenated, float32 `(m, 2d)`; may be a memory
            map.
        chosen: rows of the chosen responses, `(p,)`.
        rejected: rows of the rejected responses, `(p,)`.
        weights: density weights of the pairs' prefixes, `(p,)`.
        device: device of the head.
    """

    embeddings: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray
    weights: np.ndarray
    device: torch.device

    def responses(self, pairs: np.ndarray) -> Tensor:
        """Vectors `(2b, 2d)`: the chosen responses of b pairs, then their rejected ones."""
        rows = np.concatenate([self.chosen[pairs], self.rejected[pairs]])
        return torch.from_numpy(self.embeddings[rows]).to(self.device)

    def losses(self, head: nn.Module, pairs: np.ndarray) -> Tensor:
        """Compute the Bradley-Terry loss of each of b pairs, `(b,)`."""
        return bradley_terry_loss(*head(self.responses(pairs)).chunk(2))

    @torch.no_grad()
    def margins(self, head: RewardHead, pairs: np.ndarray) -> np.ndarray:
        """Compute the reward of the chosen response minus that of the rejected one, `(b,)`."""
        blocks = np.array_split(pairs, len(pairs) // BLOCK_SIZE + 1)
        rewards = [head(self.responses(block)).chunk(2) for block in blocks]
        return torch.cat([chosen - rejected for chosen, rejected in rewards]).cpu().numpy()
