"""Pages in the types of their schema: decoded, looked through and written as a whole.

Most pages hold just what the schemas say. Such a page is decoded straight into classes that are
made of the schemas, which takes less than decoding it into dicts, and is written by one call. Any
other page is refused by the decoder. It is then read row by row, where what is new is found, told
and left out: see ``records``.
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
    """What the pages of a list are decoded into, and what is changed in them before they go out.

    Args:
        source: The list.
        children: The streams whose rows stand in its rows.
    """

    def __init__(self, source: ListSpec, children: Sequence[ChildSpec]) -> None:
        self.embed_fields = {child.embed for child in children}
        """The fields that hold the rows of the children."""
        self._foreign = set(source.embed_fields) - set(source.includes)
        embeds: dict[str, Any] = dict.fromkeys(self._foreign, msgspec.Raw)
        self._row_decoders = {source.name: RowDecoder(source.schema, source.primary_keys)}
        for child in children:
            own = [key for key in child.primary_keys if key != child.parent_key]
            self._row_decoders[child.name] = row_decoder = RowDecoder(child.schema, own)
            embeds[child.embed or ""] = list[row_decoder.row_type(child.name)] | None  # type: ignore[misc]
        row = self._row_decoders[source.name].row_type(source.name, embeds)
        decoder: msgspec.json.Decoder[Envelope] = msgspec.json.Decoder(
            msgspec.defstruct("Page", [("data", list[row])], bases=(Envelope,), kw_only=True)  # type: ignore[valid-type]
        )
        dated: dict[Callable[[Any], Any], RowDecoder] = {
            operator.attrgetter(child.embed or ""): self._row_decoders[child.name]
            for child in children
            if self._row_decoders[child.name].instants
        }
        self.decoder = _CheckedDecoder(decoder, self._row_decoders[source.name], dated)

    def child_rows(self, child: ChildSpec, parents: Iterable[Any]) -> list[Any]:
        """Take a stream's rows out of those that they stand in."""
        embed, key = operator.attrgetter(child.embed or ""), child.parent_key
        found = []
        for parent in parents:
            for row in embed(parent) or ():
                if getattr(row, key) is UNSET:
                    setattr(row, key, parent.id)
                found.append(row)
        return found

    @staticmethod
    def without_embed(child: ChildSpec, parents: Iterable[Any]) -> list[Any]:
        """Return the rows that came without the field that embeds a stream's rows."""
        embed = operator.attrgetter(child.embed or "")
        return [parent for parent in parents if embed(parent) is UNSET]

    def drop_embeds(self, rows: Iterable[Any]) -> None:
        """Take the rows of other streams out of rows."""
        for row in rows:
            for embed in self._foreign:
                setattr(row, embed, UNSET)

    def normalize(self, stream: str, rows: Sequence[Any]) -> None:
        """Leave secrets and signed links out of rows."""
        self._row_decoders[stream].normalize(rows)


class _CheckedDecoder:
    """Decodes pages whose values a target takes. It refuses others, as those of another form.

    Args:
        decoder: Decodes any page of the form.
        row_decoder: That of the rows.
        children: Those of embedded rows that have instants, by what finds these rows.
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
        """Decode a page. Its instants are written in UTC.

        Raises:
            msgspec.DecodeError: It is of another form, or a value has to be mended.
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
    """What the rows of a stream are decoded into.

    Args:
        schema: The stream's schema.
        keys: The columns that each row must have.
    """

    def __init__(self, schema: JSONSchema, keys: Sequence[str]) -> None:
        self._columns = {n: s for n, s in schema["properties"].items() if n != UNKNOWN_FIELDS}
        self._keys = keys
        self.instants = [n for n, s in self._columns.items() if s.get("format") == "date-time"]
        self._open = [n for n, s in self._columns.items() if _is_open(s)]

    def row_type(self, name: str, more: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Make the class of a row.

        Args:
            name: Its name.
            more: The types of fields that are no columns.
        """
        fields: list[Any] = [
            (column, _type(schema)) if column in self._keys else _field(column, _type(schema))
            for column, schema in self._columns.items()
        ]
        fields += [_field(*field) for field in (more or {}).items()]
        return _struct(name, fields)

    def convert_instants(self, rows: Sequence[Any]) -> None:
        """Write the instants of rows in UTC.

        Raises:
            msgspec.ValidationError: A text is none, or one that has to be mended.
        """
        for column in self.instants:
            texts = list(map(operator.attrgetter(column), rows))
            if timestamps.are_usual([text for text in texts if type(text) is str]):
                continue
            for row, text in zip(rows, texts, strict=True):
                if type(text) is not str:
                    continue
                settled = None if timestamps.is_carried(text) else timestamps.normalise(text)
                if settled is None:
                    raise msgspec.ValidationError(f"{column} holds a text that has to be mended.")
                setattr(row, column, settled)

    def normalize(self, rows: Sequence[Any]) -> None:
        """Leave out what must not go out."""
        for column in self._open:
            for row in rows:
                setattr(row, column, drop_secrets(getattr(row, column)))


def _struct(name: str, fields: Sequence[Any]) -> Any:  # noqa: ANN401 - a class made here
    return msgspec.defstruct(name, fields, forbid_unknown_fields=True, kw_only=True, gc=False)


def _field(name: str, kind: Any) -> tuple[str, Any, Any]:  # noqa: ANN401 - a type
    """Make a field that may be missing, and then is not written either."""
    return name, kind | UnsetType, UNSET


def _type(schema: JSONSchema) -> Any:  # noqa: ANN401 - a type
    """Find the type of a column's values. Numbers are kept as whole or broken as they come."""
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
    """Say whether a column may hold what no schema names."""
    if "items" in schema:
        return _is_open(schema["items"])
    if not schema or schema.get("additionalProperties"):
        return True
    return any(map(_is_open, schema.get("properties", {}).values()))
