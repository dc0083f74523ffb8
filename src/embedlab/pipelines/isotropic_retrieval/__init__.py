"""A Gaussian projection trained for retrieval, alone or with its base encoder."""
