"""Transformers computed by OpenVINO instead of torch; all else of an encoder stays in torch."""

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from embedlab.encoders.recipe import Precision
from embedlab.errors import InputError

# How far a vector may be from that of torch in float32, as a share of its length: rounding only.
MAX_ERROR = {"float32": 0.01, "bfloat16": 0.1}


def use_openvino(model: nn.Module, precision: Precision, probe: Callable[[], Tensor]) -> None:
    """Have OpenVINO compute the transformers in a model, and check that vectors remain the same.

    Args:
        model: of float32 parameters, on the processor.
        precision: of the matrix products.
        probe: computes vectors with the model, in at least two shapes: `(b, d)`.

    Raises:
        InputError: if OpenVINO is absent, does not compute the model or gives other vectors.
    """
    transformers = dict.fromkeys(_transformers(model))
    if not transformers:
        return
    _check_processor(precision)
    expected = probe()
    for transformer in transformers:
        transformer.forward = OpenVINOForward(transformer, precision)
    try:
        error = (probe() - expected).norm(dim=1)
    except Exception as fault:  # OpenVINO raises exceptions of many types
        reason = shorten(str(fault), 300) or type(fault).__name__
        raise InputError(f"OpenVINO cannot compute it ({reason}); use backend: torch") from fault
    if not (error <= MAX_ERROR[precision] * expected.norm(dim=1)).all():
        raise InputError("OpenVINO computes other vectors than torch; use backend: torch")


class OpenVINOForward:
    """The forward pass of a transformer, converted when it is first called.

    Shape:
        - input: tensors `(b, L)` by name; other arguments are those of the first call
        - output: last hidden states `(b, L, d)`
    """

    def __init__(self, transformer: PreTrainedModel, precision: Precision):
        self.traced = _Traced(transformer)
        self.precision = precision
        self.compiled: Any = None

    def __call__(self, **arguments: Any) -> BaseModelOutput:
        """Compute the last hidden states."""
        tensors = {name: x for name, x in arguments.items() if isinstance(x, Tensor)}
        if self.compiled is None:
            self.traced.names = list(tensors)
            self.traced.options = {k: x for k, x in arguments.items() if k not in tensors}
            self.compiled = _compile(self.traced, tuple(tensors.values()), self.precision)
        states = self.compiled([tensors[name].numpy() for name in self.traced.names])[0]
        return BaseModelOutput(last_hidden_state=torch.from_numpy(states))


class _Traced(nn.Module):
    """A transformer as a function of its tensors alone."""

    def __init__(self, transformer: PreTrainedModel):
        super().__init__()
        self.transformer = transformer
        self.run = transformer.forward
        self.names: list[str] = []
        self.options: dict[str, Any] = {}

    def forward(self, *tensors: Tensor) -> Tensor:
        arguments = dict(zip(self.names, tensors, strict=True))
        states: Tensor = self.run(**arguments, **self.options).last_hidden_state
        return states


def _compile(traced: _Traced, example: tuple[Tensor, ...], precision: Precision) -> Any:
    """Convert a module, for tensors of any shape."""
    openvino = _openvino()
    with warnings.catch_warnings():
        # Of constants in the trace: vectors of other shapes are compared.
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(traced, example_input=example)
    options = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }
    return openvino.compile_model(converted, "CPU", options)


def _transformers(module: nn.Module) -> Iterator[PreTrainedModel]:
    """The outermost transformers in a module."""
    if isinstance(module, PreTrainedModel):
        yield module
    else:
        for child in module.children():
            yield from _transformers(child)


def _check_processor(precision: Precision) -> None:
    native = _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bfloat16" and "BF16" not in native:
        reason = "this processor does not compute bfloat16"
        raise InputError(f"{reason}, and OpenVINO does not emulate it; use precision: float32")


def _openvino() -> Any:
    if importlib.util.find_spec("openvino") is None:
        extra = 'pip install -c constraints.txt -e ".[openvino]"'
        raise InputError(f"openvino is not installed; {extra}")
    # Without this package OpenVINO does not report its use to its makers, which it does unasked.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # late: slow, and an extra

    return openvino
