"""The base class of all parameter groups."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embedlab.errors import InputError

# The range that all random number generators accept.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class OneLineErrors(BaseModel):
    """A model whose validation errors fit on one line."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Validate `obj`.

        Raises:
            InputError: naming all faulty keys and the reasons, on one line.
        """
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise InputError("; ".join(map(_one_line, error.errors()))) from None


class Parameters(OneLineErrors):
    """Frozen parameters, which refuse unknown keys and values out of range."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def merge(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with some of their values changed.

    Example:
        >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
        {'a': {'b': 1, 'c': 3}}
    """
    merged = dict(settings)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merge(old, value)
        merged[key] = value
    return merged


def _one_line(error: Any) -> str:
    """One Pydantic error as `key: reason`."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{key}: no such parameter"
    if error["type"] == "value_error":  # raised by our validators, which name the value
        reason = error["msg"].removeprefix("Value error, ")
        return f"{key}: {reason}" if key else reason
    return f"{key or 'value'}: {error['msg']} (got {error['input']!r:.80})"
