"""Write the tables of the docs from the code: ``python -m devtools.tables``."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tap_lev.commands.about import settings, streams, table
from tap_lev.config.settings import SHARED
from tap_lev.streams.base import LevStream
from tap_lev.streams.child import ChildStream
from tap_lev.streams.lists import ListStream
from tap_lev.streams.per_parent import PerParentStream

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS.parent / "README.md", DOCS / "adding-a-stream.md")


def attributes() -> str:
    """Build the table of the class attributes of a stream."""
    return table(("attribute", "of", "default", "meaning"), _attributes())


def _attributes() -> Iterator[tuple[str, str, str, str]]:
    """Read the attributes that have a description from the source of the base classes."""
    for base in (LevStream, ListStream, PerParentStream, ChildStream):
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
