"""Declare lists of Lev, which are read from their first page to their last."""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_lev.api.embeds import Embed
from tap_lev.api.response import extract_rows
from tap_lev.errors import InvalidResponseError
from tap_lev.state.tracker import UPDATED_AT
from tap_lev.streams.base import LevStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_lev.api.response import LevResponse


class ListStream(LevStream):
    """A list of Lev that is read from its first page to its last."""

    path: ClassVar[str]
    detail_path: ClassVar[str | None] = None
    """Route template of the read of a single row."""
    paged: ClassVar[bool]
    """Whether the list accepts ``limit`` and ``cursor``."""
    child_embeds: ClassVar[Sequence[str]] = ()
    """Fields that hold the rows of child streams, when the request includes them."""

    @classmethod
    @override
    def list_type(cls) -> type[LevStream]:
        return cls

    @property
    @override
    def embed_fields(self) -> set[str]:
        return {*self.includes, *self.child_embeds}

    @functools.cached_property
    def embeds(self) -> defaultdict[str, Embed]:
        """What this run knows of the embeds, by field."""
        # Of the list, not of a pass: a stream that failed earlier is read in another pass, and both
        # share what they find out.
        return defaultdict(Embed)

    def rows(
        self, response: LevResponse, extra_columns: Mapping[str, Any]
    ) -> list[dict[str, Any] | None]:
        """Return the rows of a response, with a None for each without its key.

        Args:
            response: The response.
            extra_columns: Columns that Lev's rows lack, with their values.

        Raises:
            InvalidResponseError: There are no rows where some should be.
        """
        return [
            self._row(row, response, extra_columns)
            for item in extract_rows(response, single_row=self.single_row)
            for row in self.split(item)
        ]

    def _row(
        self, row: dict[str, Any], response: LevResponse, extra_columns: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        try:
            row = self.transform(row, response)
            if extra_columns:
                row = {**row, **extra_columns}
            return self.require_key(self.mend(row, response), response)
        except InvalidResponseError as error:
            # One row of many is counted and named, and the others are written (W2 in
            # docs/design/walk.md). Without its only row a stream has nothing.
            if self.single_row:
                raise
            if not self._has_warned_of_keyless:
                self._has_warned_of_keyless = True
                self.warn(f"{error} Such a row cannot be loaded and counts as missing.")
            return None

    _has_warned_of_keyless = False


class IncrementalStream(ListStream):
    """A list whose rows have ``updated_at``."""

    replication_key = UPDATED_AT
    paged = True


class FullTableStream(ListStream):
    """A short list that each run reads as a whole."""

    paged = False
