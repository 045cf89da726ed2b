"""ChildStream: rows that belong to a row of another stream, embedded in it or read for it."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_lev.api.response import extract_rows
from tap_lev.errors import (
    AuthenticationError,
    InvalidResponseError,
    LevAPIError,
    LevConnectionError,
    LevError,
)
from tap_lev.streams.per_parent import PerParentStream
from tap_lev.sync.filter_proof import value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from tap_lev.api.cache import ResponseCache
    from tap_lev.api.request import PathParams
    from tap_lev.api.response import LevResponse
    from tap_lev.progress.report import StreamReport


class ChildStream(PerParentStream):
    """Rows of a parent's row."""

    verify_embed: ClassVar[bool] = False
    """Whether the block may be less than the endpoint gives."""
    embed_limit: ClassVar[int | None] = None
    """The most rows that the block holds, where Lev cuts it off."""
    deduplicate: ClassVar[bool] = False
    """Whether the same row comes with many parents."""
    selected_by_default = False

    @property
    @override
    def follows_changes(self) -> bool:
        # What many parents share is whole only if all of them are asked.
        return self.config["per_parent_scope"] == "changed" and not self.deduplicate

    # -- Embedded or read

    @functools.cached_property
    def _seen(self) -> set[Any]:
        return set()

    whole: bool | None = None
    """Whether the block was found to hold all that the endpoint gives. None: not known."""
    _proven_fields: frozenset[str] = frozenset()
    """The fields of the endpoint, once the block was found to hold them."""
    _full_blocks = False
    """Whether a block with as many rows as it can hold was met."""

    @property
    def embedded(self) -> bool:
        """Whether the rows are taken out of the parent's row."""
        if self.embed is None or self.source.optional.is_rejected(f"include={self.embed}"):
            return False
        return not self.verify_embed or bool(self.whole)

    @property
    def awaits_embed(self) -> bool:  # type: ignore[override]
        """Whether rows came without the block, and none with it, though there is no other way."""
        if self.path or self.embed is None or not self.embedded:
            return False
        embed = self.source.embeds[self.embed]
        return embed.missing > 0 and not embed.seen

    @property
    def is_plain_embed(self) -> bool:
        """Whether the rows can be taken out of the parent's row as they are."""
        return (
            self.is_plain
            and self.embedded
            and not (self.verify_embed or self.deduplicate)
            and self._parent is self.source
        )

    @property
    def needs_row(self) -> bool:
        """Whether the children of a row are read with the row itself, not by its id alone."""
        parent = self._parent
        return (
            self.embedded
            or self.verify_embed
            or (isinstance(parent, ChildStream) and parent.needs_row)
        )

    def takes(self, row: dict[str, Any]) -> bool:
        """Return whether the children of a row are wanted, and not read before in this run."""
        return self.walking.holds(row) and row["id"] not in self.done_rows

    def prove(
        self, rows: Iterable[dict[str, Any]], answers_of: Callable[[dict[str, Any]], ResponseCache]
    ) -> None:
        """Find out, by the first row that has a block, whether it is as good as the endpoint.

        Args:
            rows: The rows of a page.
            answers_of: Finds what Lev answers for a row. The endpoint's answer is added.
        """
        if not self.verify_embed or self.whole is not None:
            return
        block = self.embed or ""
        both = (row for row in rows if self.takes(row) and isinstance(row.get(block), dict))
        row = next(both, None)
        if row is None:
            return
        (call,) = self.requests()
        ids = {self.parent_key: row["id"]}
        try:
            read = list(self._called(call, ids, answers_of(row), self.report))
        except AuthenticationError:
            raise
        except (InvalidResponseError, LevAPIError, LevConnectionError):
            return  # it is that row's own failure, and another row decides
        for given, _ in read:
            fields = given.keys() - ids.keys()
            missing = [n for n in fields if n not in row[block] or row[block][n] != given[n]]
            self.whole = not missing
            self._proven_fields = frozenset(fields)
            self.logger.info(
                "%s: %s comes with each row %s",
                self.name,
                self.embed,
                f"without {len(missing)} of its fields, or with other values, so it is read for "
                "each."
                if missing
                else "and whole, so no further request is made.",
            )

    def read_ahead(self, row: dict[str, Any], answer: LevResponse, answers: ResponseCache) -> None:
        """Read what ``visit`` will need first.

        Raises:
            Exception: Something that ``visit`` needs before it cannot be read.
        """
        for ids in self.parents(row, answer, answers, self.report):
            for call in self.requests():
                try:
                    answers.begin(call, ids, self._pages(call, ids, self.report))
                except LevAPIError as error:
                    if not error.is_gone:
                        raise

    def look(
        self, row: dict[str, Any], answer: LevResponse, answers: ResponseCache
    ) -> tuple[list[dict[str, Any]], LevResponse] | None:
        """Read what a row of the list has first, at the cost of one request for each level below.

        Returns:
            The rows, and the answer that brought them. None: there is nothing to ask for.
        """
        call = next(iter(self.requests()), None)
        ids = next(iter(self.parents(row, answer, answers, self.report)), None)
        if call is None or ids is None:
            return None
        try:
            given = next(answers.of(call, ids, self._pages(call, ids, self.report)))
        except LevAPIError as error:
            if not error.is_gone:
                raise
            return ([], answer) if self.missing_is_empty else None
        none = self.missing_is_empty and not given.data
        return [] if none else list(self._read(call, ids, given)), given

    def visit(self, row: dict[str, Any], answer: LevResponse, answers: ResponseCache) -> None:
        """Write the rows of one row of the list."""
        self.parent_is_archived = bool(row.get("archived") or row.get("archived_at"))
        for child, given in self.children(row, answer, answers, self.report):
            if self.deduplicate:
                key = tuple(child[key] for key in self.primary_keys)
                if key in self._seen:
                    continue
                self._seen.add(key)
            self.write(child, given)

    def children(
        self, row: dict[str, Any], answer: LevResponse, answers: ResponseCache, report: StreamReport
    ) -> Iterator[tuple[dict[str, Any], LevResponse]]:
        """Find the rows of one row of the list, each with the answer that brought it.

        Args:
            row: The row of the list.
            answer: What brought it.
            answers: What Lev answered for that row so far.
            report: Counts what it costs: the report of the stream that the rows are found for.
        """
        ids = {self.parent_key: row["id"]}
        block = row.get(self.embed) if self.embed else None
        if self.embedded and self.embed in row and not self._is_incomplete(block):
            for child in self._embedded(row, answer):
                yield self._of_parent(child, ids, {}, answer), answer
            return
        if self.embedded and self.embed and self.embed not in row:
            yield from self._elsewhere(row, answers, report)
            return
        if not self.path:
            raise LevError(
                f"Lev does not embed {self.embed}, and gives {self.name} in no other way."
            )
        for parent_ids in self.parents(row, answer, answers, report):
            for call in self.requests():
                none = True
                for found in self._called(call, parent_ids, answers, report):
                    none = False
                    yield found
                if none and block and self.missing_is_empty:
                    # Not none: the embedded form shows that there is something.
                    why = (
                        f"Lev answers {call.endpoint} with nothing for {self.source.name} "
                        f"{row['id']}, but embeds its {self.embed}."
                    )
                    # What is below an archived row may be hidden as a whole.
                    if not (self.parent_is_archived or self._is_gone(parent_ids, report)):
                        raise InvalidResponseError(why)
                    self._note_gone(parent_ids, report, why)

    def _is_incomplete(self, block: object) -> bool:
        """Whether a block lacks fields that it was found to hold."""
        return (
            self.verify_embed
            and isinstance(block, dict)
            and not self._proven_fields <= block.keys()
        )

    def _elsewhere(
        self, row: dict[str, Any], answers: ResponseCache, report: StreamReport
    ) -> Iterator[tuple[dict[str, Any], LevResponse]]:
        """Read the rows that should have come embedded: at their endpoint, or with the row."""
        block, source = self.embed or "", self.source
        embed, ids = source.embeds[block], {self.parent_key: row["id"]}
        # The endpoint does not say whether a page would show an empty field: another row must have
        # come with it.
        if embed.is_omitted_when_empty and (embed.seen or not self.path):
            return
        found: list[tuple[dict[str, Any], LevResponse]] = []
        if self.path:
            for call in self.requests():
                found += self._called(call, ids, answers, report)
        else:
            try:
                answer = source.read_row(row["id"], {"include": block}, report)
            except LevAPIError as error:
                if not error.is_gone:
                    raise
                self._note_gone(ids, report, str(error))
                return
            (single,) = answer.data
            if block in single:  # even if there is nothing in it, it is not left out for that
                embed.seen = True
                for each in self._embedded(single, answer):
                    yield self._of_parent(each, ids, {}, answer), answer
                return
        embed.check(found=bool(found))
        if found and self.path and not embed.seen:
            source.optional.drop(f"include={block}")
            source.warn(f"Lev embeds no {block} though it is asked to, so it is read for each.")
        yield from found

    def note_full_embeds(self, rows: Iterable[Any]) -> None:
        """Note that a block holds as many rows as it can: more of them may be missing.

        Args:
            rows: Rows of the list, as dicts or as structs.
        """
        if self.embed_limit is None or not self.embedded:
            return
        for row in rows:
            block = value_of(row, self.embed or "")
            if isinstance(block, list) and len(block) >= self.embed_limit:
                self.walking.keep_rows()
                if not self._full_blocks:
                    self._full_blocks = True
                    self.warn(
                        f"{self.parent.name} {value_of(row, 'id')} comes with {len(block)} "
                        f"{self.embed}, the most that Lev embeds: it may have more."
                    )

    def parents(
        self, row: dict[str, Any], answer: LevResponse, answers: ResponseCache, report: StreamReport
    ) -> Iterator[PathParams]:
        """Find the ids of the parents at or below a row of the list."""
        if isinstance(self._parent, ChildStream):
            for parent, _ in self._parent.children(row, answer, answers, report):
                yield {self._parent.parent_key: row["id"], self.parent_key: parent["id"]}
        else:
            yield {self.parent_key: row["id"]}

    def _embedded(self, row: dict[str, Any], answer: LevResponse) -> Iterator[dict[str, Any]]:
        given = row.get(self.embed or "")
        if not given:
            return
        block = dataclasses.replace(
            answer, data=given, endpoint=f"{answer.endpoint} ({self.embed})"
        )
        for item in extract_rows(block, single_row=self.single_row):
            for child in self.split(item):
                yield self.transform(child, answer)

    @property
    @override
    def wanted_embeds(self) -> list[str]:
        return [] if self.embed is None else [self.embed]

    @override
    def begin(self, server_time: datetime) -> None:
        super().begin(server_time)
        self._full_blocks = False
        self.parents_gone = self.parents_answered = 0
        self._seen.clear()  # what was written before is of another walk, and of another table
        if not self.embed and not list(self.requests()):
            self.warn("selected, but the setting that says what to ask for is empty.")
