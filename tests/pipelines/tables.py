"""Tables by their keys, in JSON's types: what Lev says, and what landed."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import TYPE_CHECKING, Any

import psycopg.rows
from psycopg import sql

from tap_lev import timestamps
from tap_lev.streams import STREAMS
from tap_lev.streams.lists import IncrementalStream
from tests.support.expected_rows import key_of, truth

if TYPE_CHECKING:
    from devtools.postgres import Database
    from lev_sandbox import SandboxServer

SCHEMA = "lev_sandbox"
DEFAULT = [stream.name for stream in STREAMS if stream.selected_by_default]
CORE = [s.name for s in STREAMS if issubclass(s, IncrementalStream) and s.selected_by_default]
SCHEMAS = {stream.name: stream.schema["properties"] for stream in STREAMS}
SMALL: dict[str, Any] = {
    "deals": 12, "placements": 15, "contacts": 20, "companies": 8, "lenders": 6,
}  # fmt: skip
UNPACED = {"requests_per_minute": 1_000_000, "requests_per_minute_per_endpoint": 1_000_000}
"""Settings for a sandbox without limits, whose account is of a tier that has some."""

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]


def in_lev(lev: SandboxServer, stream: str) -> Table:
    """The rows of a stream as Lev says them, by key; what it does not say is null."""
    return by_key(stream, [whole(stream, row) for row in truth(lev, stream)])


def in_postgres(database: Database, stream: str, schema: str = SCHEMA) -> Table:
    """The rows of a stream in PostgreSQL, by key, in JSON's types."""
    query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, stream))
    with database.connect(row_factory=psycopg.rows.dict_row) as connection:
        return by_key(stream, [_plain(row) for row in connection.execute(query).fetchall()])


def by_key(stream: str, rows: list[Row]) -> Table:
    """Find rows by their key."""
    found = {key_of(stream, row): row for row in rows}
    assert len(found) == len(rows), f"{stream} has a key twice"
    return found


def whole(stream: str, row: Row) -> Row:
    """A row with all its columns, null where it says nothing, without the time of the run."""
    row = dict.fromkeys(SCHEMAS[stream]) | row
    row.pop("as_of", None)
    return row


def _plain(row: Row) -> Row:
    def plain(value: object) -> object:
        match value:
            case dt.datetime():
                return timestamps.render(value.replace(tzinfo=value.tzinfo or dt.UTC))
            case decimal.Decimal():
                return float(value)
        return value

    return {n: plain(v) for n, v in row.items() if not n.startswith("_sdc_") and n != "as_of"}
