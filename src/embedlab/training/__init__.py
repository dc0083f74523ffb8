"""The training loop, its checkpoints and logs, and training on several devices."""
