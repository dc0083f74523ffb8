"""Five measures of isotropy, each sensitive to a different fault.

A common direction lowers `partition_isotropy` and raises `mean_cosine`; unequal variances lower
`isoscore` and `effective_rank`; any departure from a Gaussian with independent components raises
`sigreg`.
"""

from typing import Any

import numpy as np
import torch
from scipy.special import entr, logsumexp
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.losses.sigreg import random_directions, sigreg
from embedlab.statistics.description import describe_values
from embedlab.statistics.intervals import blocks
from embedlab.statistics.standardise import Standardise

# Random directions of the SIGReg statistic.
NUM_SLICES = 256


def isotropy(vectors: np.ndarray, max_vectors: int, seed: int) -> dict[str, Any]:
    """Compute all measures of a set of vectors `(n, d)`.

    Norms and spectrum use all vectors, read once in blocks, so `vectors` may be a memory map larger
    than the memory. The other measures use a random sample of at most `max_vectors`.

    Returns:
        JSON-ready and finite: `n`, `n_sampled`, `dimension`; `mean_cosine`, `partition_isotropy`,
        `isoscore`, `effective_rank` and `sigreg`, from the functions of this module; `norm`: mean,
        std, min, max and percentiles p5 to p95 of the Euclidean norms; `spectrum`: the shares of
        the variance along the d principal components in descending order, all 0 if all vectors are
        equal.

    Raises:
        InputError: if there are fewer than two vectors or dimensions, or a vector is not finite.
    """
    num_vectors, dimension = vectors.shape
    if num_vectors < 2 or dimension < 2:
        raise InputError(
            f"isotropy needs at least 2 vectors of 2 dimensions (got {num_vectors} of "
            f"{dimension}): take a larger set"
        )
    covariance, norms = _covariance_and_norms(vectors)
    spectrum = normalised_spectrum(covariance)
    sample = _sample(vectors, max_vectors, seed)
    return {
        "n": num_vectors,
        "n_sampled": len(sample),
        "dimension": dimension,
        "mean_cosine": mean_cosine(sample),
        "partition_isotropy": partition_isotropy(sample),
        "isoscore": isoscore(spectrum),
        "effective_rank": effective_rank(spectrum),
        "sigreg": standardised_sigreg(sample, seed),
        "norm": describe_values(norms),
        "spectrum": spectrum.tolist(),
    }


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """L2-normalise vectors `(n, d)`; null vectors stay null."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def mean_cosine(vectors: np.ndarray) -> float:
    r"""Compute the mean cosine of two different rows of m: 0 without a preferred direction.

    With u the L2-normalised vectors, the mean over all $m (m - 1)$ ordered pairs is
    $(|\sum u_i|^2 - \sum |u_i|^2) / (m (m - 1))$. A null vector has cosine 0 with any other.

    References:
        Ethayarajh 2019, arXiv 1909.00512, section 3.3, takes the mean over random pairs.

    Example:
        >>> mean_cosine(np.array([[3.0, 0.0], [1.0, 0.0]]))
        1.0
    """
    units = unit_rows(vectors.astype(np.float64))
    pairs = np.square(units.sum(axis=0)).sum() - np.square(units).sum()
    return float(pairs / (len(units) * (len(units) - 1)))


def partition_isotropy(vectors: np.ndarray) -> float:
    r"""Compute the minimum of $Z(c) = \sum_i \exp(c \cdot v_i)$ over its maximum: 1 if isotropic.

    As in the paper, c runs over the eigenvectors of $V^T V$; here with both signs, since a solver's
    choice of sign is arbitrary. Vectors are neither centred nor normalised one by one: a common
    mean and unequal norms are faults to be detected. They are divided by their root mean square
    norm, without which short vectors would always seem isotropic; unit vectors do not change. Two
    float64 arrays of the vectors' shape `(m, d)` are held in memory.

    References:
        Mu & Viswanath 2018, All-but-the-Top, arXiv 1702.01417, equations 1 and 2 of section 2.
    """
    exact = vectors.astype(np.float64)
    scale = np.sqrt(np.square(exact).sum(axis=1).mean())
    exact /= scale if scale > 0 else 1
    _, axes = np.linalg.eigh(exact.T @ exact)
    projections = exact @ axes
    # In logarithms, because the exponential of an outlier would overflow.
    log_z = np.concatenate([logsumexp(projections, axis=0), logsumexp(-projections, axis=0)])
    return float(np.exp(log_z.min() - log_z.max()))


def normalised_spectrum(covariance: np.ndarray) -> np.ndarray:
    """Compute the eigenvalues of a covariance `(d, d)` over their sum, in descending order.

    Returns:
        `(d,)`. Eigenvalues within rounding error (Press et al. 2007, Numerical Recipes, section
        2.6.1) are set to 0; all of them are if nothing varies.
    """
    eigenvalues = np.linalg.eigvalsh(covariance)[::-1]
    rounding = len(covariance) * np.finfo(np.float64).eps * max(eigenvalues[0], 0)
    variances = np.where(eigenvalues > rounding, eigenvalues, 0)
    return variances / (variances.sum() or 1)


def isoscore(spectrum: np.ndarray) -> float:
    r"""Compute the fraction of dimensions that the variance uses evenly: 1 for all, 0 for one.

    The paper rotates the points onto their principal components, takes the variances $\lambda$
    (the covariance's eigenvalues), scales them to length $\sqrt d$, $\hat\lambda = \sqrt d \,
    \lambda / |\lambda|$, and takes the isotropy defect $\delta = |\hat\lambda - 1| / \sqrt{2 (d -
    \sqrt d)}$, the used fraction $\phi = (d - \delta^2 (d - \sqrt d))^2 / d^2$, and $(d \phi - 1) /
    (d - 1)$. Since $|\hat\lambda - 1|^2 = 2 d - 2 \sum \hat\lambda$, $d \phi$ equals the
    participation ratio $(\sum \lambda)^2 / \sum \lambda^2$, which is computed here.

    Args:
        spectrum: `(d,)` on any scale, d at least 2; all zero gives 0. Of n vectors from an
            isotropic Gaussian, the result is about n / (n + d), so below 1 for small n.

    References:
        Rudman, Gillman, Rayne & Eickhoff 2022, IsoScore, arXiv 2108.07344, section 4, algorithm 1.

    Example:
        >>> isoscore(np.array([0.5, 0.5, 0.0]))
        0.5
    """
    squares = np.square(spectrum).sum()
    if squares == 0:
        return 0.0
    used = spectrum.sum() ** 2 / squares
    # Rounding may exceed the range.
    return float(np.clip((used - 1) / (len(spectrum) - 1), 0, 1))


def effective_rank(spectrum: np.ndarray) -> float:
    r"""Compute $\exp(-\sum p_k \log p_k) / d$, the effective rank of spectrum p as a fraction of d.

    In the paper p are normalised singular values; here they are eigenvalues of the covariance, so
    weak components count for less.

    Args:
        spectrum: `(d,)` with sum 1.

    Returns:
        From 1/d for one component to 1 for equal ones; 0 if the spectrum is all zero.

    References:
        Roy & Vetterli 2007, The effective rank: a measure of effective dimensionality, equation 3.
    """
    return float(np.exp(entr(spectrum).sum()) / len(spectrum)) if spectrum.any() else 0.0


def standardised_sigreg(vectors: np.ndarray, seed: int) -> float:
    """Compute the SIGReg statistic of m vectors `(m, d)` after standardising each component.

    About 0.6 for any m if the vectors are Gaussian with independent components. Otherwise it grows
    with m, so compare sets of equal m. A constant component stays constant.

    References:
        Balestriero & LeCun 2025, LeJEPA, arXiv 2511.08544, section 4.
    """
    points = torch.from_numpy(vectors)
    standardise = Standardise(points.shape[1])
    standardise.fit(points)
    directions = random_directions(points.shape[1], NUM_SLICES, seed)
    return float(sigreg(standardise(points), directions))


def _covariance_and_norms(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The covariance `(d, d)` and the norms `(n,)` in float64, in one pass."""
    num_vectors, dimension = vectors.shape
    # Subtracting any one vector leaves the covariance unchanged and avoids cancellation when the
    # mean is large.
    origin = vectors[0].astype(np.float64)
    total, products = np.zeros(dimension), np.zeros((dimension, dimension))
    norms = np.empty(num_vectors)
    for rows in tqdm(list(blocks(num_vectors, dimension)), desc="covariance", delay=2, leave=False):
        block = vectors[rows.start : rows.stop].astype(np.float64)
        norms[rows.start : rows.stop] = np.linalg.norm(block, axis=1)
        finite = np.isfinite(norms[rows.start : rows.stop])
        if not finite.all():
            row = rows.start + int(finite.argmin())
            raise InputError(f"row {row} of the vectors is not finite: embed its text again")
        block -= origin
        total += block.sum(axis=0)
        products += block.T @ block
    mean = total / num_vectors
    return products / num_vectors - np.outer(mean, mean), norms


def _sample(vectors: np.ndarray, max_vectors: int, seed: int) -> np.ndarray:
    """At most `max_vectors` random rows in their order, float32."""
    num_vectors = len(vectors)
    if num_vectors <= max_vectors:
        return np.array(vectors, dtype=np.float32)
    rng = np.random.default_rng(seed)
    rows = rng.choice(num_vectors, max_vectors, replace=False, shuffle=False)
    return np.array(vectors[np.sort(rows)], dtype=np.float32)
