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

    As a rule that is the list's first page. A stream that failed in an earlier run continues where
    it failed, in a separate pass.

    Args:
        streams: The streams, with their walks resumed.

    Returns:
        The groups. Walks that were broken off come first, then the oldest bookmarks.
    """
    groups: dict[tuple[str, Place | None], list[LevStream]] = {}
    for stream in sorted(streams, key=_sort_key):
        walk = stream.tracker.walk
        # Streams at the same place share a pass, even if earlier runs counted other rows.
        place = dataclasses.replace(walk.place, rows_read=None) if walk else None
        groups.setdefault((stream.list_type().name, place), []).append(stream)
    return list(groups.values())


def _sort_key(stream: LevStream) -> tuple[bool, datetime]:
    # If every run ends early, this order still completes each stream, one after the other.
    tracker = stream.tracker
    return tracker.walk is None, tracker.bookmark.value or NEVER
