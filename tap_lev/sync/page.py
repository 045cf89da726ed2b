"""Hold a page of a list, with its rows as dicts or as structs of their schemas.

The response decides the form, once. Most pages hold just what the schemas say: they are decoded
into structs, and written as a whole. Any other page has dicts, which are written row by row.
"""

from __future__ import annotations

import functools
import operator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import UNSET

from tap_lev import timestamps
from tap_lev.api.response import extract_rows
from tap_lev.api.row_counter import keys_of
from tap_lev.state.tracker import UPDATED_AT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_lev.api.pagination import Position
    from tap_lev.api.response import LevResponse
    from tap_lev.records.page_decoder import PageDecoder
    from tap_lev.streams.child import ChildStream
    from tap_lev.streams.lists import ListStream
    from tap_lev.sync.active_streams import ActiveStream

NEEDED_OF_PARENT = ("id", UPDATED_AT, "archived", "archived_at")
"""The fields of a row that the requests for its children need."""


class Page(Protocol):
    """A page of a list.

    Attributes:
        response: The response that brought it.
        position: The query parameters that lead to it, or None for rows outside a walk.
    """

    response: LevResponse
    position: Position | None

    @property
    def items(self) -> Sequence[Any]:
        """The items that Lev sent, as dicts or as structs."""

    @property
    def rows(self) -> Sequence[Any]:
        """The rows that have a key, as dicts or as structs."""

    def row_keys(self) -> list[Any]:
        """Return the keys of the rows, with a None for each row without one."""

    def set_field(self, row: Any, name: str, value: object) -> None:  # noqa: ANN401
        """Set a field of a row."""


class RowPage(Page):
    """A page whose rows are dicts.

    Args:
        list_stream: The list.
        response: The response that brought it.
        position: The query parameters that lead to it, or None for rows outside a walk.
        extra_columns: Columns that Lev's rows lack, with their values.
    """

    def __init__(
        self,
        list_stream: ListStream,
        response: LevResponse,
        position: Position | None,
        extra_columns: Mapping[str, Any],
    ) -> None:
        self.response = response
        self.position = position
        self._list_stream = list_stream
        self._extra_columns = extra_columns

    def check_form(self) -> None:
        """Make sure that the response holds a list of rows.

        Raises:
            InvalidResponseError: It does not.
        """
        extract_rows(self.response, single_row=self._list_stream.single_row)

    @property
    def items(self) -> Sequence[Any]:
        """The items that Lev sent."""
        # Before a list stream splits or changes them: an embed is a field of what Lev sent.
        return extract_rows(self.response)

    @functools.cached_property
    def _rows(self) -> list[dict[str, Any] | None]:
        return self._list_stream.rows(self.response, self._extra_columns)

    @functools.cached_property
    def rows(self) -> Sequence[dict[str, Any]]:
        """The rows that have a key."""
        return [row for row in self._rows if row is not None]

    def row_keys(self) -> list[Any]:
        """Return the keys of the rows, with a None for each row without one."""
        keyless = len(self._rows) - len(self.rows)
        return [*keys_of(self.rows, self._list_stream.primary_keys), *[None] * keyless]

    @property
    def ids_ascend(self) -> bool:
        """Whether the ids of the rows are integers that ascend."""
        # Only then a row's id says which rows came before it (W9). Lev promises no order.
        keys = [row["id"] for row in self.rows]
        return all(type(key) is int for key in keys) and all(a < b for a, b in pairwise(keys))

    def set_field(self, row: Any, name: str, value: object) -> None:  # noqa: ANN401
        """Set a field of a row."""
        row[name] = value

    def write(self, active: ActiveStream) -> int:
        """Write the list's own rows that belong to its walk.

        Returns:
            The number of rows that were not written before in this run.
        """
        # A row that had failed was requested by its id before the first page, and written then.
        rows = [row for row in self.rows if row.get("id") not in active.done_rows]
        for row in rows:
            if active.includes(row):
                active.stream.write(row, self.response)
        return len(rows)


class TypedPage(Page):
    """A page whose rows are structs, decoded in the types of the schemas.

    Args:
        response: The response that brought it.
        position: The query parameters that lead to it.
        decoder: The decoder that made the structs.
    """

    def __init__(
        self, response: LevResponse, position: Position | None, decoder: PageDecoder
    ) -> None:
        self.response = response
        self.position = position
        self._decoder = decoder

    @property
    def items(self) -> Sequence[Any]:
        """The rows."""
        rows: list[Any] = self.response.data
        return rows

    # The decoder accepts no row without a key, so each item is a row.
    rows = items

    def row_keys(self) -> list[Any]:
        """Return the keys of the rows in order."""
        return list(map(operator.attrgetter(*self._decoder.primary_keys), self.items))

    def set_field(self, row: Any, name: str, value: object) -> None:  # noqa: ANN401
        """Set a field of a row."""
        setattr(row, name, value)

    def included(self, active: ActiveStream) -> list[Any]:
        """Return the rows of the list that belong to a stream's walk."""
        # The bound is looked up once, and dates are compared only where there is one: this runs for
        # each row of the tap.
        walk = active.tracker.walk
        if walk is None or walk.since is None:
            return list(self.items)
        includes, parse = walk.includes, timestamps.parse_row_time
        return [row for row in self.items if includes(parse(getattr(row, UPDATED_AT, None)))]

    def children(self, child: ChildStream, parents: Sequence[Any]) -> list[Any]:
        """Return the rows of a child stream that are embedded in parents."""
        return self._decoder.child_rows(child, parents)

    def lacking(self, child: ChildStream, parents: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the rows that came without a child stream's embed, as dicts."""
        # What reads children elsewhere works on dicts, and needs but a few fields of the parent.
        return [_as_parent(row) for row in self._decoder.without_embed(child, parents)]

    def drop_embeds(self) -> None:
        """Remove the embeds from the rows; the list's own records have no such column."""
        self._decoder.drop_embeds(self.items)

    def write_rows(self, active: ActiveStream, rows: Sequence[Any]) -> None:
        """Write rows of the page as a whole."""
        active.stream.write_typed(rows, self._decoder)


def is_resumable(position: Position) -> bool:
    """Return whether a later run can resume at a position (W9)."""
    # An offset is no place to resume at: rows that come and go before it shift it.
    cursor = position.get("cursor")
    return not position or (isinstance(cursor, str) and bool(cursor))


def _as_parent(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a struct
    fields = {name: getattr(row, name, UNSET) for name in NEEDED_OF_PARENT}
    return {name: value for name, value in fields.items() if value is not UNSET}
