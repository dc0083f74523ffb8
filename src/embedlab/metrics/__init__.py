"""Numbers that describe embeddings and rankings."""
