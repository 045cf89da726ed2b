"""The lists of Lev: streams that are walked from their first page to their last."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_lev.stream import LevStream
from tap_lev.walking import UPDATED_AT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_lev.answer import Answer


class ListStream(LevStream):
    """A list of Lev that is walked from its first page to its last."""

    path: ClassVar[str]
    detail: ClassVar[str | None] = None
    """Route template of the read of a single row."""
    paged: ClassVar[bool]
    """Whether the list takes ``limit`` and ``cursor``."""

    @property
    @override
    def source(self) -> ListStream:
        return self

    def write_page(self, rows: Iterable[dict[str, Any]], answer: Answer) -> None:
        """Write the rows of a page that belong to the walk."""
        for row in rows:
            if self.walking.holds(row):
                self.write(row, answer)

    @functools.cached_property
    def embedded_blocks(self) -> set[str]:
        """The blocks that have come with rows in this run."""
        return set()

    @functools.cached_property
    def blocks(self) -> set[str]:
        """The fields that come with a row only because ``include=`` asks for them."""
        streams = self._tap.lev_streams
        return {*self.includes, *(s.block for s in streams if s.block and s.source is self)}


class IncrementalStream(ListStream):
    """A list whose rows say when they changed."""

    replication_key = UPDATED_AT
    paged = True


class FullTableStream(ListStream):
    """A short list that is read as a whole each time."""

    paged = False
