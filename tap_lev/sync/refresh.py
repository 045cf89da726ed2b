"""On-demand refresh: just the rows that are named, with their children, and no state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_lev.streams.lists import ListStream
from tap_lev.sync.list_sync import ListSync

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_lev.tap import TapLev


def refresh(tap: TapLev, wanted: Mapping[str, Iterable[int]]) -> None:
    """Write single rows, and the selected streams that live on them."""
    for stream in tap.selected:
        stream.walking.keep_open_version()
    for name, keys in wanted.items():
        source = tap.stream(name)
        if isinstance(source, ListStream):
            ListSync(tap, source, [s for s in tap.selected if s.source is source]).refresh(keys)
