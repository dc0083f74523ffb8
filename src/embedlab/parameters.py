"""The base of every typed parameter group."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embedlab.errors import InputError

# What every generator of random numbers takes.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class OneLineErrors(BaseModel):
    """A model whose validation errors are one line."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Validate `obj`, with one line for all that is wrong with it.

        Raises:
            InputError: naming each faulty key and the reason.
        """
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise InputError("; ".join(map(_one_line, error.errors()))) from None


class Parameters(OneLineErrors):
    """Frozen parameters: a mistyped key or a value out of range fails before anything runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _one_line(error: Any) -> str:
    """Say `key: reason` for one Pydantic error."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{key}: no such parameter"
    if error["type"] == "value_error":  # ours: it says what it got
        reason = error["msg"].removeprefix("Value error, ")
        return f"{key}: {reason}" if key else reason
    return f"{key or 'value'}: {error['msg']} (got {error['input']!r:.80})"


def merge(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with some of their values changed."""
    merged = dict(settings)
    for key, value in changes.items():
        own = merged.get(key)
        if isinstance(own, Mapping) and isinstance(value, Mapping):
            value = merge(own, value)
        merged[key] = value
    return merged
