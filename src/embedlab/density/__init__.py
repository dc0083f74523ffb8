"""Density of texts: inverse-density weights, sampling by them, and reward models that use them."""
