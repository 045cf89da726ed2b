"""The README's tables, made from the code: ``python docs/tables.py`` writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tap_lev.settings import SETTINGS
from tap_lev.streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

README = Path(__file__).parent.parent / "README.md"


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
    rows = []
    for stream in STREAMS:
        key = ", ".join(f"`{column}`" for column in stream.primary_keys)
        replication = f"INCREMENTAL by `{stream.replication_key}`" if stream.paged else "FULL_TABLE"
        requests = "1 for 200 rows" if stream.paged else "1"
        title = (stream.__doc__ or "").partition("\n")[0]
        rows.append((f"`{stream.name}`", title, f"`{stream.path}`", key, replication, requests))
    return _table(("stream", "rows", "read from", "key", "replication", "requests"), rows)


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
