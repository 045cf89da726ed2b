"""Mend values that would stop a target.

A target fails on such a value, and fails again in each later run because the row comes again. So
the tap replaces the value before it writes the row. Cheap checks find the rows that need it: see
``Mender.mend`` here, and ``_CheckedDecoder`` in ``page_decoder``.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Any

from tap_lev import timestamps
from tap_lev.api.json_values import whole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tap_lev.records.schema import JSONSchema

NUL = "\0"


class Kind(enum.Enum):
    """A kind of value that is mended: what Lev sends, and what the tap writes."""

    NUL = "a NUL character", "It is removed."
    NOT_FINITE = "NaN or an infinite number", "It is written as null."
    NO_INSTANT = "a text that is no date-time", "It is written as null."
    CARRIED = "24:00 or a leap second", "It is written as the next instant."
    WHOLE = "an integer with a decimal point", "It is written as an integer."


class Mended(dict[str, Any]):
    """A row in which values were mended.

    Attributes:
        mends: The column and the kind of each value that was mended.
    """

    mends: list[tuple[str, Kind]]


class Mender:
    """Mends the values of a stream's rows.

    Args:
        properties: The columns' JSON schemas, by name.
        embeds: Fields that hold the rows of other streams, which mend them.
    """

    def __init__(self, properties: Mapping[str, JSONSchema], embeds: Collection[str] = ()) -> None:
        self._properties = properties
        self._embeds = frozenset(embeds) - properties.keys()
        self._suspects = {n: s for n, s in properties.items() if _is_suspect(s)}

    def mend(self, row: dict[str, Any], *, is_odd: bool) -> dict[str, Any]:
        """Mend a row, without changing the given one.

        Args:
            row: The row.
            is_odd: Whether any value may hold a NUL character, NaN or an infinite number. Otherwise
                only columns are checked whose schema restricts texts or numbers.

        Returns:
            The given row, or a ``Mended`` copy if something was mended.
        """
        mends: list[tuple[str, Kind]] = []
        changed: dict[str, Any] = {}
        for name in row if is_odd else self._suspects:
            value = row.get(name)
            if value is None or name in self._embeds:
                continue
            kinds: list[Kind] = []
            new = _mend_value(value, self._properties.get(name, {}), kinds, everywhere=is_odd)
            if kinds:
                changed[name] = new
                mends += [(name, kind) for kind in kinds]
        # 1. A name holds a NUL character: all fields are copied under their clean names.
        # 2. Only values were mended: they replace the given ones.
        # 3. Nothing was mended, as in nearly every row: it is passed on without a copy.
        if is_odd and any(NUL in name for name in row):
            mends += [(_without_nul(name), Kind.NUL) for name in row if NUL in name]
            row = _clean_names({**row, **changed})
        elif mends:
            row = {**row, **changed}
        if not mends:
            return row
        mended = Mended(row)
        mended.mends = mends
        return mended


def _is_suspect(schema: JSONSchema) -> bool:
    """Return whether the schema restricts texts or numbers, at any level."""
    if schema.get("format") == "date-time" or "integer" in schema.get("type", ()):
        return True
    inner = [*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])]
    return any(map(_is_suspect, inner))


def _mend_value(value: Any, schema: JSONSchema, kinds: list[Kind], *, everywhere: bool) -> Any:  # noqa: ANN401
    """Mend a value, at every level.

    Args:
        value: The value.
        schema: Its schema, empty if the value is not documented.
        kinds: The kind of each mended value is added to it.
        everywhere: Whether to check also values that the schema does not restrict.
    """
    match value:
        case str():
            return _mend_text(value, schema, kinds)
        case float():
            return _mend_number(value, schema, kinds)
        case list() if everywhere or "items" in schema:
            inner = schema.get("items", {})
            return [_mend_value(item, inner, kinds, everywhere=everywhere) for item in value]
        case dict() if everywhere:
            inner = schema.get("properties", {})
            if any(NUL in name for name in value):
                kinds += [Kind.NUL for name in value if NUL in name]
                value = _clean_names(value)
            return {
                n: _mend_value(v, inner.get(n, {}), kinds, everywhere=True)
                for n, v in value.items()
            }
        case dict():
            # Fields that the schema does not know cannot need mending, and are kept.
            fields = schema.get("properties", {})
            return value | {
                name: _mend_value(value[name], field, kinds, everywhere=False)
                for name, field in fields.items()
                if name in value
            }
    return value


def _mend_text(text: str, schema: JSONSchema, kinds: list[Kind]) -> str | None:
    if NUL in text:
        kinds.append(Kind.NUL)
        text = _without_nul(text)
    if schema.get("format") != "date-time":
        return text
    if timestamps.parse_row_time(text) is None:
        kinds.append(Kind.NO_INSTANT)
        return None
    if timestamps.is_carried(text):
        kinds.append(Kind.CARRIED)
        return timestamps.normalise(text)
    return text


def _mend_number(number: float, schema: JSONSchema, kinds: list[Kind]) -> float | None:
    if not math.isfinite(number):
        kinds.append(Kind.NOT_FINITE)
        return None
    # Targets with typed columns refuse 5.0 for an integer, though JSON does not tell them apart.
    types = schema.get("type", ())
    if "integer" in types and "number" not in types and type(whole(number)) is int:
        kinds.append(Kind.WHOLE)
        return int(number)
    return number


def _clean_names(row: dict[str, Any]) -> dict[str, Any]:
    """Remove NUL characters from the names of fields."""
    # A field that has the clean name already keeps its value.
    clean = {_without_nul(name): value for name, value in row.items() if NUL in name}
    return clean | {name: value for name, value in row.items() if NUL not in name}


def _without_nul(text: str) -> str:
    return text.replace(NUL, "")
