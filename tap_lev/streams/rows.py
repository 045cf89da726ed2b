"""Steps that bring rows of Lev into a stream's form. None of them changes the row it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_lev.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Collection

Row = dict[str, Any]


def without(row: Row, names: Collection[str]) -> Row:
    """Copy a row without some of its fields."""
    return {name: value for name, value in row.items() if name not in names}


def renamed(row: Row, old: str, new: str) -> Row:
    """Copy a row with one of its fields under another name."""
    return {new if name == old else name: value for name, value in row.items()}


def nested(row: Row, name: str) -> list[Row]:
    """Find the rows that stand in a field of a row. A field that is null or not there has none.

    Raises:
        BrokenAnswerError: The field holds something else.
    """
    rows = row.get(name)
    if rows is None:
        return []
    if not isinstance(rows, list) or not all(isinstance(item, dict) for item in rows):
        raise InvalidResponseError(f"Lev sent a row whose {name} are not a list of rows.")
    return rows
