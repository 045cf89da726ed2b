"""Refresh named rows and their children on demand, and leave the state as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_lev.sync.list_sync import ListSync

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_lev.sync.run import Run


def refresh(run: Run, ids_by_list: Mapping[str, Iterable[int]]) -> None:
    """Write single rows of lists, and their selected children.

    Args:
        run: The run.
        ids_by_list: The ids of the rows, by list.
    """
    for stream in run.selected:
        stream.tracker.keep_open_version()
    for name, ids in ids_by_list.items():
        streams = [stream for stream in run.selected if stream.list_type().name == name]
        ListSync(run, streams).refresh(ids)
