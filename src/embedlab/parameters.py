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


def merge(settings: Any, changes: Any) -> Any:
    """Nested settings with some of their values changed.

    Changes that are no mapping replace the settings.

    Example:
        >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
        {'a': {'b': 1, 'c': 3}}
    """
    if not (isinstance(settings, Mapping) and isinstance(changes, Mapping)):
        return changes
    return {**settings, **{key: merge(settings.get(key), changes[key]) for key in changes}}


def merge_each(settings: Mapping[str, Any], variants: Mapping[str, Any]) -> dict[str, Any]:
    """By name, the settings with the changes of each variant; None changes nothing."""
    return {
        name: merge(settings, {} if changes is None else changes)
        for name, changes in variants.items()
    }


def _one_line(error: Any) -> str:
    """One Pydantic error as `key: reason`."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{key}: no such parameter"
    if error["type"] == "value_error":  # raised by our validators, which name the value
        reason = error["msg"].removeprefix("Value error, ")
        return f"{key}: {reason}" if key else reason
    return f"{key or 'value'}: {error['msg']} (got {error['input']!r:.80})"
