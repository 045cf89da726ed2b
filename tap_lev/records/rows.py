"""Read fields of a row in either form: a dict, or a struct of a ``PageDecoder``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def value_of(row: Any, name: str) -> Any:  # noqa: ANN401 - a row of either form
    """Return the value of a field, or None if it is missing or empty."""
    # UNSET, which a struct has for a missing field, is false as well.
    return (row.get(name) if isinstance(row, dict) else getattr(row, name, None)) or None


def has(row: Any, name: str) -> bool:  # noqa: ANN401 - a row of either form
    """Return whether a row has a field, be it null."""
    return name in row if isinstance(row, dict) else getattr(row, name) is not UNSET


def values_of(rows: Iterable[Any], names: Sequence[str]) -> list[list[Any]]:
    """Return some fields of each row, each None where it is missing or empty."""
    return [[value_of(row, name) for name in names] for row in rows]
