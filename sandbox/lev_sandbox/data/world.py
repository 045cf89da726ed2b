"""Resources, and the world that a seed and some sizes make of them.

The two know each other: a resource makes its rows from the world, which is made of resources.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

from lev_sandbox.data.draw import FIRST_SECOND, LAST_SECOND, Draw, mix, salt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Row: TypeAlias = dict[str, Any]
Maker: TypeAlias = "Callable[[World, Draw, int, int], Row]"
"""Makes a row of the world, a source of values, its number and its parent's (0: none)."""

ACCOUNT_ID = 56
"""The account that the key belongs to."""
MICROSECONDS = 1_000_000
_FUTURE_SECONDS = 400 * 86_400


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One kind of row.

    Attributes:
        name: Its name in tables, switches and the control API.
        make: Makes one row.
        size: Rows by default; for a child, the average number per parent.
        fixed: The number of rows when it is not a matter of size.
        key: The field that identifies a row, if the record has one.
        parent: The resource its rows belong to.
        parent_key: The name of the parent's number outside the record.
        least: The smallest number of children of one parent.
        count: Returns the number of children of one parent; by default it is random.
        stamped: Whether the record has `updated_at`.
        moments: Its date-time fields other than `updated_at`.
        inner: Fields of the table that place a row in a tree; no response has them.
        detail_only: Fields that a list leaves out.
        touch: The text field that a bulk touch changes.
        legacy: Values that older servers know, by field.
    """

    name: str
    make: Maker
    size: float = 0
    fixed: int = 0
    key: str | None = "id"
    parent: str | None = None
    parent_key: str = ""
    least: int = 0
    count: Callable[[World, int], int] | None = None
    stamped: bool = False
    moments: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    detail_only: tuple[str, ...] = ()
    touch: str | None = None
    legacy: tuple[tuple[str, str], ...] = ()


class World:
    """The generated data, computed rather than kept.

    Row `number` of a resource depends on the seed, the resource's name and the
    number alone. Two things depend on the size of another resource: how many
    children there are (so many per parent), and which row a reference points to
    (it always points to one that is there).
    """

    def __init__(
        self,
        resources: Mapping[str, Resource],
        seed: int,
        sizes: Mapping[str, float],
        null_updated_every: int = 0,
        future_updated_every: int = 0,
    ) -> None:
        self.resources = resources
        self.seed = seed
        self.sizes = sizes
        self.null_updated_every = null_updated_every
        self.future_updated_every = future_updated_every
        self._salts: dict[str, int] = {}
        self._starts: dict[str, array[int]] = {}

    def salt(self, key: str) -> int:
        """Return the seed's number for `key`."""
        found = self._salts.get(key)
        if found is None:
            found = self._salts[key] = salt(f"{self.seed}/{key}")
        return found

    def draw(self, name: str, number: int) -> Draw:
        """Return the source of the values of one row."""
        return Draw(f"{self.seed}/{name}/{number}")

    def moments(self, name: str, number: int) -> tuple[int, int]:
        """Return when a row was created (seconds) and updated (microseconds)."""
        first = mix(number, self.salt(name))
        created = FIRST_SECOND + first % (LAST_SECOND - FIRST_SECOND)
        age = (first >> 33) % (LAST_SECOND - created)
        return created, (created + age) * MICROSECONDS + (first & 0xFFFFF) % MICROSECONDS

    def updated(self, name: str, number: int) -> int:
        """Return `updated_at` in microseconds, or -1 for a row that has none."""
        if self.null_updated_every and number % self.null_updated_every == 0:
            return -1
        moment = self.moments(name, number)[1]
        if (
            self.future_updated_every
            and number % self.future_updated_every == 1 % self.future_updated_every
        ):
            # Far enough ahead for whatever clock the server is given.
            return moment + (2**31 - LAST_SECOND + _FUTURE_SECONDS) * MICROSECONDS
        return moment

    def size(self, name: str) -> int:
        """Return how many rows of a resource are generated."""
        resource = self.resources[name]
        if resource.parent is None:
            return resource.fixed or int(self.sizes[name])
        return self._prefix(name)[-1]

    def span(self, name: str, parent: int) -> range:
        """Return the numbers of the generated children of `parent`."""
        starts = self._prefix(name)
        if not 0 < parent < len(starts):
            return range(0)
        return range(starts[parent - 1] + 1, starts[parent] + 1)

    def parent(self, name: str, number: int) -> int:
        """Return the parent of a generated row."""
        return bisect_right(self._prefix(name), number - 1)

    def reference(self, name: str, number: int) -> int | None:
        """Return the number of an existing row of `name`, if there is any."""
        size = self.size(name)
        return number % size + 1 if size else None

    def _prefix(self, name: str) -> array[int]:
        found = self._starts.get(name)
        if found is None:
            resource = self.resources[name]
            assert resource.parent is not None  # noqa: S101 - roots have no prefix
            parents = range(1, self.size(resource.parent) + 1)
            if resource.count is not None:
                counts = (resource.count(self, parent) for parent in parents)
            else:
                width, salted = self.sizes[name], self.salt(f"{name}/count")
                counts = (
                    max(resource.least, int(2 * width * (mix(parent, salted) / 2**64) + 0.5))
                    for parent in parents
                )
            found = self._starts[name] = array("q", accumulate(counts, initial=0))
        return found
