"""A synthetic latency profile: what a tool's run could take, by a formula and not by a clock."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# What small, medium and large inputs hold, relative to a small one.
INPUT_VOLUMES = np.array([1.0, 4.0, 16.0])
START_MS = 10.0
SHORTAGE_SLOPE = 0.25
NOISE = 0.03


class Work(NamedTuple):
    """What one small input asks of the machine; plausible figures, measured on nothing.

    Attributes:
        cpu_ms: milliseconds of processor work on one core.
        gpu_ms: milliseconds of graphics work on one streaming multiprocessor (SM).
        cpu_parallel: the share of the processor work that more cores divide among them.
        gpu_parallel: the share of the graphics work that more SMs divide among them.
        size_exponent: how work and memory grow with the input; below 1 is sublinear.
        memory_gb: main memory in GB.
        gpu_memory_gb: graphics memory in GB.
    """

    cpu_ms: float
    gpu_ms: float
    cpu_parallel: float
    gpu_parallel: float
    size_exponent: float
    memory_gb: float
    gpu_memory_gb: float


WORK = {
    "image_classification": Work(30, 250, 0.60, 0.95, 0.50, 0.8, 0.4),
    "text_summarization": Work(50, 1000, 0.50, 0.93, 0.70, 1.6, 0.9),
    "image_captioning": Work(45, 650, 0.55, 0.94, 0.55, 1.6, 0.7),
    "object_detection": Work(80, 700, 0.80, 0.97, 0.60, 1.2, 0.8),
    "machine_translation": Work(70, 750, 0.70, 0.93, 0.70, 1.4, 0.6),
    "super_resolution": Work(25, 1500, 0.50, 0.98, 0.75, 1.0, 1.1),
    "visual_question_answering": Work(55, 1000, 0.55, 0.96, 0.60, 2.4, 1.2),
}


def latency_ms(tools: Sequence[str], resources: Floats, seed: int) -> Floats:
    """Latencies of configurations under a model of the machine; no run is timed.

    With v the volume of the input and the tool's `Work` (c, g, p, q, a, m, M), on n cores, u SMs,
    R GB of memory and G GB of graphics memory, it is, in whole milliseconds,

        s = v ** a
        busy = 10 + s c A(p, n) + s g A(q, u)
        latency = busy S(s m, R) S(s M, G) exp(0.03 z)

    where A(p, n) = 1 - p + p / n is Amdahl's law, S(need, have) = 1 + max(need / have - 1, 0) / 4
    the penalty for memory that is short, and z ~ N(0, 1) the noise. The seven default tools under
    the default levels take between 20 and 3000 ms.

    Args:
        tools: names of n tools; one without a `Work` of its own gets one drawn from the seed.
        resources: shape (n, 5): input size (0, 1, 2), cores, GB, SMs and GB of graphics memory.
        seed: of the noise, and of the work of other tools.

    Returns:
        Whole milliseconds, shape (n,).

    References:
        Amdahl 1967, Validity of the Single Processor Approach, AFIPS 30.
    """
    work = {tool: tool_work(tool, seed) for tool in dict.fromkeys(tools)}
    c, g, p, q, a, m, gpu_m = np.array([work[tool] for tool in tools]).T
    size, cores, memory, sms, gpu_memory = resources.T
    s = INPUT_VOLUMES[size.astype(np.intp)] ** a
    busy = START_MS + s * c * _amdahl(p, cores) + s * g * _amdahl(q, sms)
    noise = np.exp(NOISE * np.random.default_rng(seed).standard_normal(len(resources)))
    shortage = _shortage(s * m, memory) * _shortage(s * gpu_m, gpu_memory)
    return np.rint(busy * shortage * noise)


def tool_work(tool: str, seed: int) -> Work:
    """The tool's own work, else one drawn between the least and the most of the known tools."""
    known = np.array(list(WORK.values()))
    random = np.random.default_rng([seed, *tool.encode()])
    return WORK.get(tool) or Work(*random.uniform(known.min(axis=0), known.max(axis=0)))


def _amdahl(parallel: Floats, units: Floats) -> Floats:
    """The time on `units` relative to that on one."""
    return 1 - parallel + parallel / units


def _shortage(need: Floats, have: Floats) -> Floats:
    """The factor by which too little memory slows a run; 1 where it suffices."""
    return 1 + SHORTAGE_SLOPE * np.maximum(need / have - 1, 0)
