"""Read JSON that somebody else wrote: bounded in size and depth, with numbers that are numbers."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn


def parse_json(text: bytes | str, most_bytes: int) -> Any:
    """Parse JSON; stricter than `json.loads`, and with one kind of error.

    Args:
        text: The document.
        most_bytes: Refuse longer ones: objects of Python take up to 30 times the space.

    Raises:
        ValueError: Too long, not JSON, nested too deeply, or with a number that is not finite.
    """
    if len(text) > most_bytes:
        raise ValueError(f"{len(text)} bytes of JSON; at most {most_bytes} are read")
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value


def as_whole(name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """Return a value that must be a whole number; raises ValueError otherwise."""
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if not fits or (most is not None and value > most):
        limits = f"from {least}" + ("" if most is None else f" to {most}")
        raise ValueError(f"{name} must be a whole number {limits}, got {shortened(value)}")
    return int(value)


def as_number(name: str, value: Any) -> float:
    """Return a value that must be a finite number; raises ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {shortened(value)}")
    return float(value)


def as_text(name: str, value: Any) -> str:
    """Return a value that must be text; raises ValueError otherwise."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {shortened(value)}")
    return value


def as_table(name: str, value: Any) -> Mapping[str, Any]:
    """Return a value that must be an object of JSON; raises ValueError otherwise."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object of JSON, got {shortened(value)}")
    return value


def as_items(name: str, value: Any) -> Sequence[Any]:
    """Return a value that must be a list; raises ValueError otherwise."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list, got {shortened(value)}")
    return value


def shortened(value: object) -> str:
    """Write a value for a message, at most 40 characters of it."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
