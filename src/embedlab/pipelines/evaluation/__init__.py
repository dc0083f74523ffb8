"""Retrieval quality of BM25 and of each encoder, on each retrieval set."""
