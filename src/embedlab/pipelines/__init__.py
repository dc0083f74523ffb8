"""The pipelines: pure nodes and their wiring."""
