"""Nearest vectors, and texts by their terms."""
