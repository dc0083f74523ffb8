"""SIGReg against its plain formula: time and memory, forward and backward.

pytest tests/benchmarks/test_sigreg.py -n 0 -s
"""

import json

import pytest
import torch
from plain_sigreg import plain_sigreg
from support import ratio_to_peer
from torch.profiler import profile

from embedlab.losses.sigreg import random_directions, sigreg

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_ROWS, DIMENSION, NUM_SLICES, ROUNDS = 512, 512, 256, 41


@pytest.fixture
def step():
    """Forward and backward of a form of the loss; its value and gradient."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(NUM_ROWS, DIMENSION, generator=generator).requires_grad_()
    directions = random_directions(DIMENSION, NUM_SLICES, seed=0)

    def run(form):
        vectors.grad = None
        value = form(vectors, directions)
        value.backward()
        return value.detach(), vectors.grad

    return run


def peak_memory(function, trace):
    """The most that PyTorch has allocated at a time, in bytes, beyond what it had at the start.

    The profiler writes down the running total at every allocation and release of a tensor's
    memory, so that the figure does not depend on the machine.
    """
    with profile(profile_memory=True) as profiler:
        function()
    profiler.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    memory = [event for event in events if event["name"] == "[memory]"]
    memory.sort(key=lambda event: event["ts"])
    totals = [event["args"]["Total Allocated"] for event in memory]
    return max(totals) - (totals[0] - memory[0]["args"]["Bytes"])


def test_sigreg_is_faster_than_its_plain_formula(step, benchmark):
    median = ratio_to_peer(benchmark, lambda: step(sigreg), lambda: step(plain_sigreg), ROUNDS)
    found, expected = step(sigreg), step(plain_sigreg)
    differences = [
        float((ours - theirs).norm() / theirs.norm())
        for ours, theirs in zip(found, expected, strict=True)
    ]
    ratios = sorted(benchmark.extra_info["ratios"])
    print(
        f"\n{NUM_ROWS} x {DIMENSION}, {NUM_SLICES} slices, 17 knots: {median:.2f}x the speed of "
        f"the plain formula (quartiles {ratios[ROUNDS // 4]:.2f} to {ratios[-ROUNDS // 4]:.2f}), "
        f"ours {1000 * benchmark.stats.stats.median:.1f} ms"
    )
    print("relative differences of value and gradient: {:.1e}, {:.1e}".format(*differences))
    assert max(differences) < 1e-5
    assert median >= 4


def test_sigreg_needs_less_memory_than_its_plain_formula(step, tmp_path):
    ours, plain = (
        peak_memory(lambda form=form: step(form), tmp_path / "trace.json")
        for form in (sigreg, plain_sigreg)
    )
    print(
        f"\npeak: {ours / 2**20:.2f} MiB, plain {plain / 2**20:.2f} MiB: {plain / ours:.1f}x less"
    )
    assert plain / ours >= 8
