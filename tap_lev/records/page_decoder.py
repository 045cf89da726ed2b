"""Decode pages straight into structs that are made from the schemas.

Most pages hold just what the schemas say. msgspec decodes such a page into structs faster than into
dicts, and one call writes all of its records. The decoder refuses any other page. The caller then
reads that page row by row, where ``RecordMapper`` finds, reports and drops fields of rows that are
unknown. Unknown fields within an object leave with it: only the way of the page is slower.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from tap_lev import timestamps
from tap_lev.api.json_values import may_hold_nul
from tap_lev.api.response import Envelope
from tap_lev.records.mapper import drop_secrets
from tap_lev.records.schema import UNKNOWN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tap_lev.records.schema import JSONSchema
    from tap_lev.records.spec import ChildSpec, ListSpec

_SCALARS: dict[str, Any] = {
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": int | float,
    "string": str,
}


class PageDecoder:
    """Decodes the pages of one list, with the rows that are embedded in its rows.

    Args:
        source: The list.
        children: The streams whose rows its rows embed.

    Attributes:
        embed_fields: The fields that hold the rows of the children.
        decoder: Decodes the body of a page.
    """

    def __init__(self, source: ListSpec, children: Sequence[ChildSpec]) -> None:
        self.primary_keys = source.primary_keys
        """The columns that identify a row of the list."""
        self.embed_fields = {child.embed for child in children}
        self._foreign = set(source.embed_fields) - set(source.includes)
        # Embeds that no stream reads may come as well. As Raw they are not decoded.
        embeds: dict[str, Any] = dict.fromkeys(self._foreign, msgspec.Raw)
        self._row_decoders = {source.name: RowDecoder(source.schema, source.primary_keys)}
        for child in children:
            # An embedded row may lack its parent's id: child_rows() adds it.
            keys = [key for key in child.primary_keys if key != child.parent_key]
            self._row_decoders[child.name] = row_decoder = RowDecoder(child.schema, keys)
            embeds[child.embed or ""] = list[row_decoder.row_type(child.name)] | None  # type: ignore[misc]
        row = self._row_decoders[source.name].row_type(source.name, embeds)
        decoder: msgspec.json.Decoder[Envelope] = msgspec.json.Decoder(
            msgspec.defstruct("Page", [("data", list[row])], bases=(Envelope,), kw_only=True)  # type: ignore[valid-type]
        )
        with_instants: dict[Callable[[Any], Any], RowDecoder] = {
            operator.attrgetter(child.embed or ""): self._row_decoders[child.name]
            for child in children
            if self._row_decoders[child.name].instants
        }
        self.decoder = _CheckedDecoder(decoder, self._row_decoders[source.name], with_instants)

    def child_rows(self, child: ChildSpec, parents: Iterable[Any]) -> list[Any]:
        """Return a child's rows that are embedded in rows of the list, with their parent's id."""
        embed, key = operator.attrgetter(child.embed or ""), child.parent_key
        rows = []
        for parent in parents:
            for row in embed(parent) or ():
                if getattr(row, key) is UNSET:
                    setattr(row, key, parent.id)
                rows.append(row)
        return rows

    @staticmethod
    def without_embed(child: ChildSpec, parents: Iterable[Any]) -> list[Any]:
        """Return the rows of the list that came without the child's embed, not even null."""
        embed = operator.attrgetter(child.embed or "")
        return [parent for parent in parents if embed(parent) is UNSET]

    def drop_embeds(self, rows: Iterable[Any]) -> None:
        """Remove what other streams read from rows of the list."""
        for row in rows:
            for embed in self._foreign:
                setattr(row, embed, UNSET)

    def normalize(self, stream: str, rows: Sequence[Any]) -> None:
        """Remove secrets and signed links from rows of a stream."""
        self._row_decoders[stream].normalize(rows)


class _CheckedDecoder:
    """Decodes pages, and refuses those with a value that would stop a target.

    Args:
        decoder: Decodes a page by its types alone.
        row_decoder: Converts the rows of the list.
        children: Converts embedded rows that have instants, by the getter of these rows.
    """

    def __init__(
        self,
        decoder: msgspec.json.Decoder[Envelope],
        row_decoder: RowDecoder,
        children: Mapping[Callable[[Any], Any], RowDecoder],
    ) -> None:
        self._decoder = decoder
        self._row_decoder = row_decoder
        self._children = children

    def decode(self, body: bytes, /) -> Envelope:
        """Decode a page, and convert its instants to UTC.

        Raises:
            msgspec.DecodeError: The page is not as the schemas say, or a value has to be mended.
        """
        if may_hold_nul(body):
            raise msgspec.ValidationError("There may be a NUL character in it.")
        page = self._decoder.decode(body)
        self._row_decoder.convert_instants(page.data)
        for embed, row_decoder in self._children.items():
            row_decoder.convert_instants(
                [row for parent in page.data for row in embed(parent) or ()]
            )
        return page


class RowDecoder:
    """Builds the struct of one stream's rows, and converts decoded rows.

    Args:
        schema: The stream's schema.
        keys: The columns that each row must have.

    Attributes:
        instants: The columns that hold a date-time.
    """

    def __init__(self, schema: JSONSchema, keys: Sequence[str]) -> None:
        self._columns = {n: s for n, s in schema["properties"].items() if n != UNKNOWN_FIELDS}
        self._keys = keys
        self.instants = [n for n, s in self._columns.items() if s.get("format") == "date-time"]
        self._open = [n for n, s in self._columns.items() if _is_open(s)]

    def row_type(self, name: str, more: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Build the class of a row.

        Args:
            name: The name of the class.
            more: The types of fields that are no columns.
        """
        fields: list[Any] = [
            (column, _type(schema)) if column in self._keys else _field(column, _type(schema))
            for column, schema in self._columns.items()
        ]
        fields += [_field(*field) for field in (more or {}).items()]
        return _struct(name, fields)

    def convert_instants(self, rows: Sequence[Any]) -> None:
        """Rewrite the instants of rows in UTC.

        Raises:
            msgspec.ValidationError: A text is no date-time, or has to be mended.
        """
        for column in self.instants:
            texts = list(map(operator.attrgetter(column), rows))
            # Nearly always the whole column is in UTC already: one check takes all its texts.
            if timestamps.are_usual([text for text in texts if type(text) is str]):
                continue
            for row, text in zip(rows, texts, strict=True):
                if type(text) is not str:
                    continue
                # 24:00 and leap seconds are refused: the Mender converts them, and reports it.
                instant = None if timestamps.is_carried(text) else timestamps.normalise(text)
                if instant is None:
                    raise msgspec.ValidationError(f"{column} holds a text that has to be mended.")
                setattr(row, column, instant)

    def normalize(self, rows: Sequence[Any]) -> None:
        """Remove secrets and signed links from the columns that may hold any field."""
        for column in self._open:
            for row in rows:
                setattr(row, column, drop_secrets(getattr(row, column)))


def _struct(name: str, fields: Sequence[Any]) -> Any:  # noqa: ANN401 - a class made here
    # Without gc a struct saves time and memory. JSON holds no cycles that it would have to find.
    return msgspec.defstruct(name, fields, forbid_unknown_fields=True, kw_only=True, gc=False)


def _field(name: str, kind: Any) -> tuple[str, Any, Any]:  # noqa: ANN401 - a type
    """Build a field that may be missing. msgspec does not write one that is UNSET."""
    return name, kind | UnsetType, UNSET


def _type(schema: JSONSchema) -> Any:  # noqa: ANN401 - a type
    """Return the type of a column's values. A number stays an integer or a float."""
    kinds = [_SCALARS.get(kind) or _nested(kind, schema) for kind in schema.get("type", ())]
    return functools.reduce(operator.or_, kinds) if kinds else Any


def _nested(kind: str, schema: JSONSchema) -> Any:  # noqa: ANN401 - a type
    if kind == "array":
        return list[_type(schema["items"])]  # type: ignore[misc]
    if _is_open(schema):
        return dict[str, Any]
    fields = [_field(name, _type(field)) for name, field in schema["properties"].items()]
    return _struct("Object", fields)


def _is_open(schema: JSONSchema) -> bool:
    """Return whether a column may hold fields that its schema does not name."""
    if "items" in schema:
        return _is_open(schema["items"])
    if not schema or schema.get("additionalProperties"):
        return True
    return any(map(_is_open, schema.get("properties", {}).values()))
