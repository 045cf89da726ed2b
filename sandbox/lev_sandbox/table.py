"""The rows of one resource: generated when first read, then kept as bytes."""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING

import orjson

from lev_sandbox.clock import MICROSECONDS, moment_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lev_sandbox.data.world import Resource, Row, World

NO_MOMENT = -1
"""The moment of a row whose `updated_at` is null."""


class Table:
    """Rows by number; numbers start at 1 and are never used twice.

    A row is kept as its JSON in a plain list, because serving those bytes is what the
    sandbox does most. Code that needs the fields decodes them.

    Attributes:
        resource: The resource of the rows.
        version: A number that changes whenever a row does.
        last: The highest number ever given.
        gone: Removed rows.
        hidden: Rows that are not visible to the caller: neither in lists nor by id.
        unlisted: Rows that are left out of lists only (unconnected contacts and companies).
        reduced: Reduced forms of rows, made on demand.
    """

    def __init__(self, resource: Resource, world: World) -> None:
        self.resource = resource
        self.version = 0
        self.last = world.size(resource.name)
        self.gone: set[int] = set()
        self.hidden: set[int] = set()
        self.unlisted: set[int] = set()
        self.reduced: dict[int, bytes] = {}
        self._world = world
        self._generated = self.last
        self._rows: list[bytes | None] = [None] * self.last
        self._moved: dict[int, int] = {}
        self._moments: array[int] | None = None
        self._parents: dict[int, int] = {}
        self._added: dict[int, list[int]] = {}
        self._listed: tuple[int, Sequence[int]] = (-1, ())
        self._away: tuple[int, set[int]] = (0, set())
        self._membership = 0

    def exists(self, number: int) -> bool:
        """Return whether there is such a row, visible or not."""
        return 0 < number <= self.last and number not in self.gone

    def encoded(self, number: int) -> bytes:
        """Return a row's JSON."""
        row = self._rows[number - 1]
        if row is None:
            name = self.resource.name
            parent = self._world.parent(name, number) if self.resource.parent else 0
            made = self.resource.make(self._world, self._world.draw(name, number), number, parent)
            row = self._rows[number - 1] = _packed(made)
        return row

    def row(self, number: int) -> Row:
        """Return a row."""
        row: Row = orjson.loads(self.encoded(number))
        return row

    def parent(self, number: int) -> int:
        """Return the number of the parent of a row."""
        return self._parents.get(number) or self._world.parent(self.resource.name, number)

    def listed(self, parent: int | None = None) -> Sequence[int]:
        """Return the numbers of the rows that lists show, ascending."""
        away = self._absent()
        if parent is not None:
            span = self._world.span(self.resource.name, parent)
            added = self._added.get(parent, ())
            if not away and not added:
                return span
            return [number for number in chain(span, added) if number not in away]
        if not away:
            return range(1, self.last + 1)
        if self._listed[0] != self._membership:
            live = array("q", (n for n in range(1, self.last + 1) if n not in away))
            self._listed = (self._membership, live)
        return self._listed[1]

    def _absent(self) -> set[int]:
        if self._away[0] != self._membership:
            self._away = (self._membership, self.gone | self.hidden | self.unlisted)
        return self._away[1]

    def moment(self, number: int) -> int:
        """Return a row's `updated_at` in microseconds, or NO_MOMENT."""
        moved = self._moved.get(number)
        return self._world.updated(self.resource.name, number) if moved is None else moved

    def moments(self) -> array[int]:
        """Return the `updated_at` of all rows, the first row's first."""
        if self._moments is None:
            self._moments = array("q", (self.moment(n) for n in range(1, self.last + 1)))
        return self._moments

    def add(self, row: Row, moment: int, parent: int | None) -> None:
        """Append a row; its number is the next."""
        self.last += 1
        self._rows.append(None)
        if self._moments is not None:
            self._moments.append(moment)
        if parent is not None:
            self._parents[self.last] = parent
            self._added.setdefault(parent, []).append(self.last)
        self._store(self.last, row, moment)
        self._membership += 1

    def put(self, number: int, row: Row, moment: int) -> None:
        """Replace a row."""
        if self._moments is not None:
            self._moments[number - 1] = moment
        self._store(number, row, moment)

    def remove(self, number: int) -> None:
        """Delete a row; its number stays unused."""
        self.gone.add(number)
        self._member_changed()

    def hide(self, number: int, *, hidden: bool) -> None:
        """Make a row invisible, or visible again."""
        (self.hidden.add if hidden else self.hidden.discard)(number)
        self._member_changed()

    def _store(self, number: int, row: Row, moment: int) -> None:
        if self.resource.stamped:
            row["updated_at"] = None if moment == NO_MOMENT else moment_text(moment)
        self._moved[number] = moment
        self._rows[number - 1] = _packed(row)
        self.reduced.pop(number, None)
        if (row.get("is_connected") is False) != (number in self.unlisted):
            self.unlisted ^= {number}
            self._membership += 1
        self.version += 1

    def _member_changed(self) -> None:
        self._membership += 1
        self.version += 1


def _packed(row: Row) -> bytes:
    # What orjson returns was cut from a far larger block; kept by the hundred
    # thousand, the offcuts would take ten times the memory of the rows.
    return bytes(memoryview(orjson.dumps(row)))


def whole_second(moment: int) -> int:
    """Return a moment without its fraction."""
    return moment - moment % MICROSECONDS
