"""What Lev answers for the rows of a page, one by one, and reading it before it is needed."""

from __future__ import annotations

import dataclasses
import threading
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from tap_lev.errors import KeyRefusedError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from tap_lev.answer import Answer
    from tap_lev.baton import Baton
    from tap_lev.child import ChildStream
    from tap_lev.stream import LevStream
    from tap_lev.tap import TapLev

PARENTS_AHEAD = 10
"""How many rows a stream may read ahead of the one whose children are written."""

MAX_FAILURES_AHEAD = 2
"""How many rows in a row may fail before nothing more is read ahead on a page."""

CAUTION = 3
"""How many rows what was thought at first is worth, against what the rows so far have taken."""

Ids = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A read for one parent.

    Attributes:
        endpoint: Method and route template.
        body: The JSON body of a read by POST.
        columns: What the rows of the answer take from the call.
    """

    endpoint: str
    body: Mapping[str, Any] | None = None
    columns: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class _Pages:
    """The pages that one call brings, read when they are wanted, by one thread at a time."""

    def __init__(self, pages: Iterator[Answer], *, kept: bool) -> None:
        self._rest = pages
        self._kept = kept
        self._pages: list[Answer | None] = []
        self._ended = False
        self._error: Exception | None = None
        self._reader: threading.Event | None = None

    def begin(self, baton: Baton) -> None:
        """Have the first page there.

        Raises:
            Exception: What came instead of it.
        """
        if not self._pages and not self._ended:
            self._read(baton)
        if not self._pages and self._error is not None:
            raise self._error

    def all(self, baton: Baton) -> Iterator[Answer]:
        """Go through the pages.

        Raises:
            Exception: What came instead of a page.
        """
        number = 0
        while True:
            if number < len(self._pages):
                page = self._pages[number]
                assert page is not None  # noqa: S101 - not kept is for one reader only
                if not self._kept:
                    self._pages[number] = None
                yield page
                number += 1
            elif not self._ended:
                self._read(baton)
            elif self._error is not None:
                raise self._error
            else:
                return

    def _read(self, baton: Baton) -> None:
        if self._reader is not None:
            baton.wait(self._reader)
            return
        self._reader = threading.Event()
        try:
            self._pages.append(next(self._rest))
        except StopIteration:
            self._ended = True
        except Exception as error:  # noqa: BLE001 - whoever goes through the pages raises it
            self._ended, self._error = True, error
        finally:
            self._reader.set()
            self._reader = None


class Answers:
    """What Lev answers for one row of a list, so that several streams can use one answer.

    Args:
        baton: Given up while another thread reads.
    """

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self._known: dict[tuple[str, str], _Pages] = {}

    @property
    def asked(self) -> bool:
        """Whether anything was read for the row."""
        return bool(self._known)

    def of(self, call: Call, ids: Ids, pages: Iterator[Answer]) -> Iterator[Answer]:
        """Read pages, unless they were read before.

        Args:
            call: What is read.
            ids: For which parent.
            pages: Reads them.
        """
        return self._of(call, ids, pages).all(self._baton)

    def begin(self, call: Call, ids: Ids, pages: Iterator[Answer]) -> None:
        """Read the first page, unless it was read before. It may well be the only one.

        Raises:
            Exception: What came instead of it.
        """
        self._of(call, ids, pages).begin(self._baton)

    def _of(self, call: Call, ids: Ids, pages: Iterator[Answer]) -> _Pages:
        # A read by POST is no stream's but one, and may have many pages.
        key = (call.endpoint, f"{tuple(ids.values())} {call.body}")
        return self._known.setdefault(key, _Pages(pages, kept=call.body is None))


class AnswersOfPage:
    """The answers for all rows of a page, in turn, while those for the next rows are read.

    Each stream that has something to read does so in a thread of its own, a few rows ahead of the
    row that is written. So requests to several endpoints, and for several rows, are under way
    together, and the rows are still written one after the other. Use it in a ``with`` statement.

    Args:
        tap: The tap.
        rows: The rows of the page.
        answer: What brought them.
        more: How many rows follow on later pages, as far as it is known.
    """

    def __init__(
        self, tap: TapLev, rows: Sequence[dict[str, Any]], answer: Answer, more: int
    ) -> None:
        self._tap = tap
        self._rows = rows
        self._answer = answer
        self._more = more
        self._answers: defaultdict[int, Answers] = defaultdict(partial(Answers, tap.baton))
        self._written = 0
        self._wanted: Container[LevStream] = ()
        self._progress = threading.Event()

    def of(self, row: dict[str, Any]) -> Answers:
        """Find the answers for a row."""
        return self._answers[row["id"]]

    def read_ahead(self, children: Sequence[ChildStream], wanted: Container[LevStream]) -> None:
        """Begin to read.

        Args:
            children: Those whose rows may be wanted.
            wanted: Those whose rows are. A stream that is taken out reads no more.
        """
        self._wanted = wanted
        for child in children:
            if child in wanted and not child.embedded and child.endpoint:
                self._tap.crew.start(partial(self._read, child, child.endpoint), child.name)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Read nothing more."""
        self._wanted = ()
        self._progress.set()

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Answers]]:
        """Go through the rows. What was read for a row is forgotten after it."""
        for row in self._rows:
            yield row, self.of(row)
            self._answers.pop(row["id"], None)
            self._written += 1
            self._progress.set()

    def _read(self, child: ChildStream, endpoint: str) -> None:
        gate, before, failures = self._tap.client.gate, child.report.requests, 0
        for number, row in enumerate(self._rows):
            while number > self._written + PARENTS_AHEAD and child in self._wanted:
                self._progress.clear()
                self._tap.baton.wait(self._progress)
            if child not in self._wanted:
                return
            made = child.report.requests - before
            each = (made + CAUTION * child.requests_per_row) / (number + CAUTION)
            for needed in (endpoint, *child.needed_endpoints):
                gate.remaining.expect(child, needed, each * (len(self._rows) - number + self._more))
            if number < self._written or not child.takes(row):
                continue
            try:
                child.read_ahead(row, self._answer, self.of(row))
            except KeyRefusedError:
                raise
            except Exception:  # noqa: BLE001 - whoever writes the row meets it, too, and tells it
                failures += 1
                if failures == MAX_FAILURES_AHEAD:
                    return
            else:
                failures = 0
