"""Reshape rows of Lev, by copies: the given row never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_lev.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Collection

Row = dict[str, Any]


def without(row: Row, names: Collection[str]) -> Row:
    """Copy a row without the named fields."""
    return {name: value for name, value in row.items() if name not in names}


def renamed(row: Row, old: str, new: str) -> Row:
    """Copy a row with one field under another name."""
    return {new if name == old else name: value for name, value in row.items()}


def nested(row: Row, name: str) -> list[Row]:
    """Return the rows nested in a field, none if it is null or missing.

    Raises:
        InvalidResponseError: The field holds something else.
    """
    rows = row.get(name)
    if rows is None:
        return []
    if not isinstance(rows, list) or not all(isinstance(item, dict) for item in rows):
        raise InvalidResponseError(f"Lev sent a row whose {name} are not a list of rows.")
    return rows
