"""Keep the responses for one row of a list, so that several streams use each."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_lev.api.request import LevRequest
    from tap_lev.api.response import LevResponse
    from tap_lev.concurrency.lock import RunLock


class _CachedPages:
    """The pages of one request, each requested when needed, by one thread at a time."""

    def __init__(self, pages: Iterator[LevResponse], *, kept: bool) -> None:
        self._rest = pages
        self._kept = kept
        self._pages: list[LevResponse | None] = []
        self._ended = False
        # Kept as the pages are: what one thread gets ahead, the thread that writes the row raises.
        self._error: Exception | None = None
        self._reader: threading.Event | None = None

    def fetch_first(self, lock: RunLock) -> None:
        """Request the first page, unless it is there.

        Raises:
            Exception: The request failed.
        """
        if not self._pages and not self._ended:
            self._read(lock)
        if not self._pages and self._error is not None:
            raise self._error

    def all(self, lock: RunLock) -> Iterator[LevResponse]:
        """Yield the pages, and request those that are not there.

        Raises:
            Exception: The request for a page failed.
        """
        number = 0
        while True:
            if number < len(self._pages):
                # 1. Another user of the request has read it, or it was read ahead.
                page = self._pages[number]
                assert page is not None  # noqa: S101 - pages that are not kept have one user
                if not self._kept:
                    self._pages[number] = None
                yield page
                number += 1
            elif not self._ended:
                # 2. Nobody has. If another thread does so now, this one looks again afterwards.
                self._read(lock)
            elif self._error is not None:
                raise self._error
            else:
                return

    def _read(self, lock: RunLock) -> None:
        # Another thread may be reading the same page: its result is for both. Without the wait, the
        # generator of pages would be entered twice, which is an error.
        if self._reader is not None:
            lock.wait(self._reader)
            return
        self._reader = threading.Event()
        try:
            self._pages.append(next(self._rest))
        except StopIteration:
            self._ended = True
        except Exception as error:  # noqa: BLE001 - each user of the pages raises it
            self._ended, self._error = True, error
        finally:
            # Under the run lock, so no thread can register for the event in between (L1).
            self._reader.set()
            self._reader = None


class ResponseCache:
    """Keeps the responses for one row of a list.

    Args:
        lock: The run lock, released while another thread reads.
    """

    def __init__(self, lock: RunLock) -> None:
        self._lock = lock
        self._known: dict[tuple[str, str], _CachedPages] = {}

    @property
    def is_used(self) -> bool:
        """Whether any request was sent for the row."""
        return bool(self._known)

    def pages(self, request: LevRequest, pages: Iterator[LevResponse]) -> Iterator[LevResponse]:
        """Yield the pages of a request, which is sent once.

        Args:
            request: The request.
            pages: Sends it, page by page, as it is iterated.
        """
        return self._of(request, pages).all(self._lock)

    def fetch_first(self, request: LevRequest, pages: Iterator[LevResponse]) -> None:
        """Request the first page of a request, unless it is there.

        Raises:
            Exception: The request failed.
        """
        self._of(request, pages).fetch_first(self._lock)

    def _of(self, request: LevRequest, pages: Iterator[LevResponse]) -> _CachedPages:
        key = (request.endpoint, f"{tuple(request.path_params.values())} {request.json}")
        # A read by POST has one user, and may have many pages: they are dropped as they are used.
        # Where the request is known, ``pages`` is a generator that never starts: it sends nothing.
        return self._known.setdefault(key, _CachedPages(pages, kept=request.json is None))
