"""Tally: how many rows of a list have come, and how many Lev says there are."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_lev.answer import Answer

MAX_TOTAL = 10**15
"""More rows than any account has. A larger count is none, and would be too large for a float."""


@dataclasses.dataclass(slots=True)
class Tally:
    """Counts the rows of one walk.

    Attributes:
        seen: Rows that came, with those of earlier runs. None: not known.
        on_page: Rows of the last page.
        total: What Lev counts, by the last page that says so. None: not known.
        least: The least that it counted. Rows that came or went meanwhile are not in it.
    """

    seen: int | None = 0
    on_page: int = 0
    total: int | None = None
    least: int | None = None

    def begin(self, seen: int | None) -> None:
        """Begin to count, after the rows of earlier runs."""
        self.seen, self.on_page, self.total, self.least = seen, 0, None, None

    def add(self, answer: Answer, rows: int) -> None:
        """Count a page."""
        self.on_page = rows
        if self.seen is not None:
            self.seen += rows
        total = (answer.pagination or {}).get("total")
        if isinstance(total, int) and abs(total) <= MAX_TOTAL:
            self.total = total
            self.least = total if self.least is None else min(self.least, total)

    @property
    def before_page(self) -> int | None:
        """Rows that came before the last page."""
        return None if self.seen is None else self.seen - self.on_page

    @property
    def left(self) -> int:
        """How many rows the later pages bring, as far as it is known."""
        return max(0, (self.total or 0) - (self.seen or 0))

    @property
    def pages_left(self) -> float:
        """How many pages these are, if they are as long as the last."""
        return self.left / max(1, self.on_page)

    @property
    def missing(self) -> int:
        """How many rows Lev counted all the time that did not come, as far as it is known."""
        if self.least is None or self.seen is None:
            return 0
        return max(0, self.least - self.seen)
