"""The server's clock: real, moved or frozen, and the forms of its time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate

MICROSECONDS = 1_000_000
LOCAL = 5 * 3600 * MICROSECONDS
"""How far west of UTC a server's local time is."""


class Clock:
    """A clock that can be moved and stopped.

    Args:
        start: The moment to start from (ISO 8601); the real time by default.
        frozen: Whether time stands still between calls of `advance`.
    """

    def __init__(self, start: str | None = None, *, frozen: bool = False) -> None:
        self.frozen = frozen
        self._wall = time.time() if start is None else parse_moment(start) / MICROSECONDS
        self._advanced = 0.0
        self._anchor = time.monotonic()

    def elapsed(self) -> float:
        """Return the seconds since the start; `set` does not change them."""
        running = 0.0 if self.frozen else time.monotonic() - self._anchor
        return self._advanced + running

    def now(self) -> float:
        """Return the time as seconds since 1970."""
        return self._wall + self.elapsed()

    def advance(self, seconds: float) -> None:
        """Move the time forward by `seconds`."""
        if seconds < 0:
            raise ValueError("A clock advances by 0 seconds or more; set() moves it back.")
        self._advanced += seconds

    def set(self, moment: str) -> None:
        """Show another time; rate limits and lifetimes are not affected."""
        self._wall = parse_moment(moment) / MICROSECONDS - self.elapsed()

    def freeze(self, *, frozen: bool) -> None:
        """Stop the time, or let it run again from where it is."""
        self._advanced = self.elapsed()
        self._anchor = time.monotonic()
        self.frozen = frozen


def parse_moment(text: str) -> int:
    """Return an ISO 8601 date or date-time (by default in UTC) in microseconds since 1970."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{text!r} is not an ISO 8601 date or date-time.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    past = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * MICROSECONDS + past.microseconds


def moment_text(microseconds: int, *, fractions: bool = False, offset: str = "Z") -> str:
    """Return a moment in the form of the API."""
    seconds, rest = divmod(microseconds, MICROSECONDS)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:06d}{offset}" if fractions else f"{text}{offset}"


def http_date(seconds: float) -> str:
    """Return a moment in the form of HTTP headers."""
    return formatdate(seconds, usegmt=True)
