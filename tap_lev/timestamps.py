"""Instants: read leniently, compared as instants, written as RFC 3339 UTC (lev-api.md §1.8)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


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
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def has_zone(text: str) -> bool:
    """Say whether a date-time, of those that can be read, names its offset from UTC."""
    return datetime.fromisoformat(text).tzinfo is not None


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


def normalise(text: str) -> str:
    """Rewrite a date-time in UTC; anything else, a date too, stays as it came."""
    instant = None if text.endswith("Z") or "T" not in text else parse(text)
    return text if instant is None else render(instant)
