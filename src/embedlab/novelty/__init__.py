"""Random network distillation, and the detectors that it is compared with."""
