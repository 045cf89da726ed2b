"""Instants: read leniently, compared as instants, written as RFC 3339 UTC (lev-api.md §1.8)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_USUAL = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z", re.ASCII)
"""RFC 3339 in UTC, as far as digits show it: the month may not have that day."""

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


def parse(text: object) -> datetime | None:
    """Read an ISO 8601 date-time or date.

    Args:
        text: What Lev, a state or a setting holds. Without an offset it counts as UTC.

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


def parse_all(texts: Iterable[object]) -> list[datetime | None]:
    """Read several date-times, each as ``parse`` does."""
    return [parse(text) for text in texts]


def _read(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        odd = _ODD.fullmatch(text.strip())
        if odd is None:
            raise
    given, carry = odd.groupdict("00"), timedelta(0)
    if given["hour"] == "24":
        if (given["minute"] + given["second"] + given["fraction"]).strip("0"):
            raise ValueError(text)
        given["hour"], carry = "00", timedelta(days=1)
    elif given["second"] == "60":
        given["second"], carry = "59", timedelta(seconds=1)
    time = "{hour}:{minute}:{second}.{fraction}".format_map(given)
    zone = odd["zone"] or ""
    return datetime.fromisoformat(f"{odd['date']}T{time}{'Z' if zone.isalpha() else zone}") + carry


def is_carried(text: str) -> bool:
    """Say whether a date-time is written as 24:00, or as a leap second."""
    odd = _ODD.fullmatch(text.strip())
    return odd is not None and (odd["hour"] == "24" or odd["second"] == "60")


def has_zone(text: str) -> bool:
    """Say whether a date-time, of those that can be read, names its offset from UTC."""
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
    """Say whether all texts are date-times as Lev's pages show them: ``2026-03-10T14:30:00Z``.

    For a page at a time: this takes about as long as a look at the last letter of each.
    """
    if "".join(texts).encode().translate(_DIGITS_AS_0) != _FORM * len(texts):
        return False
    try:
        msgspec.convert(texts, list[datetime])  # whether the days are there
    except msgspec.ValidationError:
        return False
    return True


def normalise(text: str) -> str | None:
    """Rewrite a date-time, or a date, as RFC 3339 UTC; None if it names no instant."""
    instant = parse(text)
    if instant is None:
        return None
    return text if _USUAL.fullmatch(text) else render(instant)
