"""Tables of the docs, made from the code: ``python docs/tables.py`` writes them."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tap_lev.child import ChildStream
from tap_lev.client import READS
from tap_lev.lists import IncrementalStream, ListStream
from tap_lev.settings import SETTINGS
from tap_lev.stream import LevStream
from tap_lev.streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DOCS = Path(__file__).parent
PAGES = (DOCS.parent / "README.md", DOCS / "adding-a-stream.md")
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


def attributes() -> str:
    """Build the table of what a stream can say of itself."""
    return _table(("attribute", "of", "default", "meaning"), _attributes())


def _attributes() -> Iterator[tuple[str, str, str, str]]:
    """Find the class attributes of the base classes that have a description."""
    for base in (LevStream, ListStream, ChildStream):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        if not isinstance(definition, ast.ClassDef):
            raise TypeError(f"{base} is no class.")
        for line, text in pairwise(definition.body):
            told = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if told and isinstance(line, ast.AnnAssign) and "ClassVar" in ast.unparse(line):
                default = f"`{ast.unparse(line.value)}`" if line.value else ""
                name = f"`{ast.unparse(line.target)}`"
                meaning = " ".join(str(text.value.value).split()).replace("``", "`")
                meaning = re.sub(r" \(lev-api\.md [^)]*\)", "", meaning)
                yield name, f"`{base.__name__}`", default, meaning


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
    tables = {"settings": settings, "streams": streams, "attributes": attributes}
    for name, table in tables.items():
        pattern = rf"(<!-- {name} -->\n).*(<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, t=table: m[1] + t() + m[2], text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
