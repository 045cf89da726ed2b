"""The order of a sync: which streams are read in one walk, and which walk begins first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tap_lev.sync.list_sync import ListSync

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_lev.streams.base import LevStream
    from tap_lev.tap import TapLev

NEVER = datetime.min.replace(tzinfo=UTC)


def group_streams(tap: TapLev, streams: Sequence[LevStream]) -> list[ListSync]:
    """Put the streams together that can be read in one walk. Their walks are resumed before.

    Those are the streams of one list whose walks stand at the same place: at its beginning, as a
    rule. A stream that failed in an earlier run stands where it failed, and is read from there.

    What was broken off comes first, then what was complete the longest ago: runs that never get to
    their end still bring every stream there, one after the other.
    """
    together: dict[tuple[Any, ...], list[LevStream]] = {}
    for stream in sorted(streams, key=_urgency):
        walk = stream.walking.walk
        place = (walk.cursor, walk.parent, walk.filter) if walk else ()
        together.setdefault((stream.source.name, *place), []).append(stream)
    return [ListSync(tap, members[0].source, members) for members in together.values()]


def _urgency(stream: LevStream) -> tuple[bool, datetime]:
    walking = stream.walking
    return walking.walk is None, walking.bookmark.value or NEVER
