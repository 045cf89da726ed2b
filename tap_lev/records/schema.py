"""Extend ``singer_sdk.typing`` by what Lev's schemas need (lev-api.md §1.8).

Every column can be null except the keys. Enums stay open texts because Lev adds values to them, and
dates stay plain texts because Lev adds times to them.
"""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

JSONSchema = dict[str, Any]

UNKNOWN_FIELDS = "_unknown_fields"
"""The column for fields that Lev has added since this release."""

# th.ObjectType() would add an empty "properties", as if the object were known to have no fields.
OPEN_OBJECT = th.CustomType({"type": ["object", "null"], "additionalProperties": True})
"""An object whose fields Lev does not document. It is passed on unchanged."""


def object_type(*fields: th.Property[Any]) -> th.ObjectType:
    """Build the type of a nested object, which may be null."""
    # th.Property makes a column nullable, but nothing does so for the items of an array.
    return th.ObjectType(*fields, additional_properties=None, nullable=True)


def complete_schema(
    schema: JSONSchema, description: str, *, keeps_unknown_fields: bool
) -> JSONSchema:
    """Complete the schema that a stream class declares.

    Args:
        schema: The declared schema, built by ``th.PropertiesList``.
        description: What one row of the stream is.
        keeps_unknown_fields: Whether to add the column for unknown fields.
    """
    unknown = {UNKNOWN_FIELDS: OPEN_OBJECT.to_dict()} if keeps_unknown_fields else {}
    # Only th.PropertiesList adds "$schema". It would bind targets to one draft of JSON Schema.
    declared = {name: value for name, value in schema.items() if name != "$schema"}
    return declared | {"properties": schema["properties"] | unknown, "description": description}
