"""What the sandbox knows about a resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from lev_sandbox.data.draw import Draw
    from lev_sandbox.data.world import World

Row: TypeAlias = dict[str, Any]
Maker: TypeAlias = "Callable[[World, Draw, int, int], Row]"
"""Makes a row from the world, a source of values, its number and its parent's number (0: none)."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One kind of row.

    Attributes:
        name: What tables, switches and the control API call it.
        make: Makes one row.
        size: Rows by default; for a child, the average number per parent.
        fixed: The number of rows when it is not a matter of size.
        key: The field that identifies a row, if the record has one.
        parent: The resource its rows belong to.
        parent_key: What the parent's number is called outside the record.
        least: The smallest number of children of one parent.
        count: The number of children of one parent, when an average does not tell.
        stamped: Whether the record has `updated_at`.
        moments: Its date-time fields other than `updated_at`.
        inner: Fields of the table that the API never says (they place a row in a tree).
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
