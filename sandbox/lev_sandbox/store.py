"""The tables of a sandbox, and the changes to their rows."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from lev_sandbox.clock import moment_text, parse_moment
from lev_sandbox.data.draw import Draw
from lev_sandbox.data.world import ACCOUNT_ID, World
from lev_sandbox.filters import Selections
from lev_sandbox.resources import RESOURCES, SIZES
from lev_sandbox.table import NO_MOMENT, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lev_sandbox.data.world import Resource, Row
    from lev_sandbox.switches import Switches


KEYED_OTHERWISE = frozenset({"account_team", "my_accounts"})
"""Resources whose key is a number other than the row's."""


class Store:
    """The tables of one seed and one set of sizes.

    Args:
        seed: Where the data comes from.
        sizes: Sizes that differ from the defaults.
        now: Returns the server's time in microseconds.
        switches: The switches.
        null_updated_every: Every so many rows have no `updated_at` (0: none).
        future_updated_every: Every so many rows are dated in the future (0: none).
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        seed: int,
        sizes: Mapping[str, float],
        now: Callable[[], int],
        switches: Switches,
        null_updated_every: int = 0,
        future_updated_every: int = 0,
    ) -> None:
        for name, size in sizes.items():
            if name not in SIZES:
                raise ValueError(f"There is no size {name!r}; there are: {', '.join(SIZES)}.")
            if type(size) not in {int, float} or size < 0:
                raise ValueError(f"The number of {name} cannot be {size!r}.")
        self.world = World(
            RESOURCES, seed, {**SIZES, **sizes}, null_updated_every, future_updated_every
        )
        self.selections = Selections()
        self._now = now
        self._switches = switches
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """Return the table of a resource."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = Table(resource_named(name), self.world)
        return table

    def number(self, name: str, key: object) -> int:
        """Return the number of the row with a key (a number, or the value of its key field).

        Raises:
            LookupError: There is no such row.
        """
        table, resource = self.table(name), resource_named(name)
        if type(key) is int and name not in KEYED_OTHERWISE:
            if table.exists(key):
                return key
        else:
            for number in range(1, table.last + 1):
                if table.exists(number) and table.row(number).get(resource.key or "") == key:
                    return number
        raise LookupError(f"There is no row {key!r} among {name}.")

    def visible(self, name: str, number: int) -> bool:
        """Return whether the caller may see a row: it and all rows above it are visible."""
        table = self.table(name)
        while table.exists(number) and number not in table.hidden:
            if table.resource.parent is None:
                return True
            number = table.parent(number)
            table = self.table(table.resource.parent)
        return False

    def add(self, name: str, parent: int | None, values: Mapping[str, Any]) -> Row:
        """Append a row; generate the fields that are not given."""
        table, resource = self.table(name), resource_named(name)
        if (parent is None) != (resource.parent is None):
            says = f"needs a {resource.parent_key}" if resource.parent else "has no parent"
            raise ValueError(f"A row of {name} {says}.")
        if resource.parent and not self.table(resource.parent).exists(parent or 0):
            raise LookupError(f"There is no row {parent!r} among {resource.parent}.")
        number, now = table.last + 1, self._now()
        row = self._template(resource, number, parent or 0)
        for field in ("created_at", "uploaded_at"):
            if field in row:
                row[field] = moment_text(now)
        changes = self._checked(resource, row, values)
        row.update(changes)
        table.add(row, self._moment(changes, now), parent)
        self._moved(table, table.last)
        return table.row(table.last)

    def update(self, name: str, key: object, values: Mapping[str, Any]) -> Row:
        """Change fields of a row, and set its `updated_at` to now unless it is given."""
        table, number = self.table(name), self.number(name, key)
        row = table.row(number)
        changes = self._checked(table.resource, row, values)
        row.update(changes)
        table.put(number, row, self._moment(changes, self._now()))
        self._moved(table, number)
        return table.row(number)

    def archive(self, name: str, key: object) -> Row:
        """Archive a deal or a placement as the API does."""
        table, number = self.table(name), self.number(name, key)
        row, now = table.row(number), self._now()
        if name == "deals":
            row.update(archived=True, archived_at=moment_text(now))
        elif name == "placements":
            row["status"] = "archived"
        else:
            raise ValueError(
                f"Rows of {name} cannot be archived, only those of deals and placements."
            )
        moves = self._switches["archive_moves_updated_at"]
        table.put(number, row, now if moves else table.moment(number))
        return table.row(number)

    def remove(self, name: str, key: object) -> None:
        """Delete a row."""
        table, number = self.table(name), self.number(name, key)
        table.remove(number)
        self._moved(table, number)

    def hide(self, name: str, key: object, *, hidden: bool) -> None:
        """Make a row invisible to the caller, or visible again."""
        self.table(name).hide(self.number(name, key), hidden=hidden)

    def touch(
        self, name: str, count: int | None, keys: Iterable[object] | None, seed: int
    ) -> list[Row]:
        """Change a text of `count` random rows, or of those with `keys`."""
        table = self.table(name)
        field = table.resource.touch
        if field is None:
            raise ValueError(f"Rows of {name} have no text to touch.")
        if keys is not None:
            numbers = [self.number(name, key) for key in keys]
        else:
            listed = table.listed()
            wanted = min(len(listed), 1 if count is None else count)
            numbers = sorted(random.Random(seed).sample(listed, wanted))  # noqa: S311 - reproducible
        rows = []
        for number in numbers:
            row = table.row(number)
            # The version makes every revision of a text another one.
            base = str(row.get(field) or field).partition(" · ")[0]
            row[field] = f"{base} · revision {table.version + 1}"
            table.put(number, row, self._moment({}, self._now()))
            self._moved(table, number)
            rows.append(table.row(number))
        return rows

    def _template(self, resource: Resource, number: int, parent: int) -> Row:
        """Return a new row, generated from the place of one that the world knows."""
        world, name = self.world, resource.name
        if resource.parent:
            place = world.span(name, parent).start
        else:
            place = 1 if resource.fixed else number
        row = resource.make(world, world.draw(name, number), place, parent)
        if resource.parent or resource.fixed:
            if name == "index_facts":
                row.update(id=f"d:{number}", sot_id=number)
            elif "id" in row:
                row["id"] = number
        if name in {"documents", "checklists"}:
            vaults = self.table("vaults").listed(parent)
            if not vaults:
                raise ValueError(f"Deal {parent} has no vault to put {name} in; add one first.")
            vault = self.table("vaults").row(vaults[-1])
            row["vault"] = {key: vault[key] for key in ("id", "type", "title")}
        if "owner_account_id" in row:
            row["owner_account_id"] = ACCOUNT_ID
        if name == "deals":
            row.update(archived=False, archived_at=None)
        if resource.key == "uuid":
            row["uuid"] = Draw(f"{world.seed}/{name}/added/{number}").uuid()
        return row

    @staticmethod
    def _checked(resource: Resource, row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
        changes = dict(values)
        for field in changes:
            if field not in row:
                raise ValueError(
                    f"A row of {resource.name} has no field {field!r}; it has: {', '.join(row)}."
                )
        if changes.get("id", row.get("id")) != row.get("id"):
            raise ValueError(f"The id of a row of {resource.name} cannot be chosen.")
        for field in (*resource.moments, "updated_at"):
            if changes.get(field) is not None:
                changes[field] = moment_text(parse_moment(changes[field]))
        if values.get("updated_at") is not None:
            changes["updated_at"] = values["updated_at"]
        return changes

    @staticmethod
    def _moment(changes: Mapping[str, Any], now: int) -> int:
        if "updated_at" not in changes:
            return now
        given = changes["updated_at"]
        return NO_MOMENT if given is None else parse_moment(given)

    def _moved(self, table: Table, number: int) -> None:
        """Move the `updated_at` of the changed row's parent, where the switch says so."""
        resource = table.resource
        if resource.parent is None or not self._switches["child_moves_parent"]:
            return
        parent, above = table.parent(number), self.table(resource.parent)
        if above.exists(parent) and above.resource.stamped:
            above.put(parent, above.row(parent), self._now())


def resource_named(name: str) -> Resource:
    """Return a resource.

    Raises:
        LookupError: There is none of that name.
    """
    if name not in RESOURCES:
        raise LookupError(f"There is no resource {name!r}; there are: {', '.join(RESOURCES)}.")
    return RESOURCES[name]
