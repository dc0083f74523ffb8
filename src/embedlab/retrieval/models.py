"""Names of the retrieval models that are not encoders, as in the parameters and the catalog."""

BM25 = "bm25"
ISOTROPIC = "isotropic"
