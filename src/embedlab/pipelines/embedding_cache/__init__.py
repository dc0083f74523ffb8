"""Encode each text once, and publish the vectors of every collection."""
