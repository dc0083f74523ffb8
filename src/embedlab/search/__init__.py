"""Search for the nearest vectors, and for texts by their terms."""
