"""What Lev answers for the rows of a page, one by one, and reading it before it is needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_lev.api.request import LevRequest, PathParams
    from tap_lev.api.response import LevResponse
    from tap_lev.concurrency.lock import RunLock


class _CachedPages:
    """The pages that one call brings, read when they are wanted, by one thread at a time."""

    def __init__(self, pages: Iterator[LevResponse], *, kept: bool) -> None:
        self._rest = pages
        self._kept = kept
        self._pages: list[LevResponse | None] = []
        self._ended = False
        self._error: Exception | None = None
        self._reader: threading.Event | None = None

    def begin(self, lock: RunLock) -> None:
        """Have the first page there.

        Raises:
            Exception: What came instead of it.
        """
        if not self._pages and not self._ended:
            self._read(lock)
        if not self._pages and self._error is not None:
            raise self._error

    def all(self, lock: RunLock) -> Iterator[LevResponse]:
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
                self._read(lock)
            elif self._error is not None:
                raise self._error
            else:
                return

    def _read(self, lock: RunLock) -> None:
        if self._reader is not None:
            lock.wait(self._reader)
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


class ResponseCache:
    """What Lev answers for one row of a list, so that several streams can use one answer.

    Args:
        baton: Given up while another thread reads.
    """

    def __init__(self, lock: RunLock) -> None:
        self._lock = lock
        self._known: dict[tuple[str, str], _CachedPages] = {}

    @property
    def asked(self) -> bool:
        """Whether anything was read for the row."""
        return bool(self._known)

    def of(
        self, call: LevRequest, ids: PathParams, pages: Iterator[LevResponse]
    ) -> Iterator[LevResponse]:
        """Read pages, unless they were read before.

        Args:
            call: What is read.
            ids: For which parent.
            pages: Reads them.
        """
        return self._of(call, ids, pages).all(self._lock)

    def begin(self, call: LevRequest, ids: PathParams, pages: Iterator[LevResponse]) -> None:
        """Read the first page, unless it was read before. It may well be the only one.

        Raises:
            Exception: What came instead of it.
        """
        self._of(call, ids, pages).begin(self._lock)

    def _of(self, call: LevRequest, ids: PathParams, pages: Iterator[LevResponse]) -> _CachedPages:
        # A read by POST is no stream's but one, and may have many pages.
        key = (call.endpoint, f"{tuple(ids.values())} {call.body}")
        return self._known.setdefault(key, _CachedPages(pages, kept=call.body is None))
