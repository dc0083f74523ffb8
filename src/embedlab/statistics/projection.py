"""Projection of vectors onto a plane, for maps."""

import numpy as np
from sklearn.decomposition import PCA


def principal_plane(vectors: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Project vectors `(n, d)` onto their first two principal components.

    The decomposition is randomised (Halko, Martinsson & Tropp 2011, arXiv 0909.4061).

    Returns:
        Points `(n, 2)`, and the share of the variance along each axis `(2,)`; all zero if n or d
        is 1, or all vectors are equal.
    """
    if min(vectors.shape) < 2:
        return np.zeros((len(vectors), 2)), np.zeros(2)
    pca = PCA(n_components=2, svd_solver="randomized", random_state=seed)
    with np.errstate(invalid="ignore"):  # 0 / 0 if all vectors are equal
        points = pca.fit_transform(vectors)
    return points, np.nan_to_num(pca.explained_variance_ratio_)
