"""Density weights of prefixes, samples by them, and reward models with and without them."""
