"""A projection of vectors towards an isotropic Gaussian, trained for retrieval."""
