"""Schemas, as far as ``singer_sdk.typing`` cannot say them (lev-api.md §1.8).

Every column can be null except the keys. Enums stay open texts, and dates plain ones: Lev adds
values to the first and times to the second.
"""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

JSONSchema = dict[str, Any]

UNKNOWN_FIELDS = "_unknown_fields"
"""The column for fields that Lev has added since this release."""

# The SDK's own object without properties would say ``"properties": {}``: an object with no field.
OPEN_OBJECT = th.CustomType({"type": ["object", "null"], "additionalProperties": True})
"""An object whose fields are not documented, passed on as it comes."""


def object_type(*fields: th.Property[Any]) -> th.ObjectType:
    """Build the type of a nested object: it may be null, an array's item as well."""
    # With additionalProperties, targets would store the object as open: its fields are known.
    return th.ObjectType(*fields, additional_properties=None, nullable=True)


def complete_schema(
    schema: JSONSchema, description: str, *, keeps_unknown_fields: bool
) -> JSONSchema:
    """Complete the schema that a stream class declares.

    Args:
        schema: The declared schema, made by ``th.PropertiesList``.
        description: What the rows are.
        keeps_unknown_fields: Whether to add the column for unknown fields.
    """
    unknown = {UNKNOWN_FIELDS: OPEN_OBJECT.to_dict()} if keeps_unknown_fields else {}
    # The SDK adds "$schema", which binds a target to one draft of JSON Schema.
    declared = {name: value for name, value in schema.items() if name != "$schema"}
    return declared | {"properties": schema["properties"] | unknown, "description": description}
