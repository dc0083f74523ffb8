"""Training loops, their checkpoints, and samplers."""
