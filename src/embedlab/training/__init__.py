"""The training loop, its checkpoints and logs, and trainings in several processes."""
