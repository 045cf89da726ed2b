"""Group the streams that one pass through a list reads, and order the passes."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_lev.state.walk import Place
    from tap_lev.streams.base import LevStream

NEVER = datetime.min.replace(tzinfo=UTC)


def group_streams(streams: Iterable[LevStream]) -> list[list[LevStream]]:
    """Group the streams of one list whose walks are at the same place.

    That is its beginning, as a rule. A stream that failed in an earlier run is where it failed, and
    is read from there.

    What was broken off comes first, then what was complete the longest ago: runs that never get to
    their end still bring every stream there, one after the other.

    Args:
        streams: The streams, with their walks resumed.
    """
    groups: dict[tuple[str, Place | None], list[LevStream]] = {}
    for stream in sorted(streams, key=_sort_key):
        walk = stream.tracker.walk
        # How many rows an earlier run has read makes no other place.
        place = dataclasses.replace(walk.place, rows_read=None) if walk else None
        groups.setdefault((stream.list_type().name, place), []).append(stream)
    return list(groups.values())


def _sort_key(stream: LevStream) -> tuple[bool, datetime]:
    tracker = stream.tracker
    return tracker.walk is None, tracker.bookmark.value or NEVER
