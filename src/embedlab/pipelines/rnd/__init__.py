"""Novelty of pairs by random network distillation, beside baselines."""
