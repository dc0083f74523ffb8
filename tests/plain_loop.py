"""Random network distillation in a plain loop, the reference for training runs together."""

import numpy as np
import torch
from torch import nn

from embedlab.novelty.rnd import RandomNetworkDistillation
from embedlab.novelty.training import Run, new_model


def train_alone(embeddings: np.ndarray, run: Run) -> tuple[RandomNetworkDistillation, list[float]]:
    """One model at a time, its targets computed for every batch."""
    vectors, p = torch.from_numpy(embeddings[run.rows]), run.parameters
    model = new_model(vectors, run)
    optimizer = torch.optim.Adam(model.predictor.parameters(), lr=p.learning_rate)
    generator, losses = torch.Generator().manual_seed(run.seed), []
    for _ in range(p.num_epochs):
        total = 0.0
        for rows in torch.randperm(len(vectors), generator=generator).split(p.batch_size):
            inputs = model.standardise(vectors[rows])
            loss = nn.functional.mse_loss(model.predictor(inputs), model.target(inputs))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(vectors))
    return model, losses
