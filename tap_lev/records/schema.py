"""The column types of Lev's resources (lev-api.md §1.8) and how a stream's schema is put together.

Every column can be null except the keys. Enums stay open texts, and dates plain ones: Lev adds
values to the first and times to the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

JSONSchema = dict[str, Any]

STRING: JSONSchema = {"type": ["string", "null"]}
INTEGER: JSONSchema = {"type": ["integer", "null"]}
NUMBER: JSONSchema = {"type": ["number", "null"]}
BOOLEAN: JSONSchema = {"type": ["boolean", "null"]}
DATE_TIME: JSONSchema = {"type": ["string", "null"], "format": "date-time"}
OBJECT: JSONSchema = {"type": ["object", "null"], "additionalProperties": True}
"""An object whose fields are not documented, kept as it comes."""


UNKNOWN_FIELDS = "_unknown_fields"
"""The column for what Lev has added since this release."""

_PYTHON_TYPES: dict[str, set[type]] = {
    "array": {list},
    "boolean": {bool},
    "integer": {int},
    "null": {type(None)},
    "number": {int, float},
    "object": {dict},
    "string": {str},
}


def python_types(column: JSONSchema) -> set[type]:
    """Find the types that a column's values have once JSON is decoded."""
    kinds: list[str] = column["type"]
    return {python_type for kind in kinds for python_type in _PYTHON_TYPES[kind]}


def array(items: JSONSchema) -> JSONSchema:
    """Build the type of an array column."""
    return {"type": ["array", "null"], "items": items}


def record(**columns: JSONSchema) -> JSONSchema:
    """Build the type of an object with known fields."""
    return {"type": ["object", "null"], "properties": columns}


def described(column: JSONSchema, description: str) -> JSONSchema:
    """Add a description to a column."""
    return column | {"description": description}


def table(key: Sequence[str], **columns: JSONSchema) -> JSONSchema:
    """Build a stream's schema.

    Args:
        key: The columns that identify a row. They are required and never null.
        columns: All columns, by name.
    """
    properties = {
        name: column | {"type": [kind for kind in column["type"] if kind != "null"]}
        if name in key
        else column
        for name, column in columns.items()
    }
    return {"type": "object", "properties": properties, "required": list(key)}


PERSON = record(id=INTEGER, name=STRING)
VAULT = record(
    id=INTEGER,
    type=described(STRING, "resources (private) or shared (a Deal Room)."),
    title=STRING,
)
