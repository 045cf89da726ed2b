"""The lists of Lev: streams that are walked from their first page to their last."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_lev.api.embeds import Embed
from tap_lev.api.response import extract_rows
from tap_lev.errors import InvalidResponseError, LevError, NoRowError
from tap_lev.state.tracker import UPDATED_AT
from tap_lev.streams.base import LevStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_lev.api.client import RetryPolicy
    from tap_lev.api.response import LevResponse
    from tap_lev.progress.report import StreamReport


class ListStream(LevStream):
    """A list of Lev that is walked from its first page to its last."""

    path: ClassVar[str]
    detail_path: ClassVar[str | None] = None
    """Route template of the read of a single row."""
    paged: ClassVar[bool]
    """Whether the list takes ``limit`` and ``cursor``."""

    @property
    @override
    def source(self) -> ListStream:
        return self

    def write_page(self, rows: Iterable[dict[str, Any]], answer: LevResponse) -> None:
        """Write the rows of a page that belong to the walk."""
        for row in rows:
            if self.walking.holds(row):
                self.write(row, answer)

    def is_done(self, row: dict[str, Any]) -> bool:
        """Return whether a row was written before in this run."""
        return row["id"] in self.done_rows if self.done_rows else False

    def rows(self, answer: LevResponse) -> Iterator[dict[str, Any]]:
        """Find the rows of an answer. One without its key is counted, and left out.

        Raises:
            BrokenAnswerError: There are none where some should be.
        """
        for item in extract_rows(answer, single_row=self.single_row):
            for row in self.split(item):
                try:
                    yield self.require_key(self.mended(self.transform(row, answer), answer), answer)
                except InvalidResponseError as error:
                    if self.single_row:
                        raise
                    self._keyless += 1
                    if not self._keyless_told:
                        self._keyless_told = True
                        self.warn(f"{error} Such a row cannot be loaded and counts as missing.")

    _keyless = 0
    _keyless_told = False

    @property
    def awaits_embed(self) -> bool:  # type: ignore[override]
        """Whether rows came without an embedded column that is there: they must come again."""
        return any(self.embeds[field].unread is not None for field in self.includes)

    def take_keyless(self) -> int:
        """Return how many rows had no key since this was asked last."""
        keyless, self._keyless = self._keyless, 0
        return keyless

    def read_row(
        self,
        key: int,
        params: Mapping[str, str],
        report: StreamReport,
        *,
        patience: RetryPolicy | None = None,
    ) -> LevResponse:
        """Request a single row.

        Args:
            key: Its id.
            params: Query parameters.
            report: Counts what the request costs.
            patience: How long to try; as the settings say by default.

        Returns:
            The answer, with the row as the only one of a list.

        Raises:
            LevError: Lev has no read of single rows of this list, or does not answer it.
        """
        if self.detail_path is None:
            raise LevError(f"Lev has no read of single rows of {self.name}.")
        (name,) = re.findall(r"\{(\w+)\}", self.detail_path)
        answer = self._tap.client.read(
            f"GET {self.detail_path}", report, params, ids={name: key}, patience=patience
        )
        if not isinstance(answer.data, dict):
            kind = InvalidResponseError if answer.data else NoRowError
            raise kind(
                f"Lev answered {answer.endpoint} without a row "
                f"(request_id {answer.request_id or 'not given'})."
            )
        return dataclasses.replace(answer, data=[answer.data])

    @functools.cached_property
    def embeds(self) -> defaultdict[str, Embed]:
        """What this run learned of the fields that are embedded in the rows."""
        return defaultdict(Embed)

    @functools.cached_property
    def embed_fields(self) -> set[str]:
        """The fields that come with a row only because ``include=`` asks for them."""
        streams = self._tap.lev_streams
        return {*self.includes, *(s.embed for s in streams if s.embed and s.source is self)}


class IncrementalStream(ListStream):
    """A list whose rows say when they changed."""

    replication_key = UPDATED_AT
    paged = True


class FullTableStream(ListStream):
    """A short list that is read as a whole each time."""

    paged = False
