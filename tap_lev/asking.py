"""Asking: what a walk asks Lev for, and what Lev refuses, ignores or leaves out of it."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from tap_lev import timestamps
from tap_lev.child import ChildStream
from tap_lev.optional import Option
from tap_lev.page import PageShape
from tap_lev.stream import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tap_lev.answer import Answer
    from tap_lev.lists import ListStream
    from tap_lev.pagination import Position
    from tap_lev.report import StreamReport
    from tap_lev.stream import LevStream
    from tap_lev.tap import TapLev

FILTER = "filter[updated_at][gte]"
DRY_RUN_ROWS = 5
"""How many rows of a list a dry run looks at, at least, to find some with children."""


class Asking:
    """Asks for the pages and the rows of one list.

    Args:
        tap: The tap.
        source: The list.
        members: The streams that the rows are for; those that leave are taken out.
    """

    def __init__(self, tap: TapLev, source: ListStream, members: list[LevStream]) -> None:
        self._tap = tap
        self._source = source
        self._members = members
        self._shapes: dict[tuple[ChildStream, ...], PageShape] = {}
        self.by_row = False
        """Whether each row is looked at, whatever it is like."""

        self.bound: datetime | None = None
        """The lower bound that Lev is asked to keep to, the same from the first page to the last.

        A member may leave in the middle of a walk, or another run go on with it for some of them:
        a cursor is good only with what it was made with.
        """

    def begin(self) -> None:
        """Find the bound of a new walk: one that leaves out no row that a member wants."""
        bounds = [member.walking.bound for member in self._members]
        known = [bound for bound in bounds if bound is not None]
        self.bound = min(known) if known and len(known) == len(bounds) else None

    @property
    def sent_bound(self) -> datetime | None:
        """The bound, where Lev takes it."""
        return self.bound if self.bound is not None and self.is_filtered else None

    @property
    def _report(self) -> StreamReport:
        return (self._source if self._source in self._members else self._members[0]).report

    def page(self, position: Position) -> Answer:
        """Ask for a page, with as much of what is wanted as Lev accepts."""
        limit: Position = {}
        if self._source.paged:
            page_size = self._tap.config["page_size"]
            limit = {"limit": min(page_size, self.dry_run_rows or page_size)}

        def request(params: dict[str, str]) -> tuple[Answer, dict[str, str]]:
            shape = self.shape_of_page
            blocks = params.get("include", "").split(",")
            usual = shape and FIELDS not in params and shape.blocks.issubset(blocks)
            answer = self._tap.client.read(
                f"GET {self._source.path}",
                self._report,
                limit | position | params,
                decoder=shape.decoder if shape and usual else None,
            )
            return answer, params

        answer, sent = self._source.optional.ask(self._options, request)
        return self.page(position) if self._has_lost_blocks(answer, sent) else answer

    def row(self, key: int) -> Answer:
        """Ask for a single row.

        Returns:
            The answer, with the row as the only one of a list.
        """
        detail = self._source.detail or ""
        (name,) = re.findall(r"\{(\w+)\}", detail)

        def request(params: dict[str, str]) -> tuple[Answer, dict[str, str]]:
            ids = {name: key}
            return self._tap.client.read(f"GET {detail}", self._report, params, ids=ids), params

        answer, sent = self._source.optional.ask(self._shape, request)
        answer = dataclasses.replace(answer, data=[answer.data])
        return self.row(key) if self._has_lost_blocks(answer, sent) else answer

    @property
    def dry_run_rows(self) -> int | None:
        """How many rows are looked at, None where it is no dry run."""
        limits = [member.ABORT_AT_RECORD_COUNT for member in self._members]
        return None if None in limits else max(DRY_RUN_ROWS, *(limit or 0 for limit in limits))

    @property
    def _options(self) -> list[Option]:
        """What to ask for that Lev may refuse."""
        mode, options = self._tap.config["updated_at_filter"], []
        if self.bound is not None and mode != "client":
            bound = timestamps.render(self.bound)
            options.append(Option(FILTER, bound, required=mode == "server"))
        return options + self._shape

    @property
    def _shape(self) -> list[Option]:
        """What to ask for in each row."""
        blocks = {block for member in self._members for block in member.wanted_blocks}
        return [
            *self._source.field_options(written=self._source in self._members),
            *(Option("include", block) for block in sorted(blocks)),
        ]

    @property
    def shape_of_page(self) -> PageShape | None:
        """What pages are decoded into, where all members take the rows as they come."""
        children = [member for member in self._members if isinstance(member, ChildStream)]
        if not self._source.is_plain or not all(child.is_plain_block for child in children):
            return None
        key = tuple(children)
        if key not in self._shapes:
            self._shapes[key] = PageShape(self._source, children)
        # Within a page only single rows tell where to go on.
        walks = [member.walking.walk for member in self._members]
        within = any(walk is not None and walk.parent for walk in walks)
        return None if within or self.by_row or self.dry_run_rows else self._shapes[key]

    def _has_lost_blocks(self, answer: Answer, sent: dict[str, str]) -> bool:
        """Whether rows must be asked for anew, because Lev leaves out what ``include=`` asks for.

        It may do so where ``fields=`` is sent as well (lev-api.md §1.7), or where it does not know
        the block and does not say so.

        Args:
            answer: The answer.
            sent: What was asked for. Another walk of the list may have learnt more meanwhile.
        """
        source, optional = self._source, self._source.optional
        blocks = set(sent["include"].split(",")) if "include" in sent else set()
        if blocks and FIELDS in sent and optional.is_refused(FIELDS):
            return True
        unseen = blocks - source.embedded_blocks
        if not unseen or not answer.data:
            return False
        rows = answer.data if answer.shaped else list(source.rows(answer))
        found = {block for block in unseen if any(_has(row, block) for row in rows)}
        source.embedded_blocks.update(found)
        lost = sorted(unseen - found)
        if not lost:
            return False
        if FIELDS in sent:
            optional.leave_out(FIELDS)
            source.tell(
                f"Lev leaves {', '.join(lost)} out where {FIELDS} are named, so all are read."
            )
            return True
        for block in lost:
            # What Lev gives in no other way may still be there for other rows.
            source.embedded_blocks.add(block)
            others = [m for m in self._members if m.block == block and m.path]
            instead = "so it is read for each" if others else "so there is none"
            source.tell(f"Lev embeds no {block} though it is asked to, {instead}.")
            if others:
                optional.leave_out(f"include={block}")
        return any(optional.is_refused(f"include={block}") for block in lost)

    @property
    def is_filtered(self) -> bool:
        """Whether Lev leaves rows out."""
        return any(option.param == FILTER for option in self._source.optional.sent(self._options))

    def note_ignored_filter(self, changes: Iterable[object]) -> None:
        """Note that rows come which the filter, if it was sent, should have left out.

        Args:
            changes: When the rows last changed, as it stands in them.
        """
        bound, optional = self.bound, self._source.optional
        if bound is None or not self.is_filtered:
            return
        dates = map(timestamps.parse, changes)
        if any(date is not None and date < bound for date in dates):
            optional.leave_out(FILTER)
            self._source.tell(
                f"Lev ignores {FILTER}, so every row is read and the unchanged ones are left out "
                "here."
            )


def _has(row: Any, field: str) -> bool:  # noqa: ANN401 - a row of either form
    return field in row if isinstance(row, dict) else getattr(row, field) is not UNSET
