"""Remember what a run learns about the fields that ``include=`` embeds in rows.

A row may come without such a field. Either this server leaves empty ones out, or the response is
incomplete; nothing documents which (lev-api.md §1.7). So the first rows without the field are read
at the field's own endpoint, or by id. If they have nothing there, the server omits what is empty.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_lev.errors import LevError

CHECKED_ROWS = 5
"""How many rows without the field are read elsewhere before the server counts as omitting it."""

MAX_REPEATS = 2
"""How many pages without the field are requested again in vain, until one has it."""


@dataclasses.dataclass(slots=True)
class Embed:
    """What is known about one embedded field of a list.

    Attributes:
        seen: Whether it has come with a row.
        seen_empty: Whether it has come empty, so that the server does not omit empty ones.
        missing: Rows that came without it and were read elsewhere.
        found: Whether one of these rows had something there.
        repeats: Pages requested again in vain since it last came.
        unread: Why it cannot be read although its endpoint shows content, or None.
        unread_rows: Rows that came without it in the page and by id.
        gone_rows: Rows that came without it and no longer exist by id.
    """

    seen: bool = False
    seen_empty: bool = False
    missing: int = 0
    found: bool = False
    repeats: int = 0
    unread: LevError | None = None
    unread_rows: int = 0
    gone_rows: int = 0

    @property
    def is_omitted_when_empty(self) -> bool:
        """Whether a row without the field counts as a row that has nothing in it."""
        return self.missing >= CHECKED_ROWS and not self.found and not self.seen_empty

    def come(self) -> None:
        """Record that it came with a row."""
        self.seen, self.repeats = True, 0

    def count_repeat(self) -> None:
        """Record that a page was requested again in vain."""
        self.repeats += 1

    def check(self, *, found: bool) -> None:
        """Record what a row without it has elsewhere."""
        self.missing += 1
        self.found = self.found or found
