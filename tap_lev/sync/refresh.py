"""Refresh named rows and their children on demand, and leave the state as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_lev.errors import ConfigError
from tap_lev.streams.base import LevStream
from tap_lev.streams.lists import ListStream
from tap_lev.sync.list_sync import ListSync
from tap_lev.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from singer_sdk import Stream

    from tap_lev.sync.run import Run


MAX_DIGITS = 20
"""The most digits of an id."""


def parse(texts: Iterable[str]) -> dict[str, list[int]]:
    """Read the command line's form, such as ``deals=101,102``.

    Raises:
        ConfigError: It is another.
    """
    wanted: dict[str, list[int]] = {}
    for text in texts:
        name, _, ids = text.partition("=")
        keys = [key.strip() for key in ids.split(",")]
        # int() would take more: 1_000 and -1 are no ids. And less: nothing of 5,000 digits.
        if not all(key.isdecimal() and len(key) <= MAX_DIGITS for key in keys):
            raise ConfigError(
                f"--refresh takes a stream and ids, such as deals=101,102, not {shown(text)}."
            )
        wanted.setdefault(name, []).extend(map(int, keys))
    return wanted


def check(wanted: Any, streams: Mapping[str, Stream]) -> None:  # noqa: ANN401
    """Make sure that every named stream can be read by single rows.

    Raises:
        ConfigError: One cannot.
    """
    possible = [
        name
        for name, stream in streams.items()
        if isinstance(stream, ListStream) and stream.detail_path is not None
    ]
    for name in wanted:
        if name not in possible:
            raise ConfigError(
                f"The stream {shown(name)} cannot be refreshed by id; these can: "
                f"{', '.join(possible)}."
            )
        if not any(each.selected and _list_name(each) == name for each in streams.values()):
            raise ConfigError(
                f"The stream {name} is not selected, nor one that follows it, so its rows cannot "
                "be refreshed: select it in the catalog, or in Meltano by select."
            )


def _list_name(stream: Stream) -> str | None:
    return stream.list_type().name if isinstance(stream, LevStream) else None


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
