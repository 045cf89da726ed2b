"""Write the tables of the docs from the code: ``python -m devtools.tables``."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_lev.api.endpoints import READS
from tap_lev.config.settings import SETTINGS, SHARED
from tap_lev.streams import STREAMS
from tap_lev.streams.base import LevStream
from tap_lev.streams.child import ChildStream
from tap_lev.streams.lists import IncrementalStream, ListStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS.parent / "README.md", DOCS / "adding-a-stream.md")
CALLED_FOR = {"index_facts": "query", "index_observations": "metric"}
"""What a stream with several requests per parent makes each of them for."""


def settings(properties: Mapping[str, Any] = SETTINGS["properties"]) -> str:
    """Build the table of settings."""
    return table(("setting", "default", "meaning"), _settings(properties))


def _settings(properties: Mapping[str, Any], above: str = "") -> Iterator[Sequence[str]]:
    for name, setting in properties.items():
        notes = []
        if (default := setting.get("default")) is not None:
            notes.append(f"`{str(default).lower() if isinstance(default, bool) else default}`")
        if name in SETTINGS["required"]:
            notes.append("required")
        if setting.get("secret"):
            notes.append("secret")
        yield f"`{above}{name}`", ", ".join(notes), setting["description"]
        yield from _settings(setting.get("properties", {}), f"{above}{name}.")


def streams() -> str:
    """Build the table of streams."""
    head = ("stream", "rows", "read from", "key", "replication", "on by default", "requests")
    rows = [
        (
            f"`{stream.name}`",
            (stream.__doc__ or "").partition("\n")[0],
            _read_from(stream),
            ", ".join(f"`{column}`" for column in stream.primary_keys),
            _replication(stream),
            "yes" if stream.selected_by_default else "",
            _requests(stream),
        )
        for stream in STREAMS
    ]
    return table(head, rows)


def _source(stream: type[LevStream]) -> type[LevStream]:
    """Find the list that a stream's rows come with: its own, or that of its topmost parent."""
    return _source(stream.parent) if issubclass(stream, ChildStream) else stream


def _is_embedded(stream: type[LevStream]) -> bool:
    return issubclass(stream, ChildStream) and stream.embed is not None and not stream.verify_embed


def _read_from(stream: type[LevStream]) -> str:
    if _is_embedded(stream):
        return f"`{_source(stream).path}`, `include={stream.embed}`"
    method = "" if f"GET {stream.path}" in READS else "POST "
    return f"{method}`{stream.path}`"


def _replication(stream: type[LevStream]) -> str:
    if issubclass(stream, ChildStream) and not stream.deduplicate:
        return f"follows `{_source(stream).name}`"
    if issubclass(stream, IncrementalStream):
        return f"INCREMENTAL by `{stream.replication_key}`"
    return "FULL_TABLE"


def _requests(stream: type[LevStream]) -> str:
    if _is_embedded(stream):
        return "0"
    if issubclass(stream, ChildStream):
        parent = re.sub("ies$", "y", stream.parent.name).removesuffix("s").replace("_", " ")
        per_call = (
            f" / {CALLED_FOR[stream.name]}" if stream.requests is not ChildStream.requests else ""
        )
        return f"1 / {parent}{per_call}" + (", or 0" if stream.verify_embed else "")
    return "1 / 200" if issubclass(stream, IncrementalStream) else "1"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Build a table in Markdown."""
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def attributes() -> str:
    """Build the table of the class attributes of a stream."""
    return table(("attribute", "of", "default", "meaning"), _attributes())


def _attributes() -> Iterator[tuple[str, str, str, str]]:
    """Read the attributes that have a description from the source of the base classes."""
    for base in (LevStream, ListStream, ChildStream):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        if not isinstance(definition, ast.ClassDef):
            raise TypeError(f"{base} is no class.")
        for statement, description in pairwise(definition.body):
            match statement, description:
                case ast.AnnAssign(), ast.Expr(ast.Constant(str(text))):
                    if "ClassVar" not in ast.unparse(statement.annotation):
                        continue
                    default = f"`{ast.unparse(statement.value)}`" if statement.value else ""
                    name = f"`{ast.unparse(statement.target)}`"
                    meaning = " ".join(text.split()).replace("``", "`")
                    meaning = re.sub(r" \(lev-api\.md [^)]*\)", "", meaning)
                    yield name, f"`{base.__name__}`", default, meaning


def shared() -> str:
    """Build the table of the settings of every SDK tap."""
    return settings(SHARED)


def replace_tables(text: str) -> str:
    """Replace the tables between their markers."""
    tables = {"settings": settings, "shared": shared, "streams": streams, "attributes": attributes}
    for name, build in tables.items():
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        if start:
            _, end, after = rest.partition(f"<!-- /{name} -->")
            text = f"{before}{start}{build()}{end}{after}"
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(replace_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
