"""A synthetic latency profile: latencies of tool runs by a formula, not by measurement."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Content of small, medium and large inputs, relative to a small one.
INPUT_VOLUMES = np.array([1.0, 4.0, 16.0])
START_MS = 10.0
SHORTAGE_SLOPE = 0.25
NOISE = 0.03
# By tool, for a small input: milliseconds of work on one core and on one streaming multiprocessor
# (SM) of a GPU, the fractions of both that parallelise, the exponent with which work and memory
# grow with the input's volume, GB of main memory and of GPU memory. Plausible, not measured.
WORK = {
    "image_classification": (30, 250, 0.60, 0.95, 0.50, 0.8, 0.4),
    "text_summarization": (50, 1000, 0.50, 0.93, 0.70, 1.6, 0.9),
    "image_captioning": (45, 650, 0.55, 0.94, 0.55, 1.6, 0.7),
    "object_detection": (80, 700, 0.80, 0.97, 0.60, 1.2, 0.8),
    "machine_translation": (70, 750, 0.70, 0.93, 0.70, 1.4, 0.6),
    "super_resolution": (25, 1500, 0.50, 0.98, 0.75, 1.0, 1.1),
    "visual_question_answering": (55, 1000, 0.55, 0.96, 0.60, 2.4, 1.2),
}


def latency_ms(tools: Sequence[str], resources: Floats, seed: int) -> Floats:
    """Compute latencies of configurations from a formula; no run is timed.

    With v the volume of the input and the tool's entry (c, g, p, q, a, m, M) of `WORK`, on n cores
    and u SMs with R GB of memory and G GB of GPU memory, the latency in milliseconds is

        s = v ** a
        busy = 10 + s c A(p, n) + s g A(q, u)
        latency = busy S(s m, R) S(s M, G) exp(0.03 z)

    where A(p, n) = 1 - p + p / n is Amdahl's law, S(need, have) = 1 + max(need / have - 1, 0) / 4
    the slowdown by insufficient memory, and z ~ N(0, 1) the noise. The default profile lies
    between 20 and 3000 ms.

    Args:
        tools: names of n tools; the entry of an unknown one is drawn by seed and name.
        resources: shape (n, 5): input size (0, 1, 2), cores, GB, SMs and GB of GPU memory.
        seed: of the noise and of the entries of unknown tools.

    Returns:
        Whole milliseconds, shape (n,).

    Example:
        >>> resources = np.array([[0.0, 2, 4, 20, 2], [2, 2, 4, 20, 2]])
        >>> latency_ms(["object_detection"] * 2, resources, seed=0)
        array([113., 807.])

    References:
        Amdahl 1967, Validity of the Single Processor Approach, AFIPS 30.
    """
    work = {tool: _work(tool, seed) for tool in dict.fromkeys(tools)}
    c, g, p, q, a, m, gpu_m = np.array([work[tool] for tool in tools]).T
    size, cores, memory, sms, gpu_memory = resources.T
    s = INPUT_VOLUMES[size.astype(np.intp)] ** a
    busy = START_MS + s * c * _amdahl(p, cores) + s * g * _amdahl(q, sms)
    noise = np.exp(NOISE * np.random.default_rng(seed).standard_normal(len(resources)))
    slowdown = _shortage(s * m, memory) * _shortage(s * gpu_m, gpu_memory)
    latencies: Floats = np.rint(busy * slowdown * noise)
    return latencies


def _work(tool: str, seed: int) -> Sequence[float]:
    """The entry of a known tool, else one drawn between the extremes of the known ones."""
    known = np.array(list(WORK.values()))
    random = np.random.default_rng([seed, *tool.encode()])
    return WORK.get(tool) or random.uniform(known.min(axis=0), known.max(axis=0)).tolist()


def _amdahl(parallel: Floats, units: Floats) -> Floats:
    """Duration on this many units, relative to one."""
    return 1 - parallel + parallel / units


def _shortage(need: Floats, have: Floats) -> Floats:
    """Slowdown by insufficient memory; 1 where it suffices."""
    return 1 + SHORTAGE_SLOPE * np.maximum(need / have - 1, 0)
