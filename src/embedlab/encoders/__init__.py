"""Text to vectors, each encoder with a fingerprint."""
