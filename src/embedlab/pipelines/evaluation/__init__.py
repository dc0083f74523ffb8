"""Retrieval quality of BM25, each encoder and the projection, and isotropy of their vectors."""
