"""Tables for people: aligned, in colour only on a terminal."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tap_lev.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

STYLES = {
    "ok": "green",
    "forbidden": "yellow",
    "failing": "red",
    "ignored": "yellow",
    "refused": "yellow",
}
"""How cells are shown, by what stands in them."""
WIDE = 10_000
"""Columns where there is no terminal: nothing is broken into lines for a file or a pipe."""


def printed(
    above: Sequence[tuple[str, str]],
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    below: Iterable[str],
    *,
    numbers: Iterable[str] = (),
) -> str:
    """Lay a report out for where the output goes.

    Args:
        above: What is told before the table, each with its name.
        head: The names of the columns.
        rows: The cells. They are repeated as they are, whatever others wrote into them.
        below: Sentences after the table.
        numbers: The columns that are numbers.
    """
    out = io.StringIO()
    is_terminal = sys.stdout.isatty()
    console = Console(
        file=out,
        force_terminal=is_terminal,
        width=None if is_terminal else WIDE,
        highlight=False,
        markup=False,
        emoji=False,
    )
    width = max(len(name) for name, _ in above)
    for name, text in above:
        console.print(Text.assemble((name.ljust(width), "bold"), "  ", quoted(text)))
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    right = set(numbers)
    for name in head:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name == head[0],
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(quoted(cell), style=STYLES.get(cell, "")) for cell in row))
    console.print(table)
    for number, sentence in enumerate(below):
        if not number:
            console.print()
        console.print(Text(sentence))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def write(text: str) -> None:
    """Write to stdout, in whatever encoding it has."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout.write(text)
    sys.stdout.flush()  # An output that cannot be written is told here, not at exit.


def write_json(report: Mapping[str, Any]) -> None:
    """Write a report for programs."""
    write(f"{json.dumps(report, indent=2)}\n")
