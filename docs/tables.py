"""Tables of the docs, made from the code: ``python docs/tables.py`` writes them."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tap_lev.streams.per_parent import PerParentStream

from tap_lev.commands.about import settings, streams, table
from tap_lev.config.settings import SHARED
from tap_lev.streams.base import LevStream
from tap_lev.streams.child import ChildStream
from tap_lev.streams.lists import ListStream

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parent
PAGES = (DOCS.parent / "README.md", DOCS / "adding-a-stream.md")


def attributes() -> str:
    """Build the table of what a stream can say of itself."""
    return table(("attribute", "of", "default", "meaning"), _attributes())


def _attributes() -> Iterator[tuple[str, str, str, str]]:
    """Find the class attributes of the base classes that have a description."""
    for base in (LevStream, ListStream, PerParentStream, ChildStream):
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


def shared() -> str:
    """Build the table of the settings of every SDK tap."""
    return settings(SHARED)


def filled(text: str) -> str:
    """Put the tables between their markers."""
    tables = {"settings": settings, "shared": shared, "streams": streams, "attributes": attributes}
    for name, build in tables.items():
        pattern = rf"(<!-- {name} -->\n).*(<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, b=build: m[1] + b() + m[2], text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
