"""Read the server's clock from responses.

A bookmark is an instant of that clock. If it is too late, rows that changed before it are skipped;
if it is too early, rows are only read twice. So the earliest of the times in a response counts.
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
"""How far a time may differ from the others, in seconds."""

FIRST = datetime(2020, 1, 1, tzinfo=UTC)
"""An earlier time is not the clock of an API of 2026."""

REMEMBERED = 20
"""How many earlier times a new one is compared with."""


class ServerClock:
    """Reads the server's time from the two times in each response.

    Args:
        logger: Logs a time that is not used, once for each of the two.
        monotonic: A clock in seconds that never goes back.
        now: This machine's clock, for responses without a time.
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
        moments = {"timestamp": envelope, "Date header": date}
        # Two times are compared by their distance from a clock that only this machine sets.
        offsets = {
            name: moment.timestamp() - self._monotonic()
            for name, moment in moments.items()
            if moment is not None
        }
        # 1. It differs from all others. 2. It is from before the API. 3. It names no zone, and
        # the header does not show that UTC is meant.
        unused = {name for name in offsets if self._is_outlier(name, offsets)}
        unused |= {name for name in offsets if (moments[name] or FIRST) < FIRST}
        if envelope is not None and not has_zone and not self._agree(offsets):
            unused.add("timestamp")
        for name in unused - self._logged:
            self._logged.add(name)
            self._logger.warning(
                "The %s of a response, %s, does not agree with Lev's other times: it is not used.",
                name,
                moments[name],
            )
        used = [moment for name, moment in moments.items() if moment and name not in unused]
        self._offsets.extend(offset for name, offset in offsets.items() if name not in unused)
        return min(used, default=None) or self._now()

    def now(self) -> datetime:
        """Return the server's time by the responses so far, in whole seconds."""
        if not self._offsets:
            return self._now()
        return datetime.fromtimestamp(int(min(self._offsets) + self._monotonic()), UTC)

    def _is_outlier(self, name: str, offsets: dict[str, float]) -> bool:
        others = [*self._offsets, *(offset for other, offset in offsets.items() if other != name)]
        # If only two differ, nothing shows which of them is wrong.
        return len(others) > 1 and all(
            abs(offset - offsets[name]) > MAX_DIFFERENCE for offset in others
        )

    @staticmethod
    def _agree(offsets: dict[str, float]) -> bool:
        pair = list(offsets.values())
        return len(pair) > 1 and abs(pair[0] - pair[1]) <= MAX_DIFFERENCE
