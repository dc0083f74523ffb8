"""Random network distillation, and other detectors of novel vectors."""
