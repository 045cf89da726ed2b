"""The README's tables, made from the code: ``python docs/tables.py`` writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tap_lev.child import ChildStream
from tap_lev.client import READS
from tap_lev.lists import IncrementalStream
from tap_lev.settings import SETTINGS
from tap_lev.streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_lev.stream import LevStream

README = Path(__file__).parent.parent / "README.md"
EACH = {"index_facts": "query", "index_observations": "metric"}
"""What a stream makes more than one call for each parent for."""


def settings() -> str:
    """Build the table of settings."""
    rows = []
    for name, setting in SETTINGS["properties"].items():
        default = setting.get("default")
        text = f"`{str(default).lower() if isinstance(default, bool) else default}`"
        required = "required" if name in SETTINGS["required"] else ""
        rows.append((f"`{name}`", required if default is None else text, setting["description"]))
    return _table(("setting", "default", "meaning"), rows)


def streams() -> str:
    """Build the table of streams."""
    head = ("stream", "rows", "read from", "key", "replication", "on by default", "requests")
    rows = [
        (
            f"`{stream.name}`",
            (stream.__doc__ or "").partition("\n")[0],
            _place(stream),
            ", ".join(f"`{column}`" for column in stream.primary_keys),
            _replication(stream),
            "yes" if stream.selected_by_default else "",
            _cost(stream),
        )
        for stream in STREAMS
    ]
    return _table(head, rows)


def _source(stream: type[LevStream]) -> type[LevStream]:
    return _source(stream.parent) if issubclass(stream, ChildStream) else stream


def _is_embedded(stream: type[LevStream]) -> bool:
    return issubclass(stream, ChildStream) and stream.block is not None and not stream.probe


def _place(stream: type[LevStream]) -> str:
    if _is_embedded(stream):
        return f"`{_source(stream).path}`, `include={stream.block}`"
    method = "" if f"GET {stream.path}" in READS else "POST "
    return f"{method}`{stream.path}`"


def _replication(stream: type[LevStream]) -> str:
    if issubclass(stream, ChildStream) and not stream.unique:
        return f"follows `{_source(stream).name}`"
    if issubclass(stream, IncrementalStream):
        return f"INCREMENTAL by `{stream.replication_key}`"
    return "FULL_TABLE"


def _cost(stream: type[LevStream]) -> str:
    if _is_embedded(stream):
        return "0"
    if issubclass(stream, ChildStream):
        parent = re.sub("ies$", "y", stream.parent.name).removesuffix("s").replace("_", " ")
        of_each = f" / {EACH[stream.name]}" if stream.calls is not ChildStream.calls else ""
        return f"1 / {parent}{of_each}" + (", or 0" if stream.probe else "")
    return "1 / 200" if issubclass(stream, IncrementalStream) else "1"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(text: str) -> str:
    """Put the tables between their markers."""
    for name, table in (("settings", settings()), ("streams", streams())):
        pattern = rf"(<!-- {name} -->\n).*(<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
