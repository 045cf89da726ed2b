"""On-demand refresh: just the rows that are named, with their children, and no state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_lev.sync.list_sync import ListSync

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_lev.sync.run import Run


def refresh(run: Run, wanted: Mapping[str, Iterable[int]]) -> None:
    """Write single rows, and the selected streams that live on them."""
    for stream in run.selected:
        stream.tracker.keep_open_version()
    for name, keys in wanted.items():
        streams = [stream for stream in run.selected if stream.list_type().name == name]
        ListSync(run, streams).refresh(keys)
