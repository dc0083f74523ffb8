"""Loss functions, one per file; `isotropic/loss.py` combines those of the projection."""
