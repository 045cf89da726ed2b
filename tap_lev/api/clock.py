"""The server's clock, from what responses say of it.

A bookmark is a moment of that clock. A moment too late skips rows that changed before it, one too
early only reads rows twice: so the earliest witness counts.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

MAX_DIFFERENCE = timedelta(hours=1).total_seconds()
"""How far a witness may be from the others, in seconds."""

FIRST = datetime(2020, 1, 1, tzinfo=UTC)
"""No witness from before this is the clock of an API of 2026."""

REMEMBERED = 20
"""Witnesses that a new one is compared with."""


class ServerClock:
    """Reads the server's time from the two witnesses of each response.

    Args:
        logger: Logs a witness that is not used, once for each kind.
        monotonic: Seconds that never go back.
        now: This machine's clock, for responses without any witness.
    """

    def __init__(
        self,
        logger: logging.Logger,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._logger = logger
        self._monotonic = monotonic
        self._now = now
        self._offsets: deque[float] = deque(maxlen=REMEMBERED)
        self._logged: set[str] = set()

    def read(
        self, envelope: datetime | None, date: datetime | None, *, has_zone: bool = True
    ) -> datetime:
        """Return the server's time by one response.

        Args:
            envelope: The envelope's ``timestamp``, in UTC if it names no zone.
            date: The ``Date`` header.
            has_zone: Whether ``timestamp`` names its zone. If not, it counts as UTC only where the
                header agrees.
        """
        given = {"timestamp": envelope, "Date header": date}
        offsets = {
            name: moment.timestamp() - self._monotonic()
            for name, moment in given.items()
            if moment is not None
        }
        unused = {name for name in offsets if self._is_outlier(name, offsets)}
        unused |= {name for name in offsets if (given[name] or FIRST) < FIRST}
        if envelope is not None and not has_zone and not self._agree(offsets):
            unused.add("timestamp")
        for name in unused - self._logged:
            self._logged.add(name)
            self._logger.warning(
                "The %s of a response, %s, does not agree with Lev's other times: it is not used.",
                name,
                given[name],
            )
        used = [moment for name, moment in given.items() if moment and name not in unused]
        self._offsets.extend(offset for name, offset in offsets.items() if name not in unused)
        return min(used, default=None) or self._now()

    def now(self) -> datetime:
        """Return the server's time by the responses so far."""
        if not self._offsets:
            return self._now()
        return datetime.fromtimestamp(int(min(self._offsets) + self._monotonic()), UTC)

    def _is_outlier(self, name: str, offsets: dict[str, float]) -> bool:
        others = [*self._offsets, *(offset for each, offset in offsets.items() if each != name)]
        # Of two that differ, nothing says which is wrong.
        return len(others) > 1 and all(
            abs(offset - offsets[name]) > MAX_DIFFERENCE for offset in others
        )

    @staticmethod
    def _agree(offsets: dict[str, float]) -> bool:
        pair = list(offsets.values())
        return len(pair) > 1 and abs(pair[0] - pair[1]) <= MAX_DIFFERENCE
