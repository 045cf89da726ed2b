"""Values of Lev that stop a target: what each kind becomes.

A target that meets such a value ends, and so does each later run: the row comes again. So the value
is mended before it is written. Rows that need it are told from others by cheap signs: see
``Mender.row`` here, and ``_CheckedDecoder`` in ``page``.
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
    """A kind of value that is mended: what comes, and what becomes of it."""

    NUL = "a NUL character", "It is removed."
    NOT_FINITE = "NaN or an infinite number", "It is written as null."
    NO_INSTANT = "a text that is no date-time", "It is written as null."
    CARRIED = "24:00 or a leap second", "It is written as the next instant."
    WHOLE = "an integer with a decimal point", "It is written as an integer."


class Mended(dict[str, Any]):
    """A row in which values were mended.

    Attributes:
        mends: The columns, and of which kind the value was.
    """

    mends: list[tuple[str, Kind]]


class Mender:
    """Mends the values of a stream's rows.

    Args:
        properties: The columns' JSON schemas, by name.
        blocks: Fields that hold the rows of other streams, which mend them.
    """

    def __init__(self, properties: Mapping[str, JSONSchema], blocks: Collection[str] = ()) -> None:
        self._properties = properties
        self._blocks = frozenset(blocks) - properties.keys()
        self._suspects = {n: s for n, s in properties.items() if _is_suspect(s)}

    def row(self, row: dict[str, Any], *, is_odd: bool) -> dict[str, Any]:
        """Mend a row. It is not changed itself.

        Args:
            row: The row.
            is_odd: Whether it may hold what JSON or a text should not, in any place. Else only
                columns are looked at whose schema says what a text or a number has to be.

        Returns:
            The row; a ``Mended`` one if there was something to mend.
        """
        mends: list[tuple[str, Kind]] = []
        changed: dict[str, Any] = {}
        for name in row if is_odd else self._suspects:
            value = row.get(name)
            if value is None or name in self._blocks:
                continue
            kinds: list[Kind] = []
            new = _mended(value, self._properties.get(name, {}), kinds, everywhere=is_odd)
            if kinds:
                changed[name] = new
                mends += [(name, kind) for kind in kinds]
        if is_odd and any(NUL in name for name in row):
            mends += [(_without_nul(name), Kind.NUL) for name in row if NUL in name]
            row = _renamed({**row, **changed})
        elif mends:
            row = {**row, **changed}
        if not mends:
            return row
        mended = Mended(row)
        mended.mends = mends
        return mended


def _is_suspect(schema: JSONSchema) -> bool:
    """Say whether the schema says more of a value than JSON does."""
    if schema.get("format") == "date-time" or "integer" in schema.get("type", ()):
        return True
    inner = [*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])]
    return any(map(_is_suspect, inner))


def _mended(value: Any, schema: JSONSchema, kinds: list[Kind], *, everywhere: bool) -> Any:  # noqa: ANN401
    """Mend a value, at every level.

    Args:
        value: The value.
        schema: Its schema; an empty one where nothing is known of it.
        kinds: What was mended is added.
        everywhere: Whether to look also where the schema says nothing.
    """
    match value:
        case str():
            return _text(value, schema, kinds)
        case float():
            return _number(value, schema, kinds)
        case list() if everywhere or "items" in schema:
            inner = schema.get("items", {})
            return [_mended(item, inner, kinds, everywhere=everywhere) for item in value]
        case dict() if everywhere:
            inner = schema.get("properties", {})
            if any(NUL in name for name in value):
                kinds += [Kind.NUL for name in value if NUL in name]
                value = _renamed(value)
            return {
                n: _mended(v, inner.get(n, {}), kinds, everywhere=True) for n, v in value.items()
            }
        case dict():
            fields = schema.get("properties", {})
            return value | {
                name: _mended(value[name], field, kinds, everywhere=False)
                for name, field in fields.items()
                if name in value
            }
    return value


def _text(text: str, schema: JSONSchema, kinds: list[Kind]) -> str | None:
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


def _number(number: float, schema: JSONSchema, kinds: list[Kind]) -> float | None:
    if not math.isfinite(number):
        kinds.append(Kind.NOT_FINITE)
        return None
    types = schema.get("type", ())
    if "integer" in types and "number" not in types and type(whole(number)) is int:
        kinds.append(Kind.WHOLE)
        return int(number)
    return number


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    """Remove NUL characters from names. A field that has the name already keeps its value."""
    clean = {_without_nul(name): value for name, value in row.items() if NUL in name}
    return clean | {name: value for name, value in row.items() if NUL not in name}


def _without_nul(text: str) -> str:
    return text.replace(NUL, "")
