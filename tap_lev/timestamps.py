"""Read instants leniently, compare them as instants, write them as RFC 3339 UTC (lev-api.md §1.8).

pendulum reads and counts the few instants of settings, states and the server's clock. The many of
rows are read by ``datetime.fromisoformat``, which takes a small part of the time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pendulum import DateTime

_DAY_AND_TIME = r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?"

_USUAL = re.compile(_DAY_AND_TIME + "Z", re.ASCII)
"""RFC 3339 in UTC, as far as a pattern shows it: the month may not have that day."""

_STRICT = re.compile(rf"{_DAY_AND_TIME}(?:Z|[+-]\d\d:\d\d)|\d{{4}}-\d\d-\d\d", re.ASCII)
"""RFC 3339, or a date: what pendulum may read. Alone it takes ``now``, ``10:20`` and ``P1D``, too.
"""

_FORM = b"0000-00-00T00:00:00Z"
_DIGITS_AS_0 = bytes.maketrans(b"123456789", b"000000000")

_ODD = re.compile(
    r"""(?P<date>\d{4}-?\d\d-?\d\d)
        (?:[Tt\s]\s*(?P<hour>\d\d)(?::?(?P<minute>\d\d)
            (?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?)?
        \s*(?P<zone>[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?""",
    re.ASCII | re.VERBOSE,
)
"""What Python does not read: 24:00, leap seconds, a blank before the zone, zones by name."""


def parse(text: object) -> DateTime | None:
    """Read an instant of a setting, a state or the server's clock.

    Args:
        text: An ISO 8601 date-time or date. Without an offset it counts as UTC.

    Returns:
        The instant in UTC, or None for anything that is not one.
    """
    if not isinstance(text, str):
        return None
    # Imported here, because it takes 40 ms, and not every command reads an instant.
    import pendulum  # noqa: PLC0415

    if not _STRICT.fullmatch(text):
        instant = parse_row_time(text)
        return None if instant is None else pendulum.instance(instant)
    try:
        strict = pendulum.parse(text)
        assert isinstance(strict, pendulum.DateTime)  # noqa: S101
        return strict.in_timezone("UTC")
    except (ValueError, OverflowError):
        return None


def parse_row_time(text: object) -> datetime | None:
    """Read an instant of a row. Like ``parse``, but fast enough for each row.

    Args:
        text: An ISO 8601 date-time or date. Without an offset it counts as UTC.

    Returns:
        The instant in UTC, or None for anything that is not one.
    """
    if not isinstance(text, str):
        return None
    try:
        instant = _read(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_row_times(texts: Iterable[object]) -> list[datetime | None]:
    """Read the date-times of several rows, each as ``parse_row_time`` does."""
    return [parse_row_time(text) for text in texts]


def _read(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        odd = _ODD.fullmatch(text.strip())
        if odd is None:
            raise
    parts, carry = odd.groupdict("00"), timedelta(0)
    # 1. 24:00 is the beginning of the next day, and no later time of day exists.
    if parts["hour"] == "24":
        if (parts["minute"] + parts["second"] + parts["fraction"]).strip("0"):
            raise ValueError(text)
        parts["hour"], carry = "00", timedelta(days=1)
    # 2. A leap second is read as the first second of the next minute: Python has no 61st.
    elif parts["second"] == "60":
        parts["second"], carry = "59", timedelta(seconds=1)
    time = "{hour}:{minute}:{second}.{fraction}".format_map(parts)
    # 3. The names of zones all mean UTC; offsets stay as they are.
    zone = odd["zone"] or ""
    return datetime.fromisoformat(f"{odd['date']}T{time}{'Z' if zone.isalpha() else zone}") + carry


def subtract(instant: datetime, span: timedelta) -> DateTime:
    """Go back from an instant.

    Raises:
        OverflowError: That is before the first year.
    """
    import pendulum  # noqa: PLC0415 - see parse

    return pendulum.instance(instant).subtract(seconds=span.total_seconds())


def plain(instant: datetime) -> datetime:
    """Return the instant as Python's own type, in UTC.

    Comparing pendulum's with another takes twenty times as long, which counts for each row.
    """
    return datetime.combine(instant.date(), instant.timetz()).astimezone(UTC)


def is_carried(text: str) -> bool:
    """Return whether a date-time is written as 24:00, or as a leap second."""
    odd = _ODD.fullmatch(text.strip())
    return odd is not None and (odd["hour"] == "24" or odd["second"] == "60")


def has_zone(text: str) -> bool:
    """Return whether a date-time, of those that can be read, names its offset from UTC."""
    return _read(text).tzinfo is not None


def http_date(text: str | None) -> datetime | None:
    """Read the date of an HTTP header. Without an offset it counts as UTC."""
    try:
        instant = parsedate_to_datetime(text or "")
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        return None


def render(instant: datetime) -> str:
    """Write an instant as RFC 3339 UTC, with a fraction only where there is one."""
    return instant.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def are_usual(texts: Sequence[str]) -> bool:
    """Return whether all texts are date-times as Lev's pages show them: ``2026-03-10T14:30:00Z``.

    For a page at a time: this takes about as long as a look at the last letter of each.
    """
    if "".join(texts).encode().translate(_DIGITS_AS_0) != _FORM * len(texts):
        return False
    try:
        msgspec.convert(texts, list[datetime])  # the pattern does not know how long months are
    except msgspec.ValidationError:
        return False
    return True


def normalise(text: str) -> str | None:
    """Rewrite a date-time, or a date, of a row as RFC 3339 UTC.

    Returns:
        The text as it came if it is in that form already, or None if it names no instant.
    """
    instant = parse_row_time(text)
    if instant is None:
        return None
    return text if _USUAL.fullmatch(text) else render(instant)
