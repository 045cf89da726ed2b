"""Rows a second and the processor time they take: one stream, no limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.lev import LARGEST_PAGE, Lev, running_lev
from benchmarks.programs import MAKERS, PLAIN_TAP, TAP_LEV, UNPACED, Command, Workplace

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKED_ROWS = 450


def measure(
    place: Workplace, tell: Callable[[str], None], *, rows: int, runs: int, gzip: bool
) -> dict[str, Any]:
    """Have everyone read all contacts, in turn.

    Each reads an account of one page, too: what that takes is its start, and no matter of rows.

    Args:
        place: Where the files go.
        tell: Says what is done.
        rows: How many contacts there are.
        runs: How often each reads them.
        gzip: Whether answers are compressed. The sandbox takes longer for that than anyone else.
    """
    taken: dict[str, dict[str, list[float]]] = {
        name: {"wall": [], "cpu": [], "start_wall": [], "start_cpu": []} for name in MAKERS
    }
    with running_lev(contacts=rows) as many, running_lev(contacts=LARGEST_PAGE) as page:
        for lev in (many, page):
            lev.ask("PATCH", "/switches", gzip=gzip)
            lev.walk("/contacts")
        for turn in range(runs + 1):
            for name in MAKERS:
                tell(f"rows: {name}, " + (f"run {turn} of {runs}" if turn else "to warm up"))
                for lev, expected, prefix in ((page, LARGEST_PAGE, "start_"), (many, rows, "")):
                    run = place.finish(command(name, lev, place))
                    delivered = run.rows()
                    place.clear()
                    if delivered != {"contacts": expected}:
                        raise RuntimeError(f"{name} read {delivered}, not {expected} contacts.")
                    if turn:
                        taken[name][f"{prefix}wall"].append(run.taken.wall)
                        taken[name][f"{prefix}cpu"].append(run.taken.cpu)
    return {"rows": rows, "page": LARGEST_PAGE, "runs": runs, "gzip": gzip, "programs": taken}


def command(name: str, lev: Lev, place: Workplace) -> Command:
    """Make the command by which one of them reads all contacts."""
    return MAKERS[name](lev, place, {"contacts"}, UNPACED if name == TAP_LEV else {})


def check(place: Workplace, tell: Callable[[str], None]) -> None:
    """Make sure that everyone delivers the same rows, before anything is measured.

    Raises:
        RuntimeError: Someone does not.
    """
    tell("checking that everyone reads the same rows")
    with running_lev(contacts=CHECKED_ROWS) as lev:
        for name in MAKERS:
            asked = command(name, lev, place)
            if name not in {TAP_LEV, PLAIN_TAP}:
                asked.arguments.append("--ids")
            run = place.finish(asked)
            if sorted(run.ids()) != list(range(1, CHECKED_ROWS + 1)):
                raise RuntimeError(f"{name} does not deliver the {CHECKED_ROWS} contacts.")
    place.clear()
