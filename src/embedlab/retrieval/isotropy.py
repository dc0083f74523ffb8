"""How evenly vectors use their space: five measures that look at different faults.

A common direction lowers `partition_isotropy` and raises `mean_cosine`; unequal variances lower
`isoscore` and `effective_rank`; `sigreg` tells any departure from a Gaussian with independent
components.
"""

from typing import Any

import numpy as np
import torch
from scipy.special import entr, logsumexp
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.losses.sigreg import random_directions, sigreg
from embedlab.statistics.description import describe
from embedlab.statistics.intervals import blocks
from embedlab.statistics.standardise import Standardise

# Random directions of the SIGReg statistic.
N_SLICES = 256


def isotropy(vectors: np.ndarray, max_vectors: int, seed: int) -> dict[str, Any]:
    """All measures of one set of vectors.

    Norms and spectrum are of all vectors, which are read once in blocks, so that they may be a
    memory map larger than the memory; the other measures are of a random sample.

    Args:
        vectors: `(n, d)`.
        max_vectors: vectors in the sample, at most.
        seed: of the sample and of the directions of SIGReg.

    Returns:
        Ready for JSON, and always finite: `n`, `n_sampled`, `dimension`; `mean_cosine`,
        `partition_isotropy`, `isoscore`, `effective_rank` and `sigreg`, each as its function here
        says; `norm`, the mean, std, min, max and percentiles p5 to p95 of the Euclidean norms; and
        `spectrum`, the d shares of the variance along the principal components, the greatest
        first, all 0 if all vectors are the same.

    Raises:
        InputError: if there are fewer than two vectors or two dimensions, or a vector is not
            finite.
    """
    n_vectors, dimension = vectors.shape
    if n_vectors < 2 or dimension < 2:
        raise InputError(
            f"isotropy needs at least 2 vectors of 2 dimensions (got {n_vectors} of {dimension}): "
            "take a larger set"
        )
    covariance, norms = _covariance_and_norms(vectors)
    spectrum = normalised_spectrum(covariance)
    sample = _sample(vectors, max_vectors, seed)
    return {
        "n": n_vectors,
        "n_sampled": len(sample),
        "dimension": dimension,
        "mean_cosine": mean_cosine(sample),
        "partition_isotropy": partition_isotropy(sample),
        "isoscore": isoscore(spectrum),
        "effective_rank": effective_rank(spectrum),
        "sigreg": standardised_sigreg(sample, seed),
        "norm": describe(norms),
        "spectrum": spectrum.tolist(),
    }


def mean_cosine(vectors: np.ndarray) -> float:
    r"""The mean cosine of two different rows: 0 where no direction is preferred, 1 for one line.

    Over all $m (m - 1)$ ordered pairs at once, with u the vectors over their norms:
    $(|\sum u_i|^2 - \sum |u_i|^2) / (m (m - 1))$. A null vector has cosine 0 with any other.

    Args:
        vectors: `(m, d)`, m at least 2.

    References:
        Ethayarajh 2019, arXiv 1909.00512, section 3.3, takes the mean over random pairs.
    """
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    units = exact / np.where(norms > 0, norms, 1)
    n_vectors = len(units)
    pairs = np.square(units.sum(axis=0)).sum() - np.square(units).sum()
    return float(pairs / (n_vectors * (n_vectors - 1)))


def partition_isotropy(vectors: np.ndarray) -> float:
    r"""The least over the greatest $Z(c) = \sum_i \exp(c \cdot v_i)$: 1 if isotropic.

    As in the paper, c runs over the eigenvectors of $V^T V$. The negative of an eigenvector is one
    too, and a solver's choice of sign is arbitrary, so both signs are taken. Vectors are not
    centred, since a common mean is a fault to be seen, nor normalised one by one, since unequal
    norms are another. But short vectors would always seem isotropic, so that all are divided by
    their root mean square norm, which leaves unit vectors as they are.

    Args:
        vectors: `(m, d)`; float64 arrays of twice this shape are held.

    References:
        Mu & Viswanath 2018, All-but-the-Top, arXiv 1702.01417, equations 1 and 2 of section 2.
    """
    exact = vectors.astype(np.float64)
    scale = np.sqrt(np.square(exact).sum(axis=1).mean())
    exact /= scale if scale > 0 else 1
    _, axes = np.linalg.eigh(exact.T @ exact)
    projections = exact @ axes
    # In logarithms, because a vector far from the rest would overflow.
    log_z = np.concatenate([logsumexp(projections, axis=0), logsumexp(-projections, axis=0)])
    return float(np.exp(log_z.min() - log_z.max()))


def normalised_spectrum(covariance: np.ndarray) -> np.ndarray:
    """The eigenvalues of a covariance `(d, d)` over their sum, the greatest first.

    Returns:
        `(d,)`; 0 what is rounding (Press et al. 2007, Numerical Recipes, section 2.6.1), so all 0
        where nothing varies.
    """
    eigenvalues = np.linalg.eigvalsh(covariance)[::-1]
    rounding = len(covariance) * np.finfo(np.float64).eps * max(eigenvalues[0], 0)
    variances = np.where(eigenvalues > rounding, eigenvalues, 0)
    total = variances.sum()
    return variances / total if total > 0 else variances


def isoscore(spectrum: np.ndarray) -> float:
    r"""The share of dimensions that the variance uses evenly: 1 for all of them, 0 for one.

    The paper turns the points onto their principal components, takes the variances $\lambda$
    (the covariance's eigenvalues), scales them to length $\sqrt d$, $\hat\lambda = \sqrt d \,
    \lambda / |\lambda|$, takes the isotropy defect $\delta = |\hat\lambda - 1| / \sqrt{2 (d -
    \sqrt d)}$, the used share $\phi = (d - \delta^2 (d - \sqrt d))^2 / d^2$, and $(d \phi - 1) /
    (d - 1)$. Since $|\hat\lambda - 1|^2 = 2 d - 2 \sum \hat\lambda$, $d \phi$ is the
    participation ratio $(\sum \lambda)^2 / \sum \lambda^2$; so it is written here.

    Args:
        spectrum: `(d,)`, on any scale, d at least 2. All zero gives 0. That of n vectors from an
            isotropic Gaussian gives about n / (n + d): so few vectors are never quite even.

    References:
        Rudman, Gillman, Rayne & Eickhoff 2022, IsoScore, arXiv 2108.07344, section 4, algorithm 1.
    """
    squares = np.square(spectrum).sum()
    if squares == 0:
        return 0.0
    used = spectrum.sum() ** 2 / squares
    # Rounding must not lead out of the range.
    return float(np.clip((used - 1) / (len(spectrum) - 1), 0, 1))


def effective_rank(spectrum: np.ndarray) -> float:
    r"""$\exp(-\sum p_k \log p_k) / d$, the share of dimensions that the spectrum p amounts to.

    The paper's p are singular values over their sum; here they are eigenvalues of the covariance,
    shares of the variance, so that a weak component counts for less.

    Args:
        spectrum: `(d,)`, of sum 1.

    Returns:
        From 1/d for one component to 1 for equal ones; 0 if the spectrum is all zero.

    References:
        Roy & Vetterli 2007, The effective rank: a measure of effective dimensionality, equation 3.
    """
    if not spectrum.any():
        return 0.0
    return float(np.exp(entr(spectrum).sum()) / len(spectrum))


def standardised_sigreg(vectors: np.ndarray, seed: int) -> float:
    """The SIGReg statistic of vectors whose components have mean 0 and variance 1 each.

    About 0.6 whatever m is if the vectors are Gaussian with independent components. It grows with m
    if they are not, so compare sets at the same m. A constant component stays constant.

    Args:
        vectors: `(m, d)`.
        seed: of the 256 directions.

    References:
        Balestriero & LeCun 2025, LeJEPA, arXiv 2511.08544, section 4.
    """
    points = torch.from_numpy(vectors)
    standardise = Standardise(points.shape[1])
    standardise.fit(points)
    directions = random_directions(points.shape[1], N_SLICES, seed)
    return float(sigreg(standardise(points), directions))


def _covariance_and_norms(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The covariance `(d, d)` and the norms `(n,)` in float64, in one pass."""
    n_vectors, dimension = vectors.shape
    # Differences from any one vector have the same covariance, and keep digits where a mean is far.
    origin = vectors[0].astype(np.float64)
    total, products = np.zeros(dimension), np.zeros((dimension, dimension))
    norms = np.empty(n_vectors)
    for rows in tqdm(list(blocks(n_vectors, dimension)), desc="covariance", delay=2, leave=False):
        block = vectors[rows.start : rows.stop].astype(np.float64)
        norms[rows.start : rows.stop] = np.linalg.norm(block, axis=1)
        finite = np.isfinite(norms[rows.start : rows.stop])
        if not finite.all():
            row = rows.start + int(finite.argmin())
            raise InputError(f"row {row} of the vectors is not finite: embed its text again")
        block -= origin
        total += block.sum(axis=0)
        products += block.T @ block
    mean = total / n_vectors
    return products / n_vectors - np.outer(mean, mean), norms


def _sample(vectors: np.ndarray, max_vectors: int, seed: int) -> np.ndarray:
    """At most `max_vectors` random rows, float32, in their order."""
    n_vectors = len(vectors)
    if n_vectors <= max_vectors:
        return np.array(vectors, dtype=np.float32)
    rng = np.random.default_rng(seed)
    rows = rng.choice(n_vectors, max_vectors, replace=False, shuffle=False)
    return np.array(vectors[np.sort(rows)], dtype=np.float32)
