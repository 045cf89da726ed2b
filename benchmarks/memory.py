"""Peak memory, by the size of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.lev import running_lev
from benchmarks.programs import MAKERS, TAP_LEV, Workplace
from benchmarks.rows import command

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL, LARGE = 10_000, 1_000_000


def measure(
    place: Workplace, tell: Callable[[str], None], *, runs: int, others: int
) -> dict[str, Any]:
    """Have everyone read a small and a large account.

    Args:
        place: Where the files go.
        tell: Says what is done.
        runs: How often this tap reads each.
        others: How often the others do.
    """
    peaks: dict[str, dict[str, list[int]]] = {name: {"small": [], "large": []} for name in MAKERS}
    for size, rows in (("small", SMALL), ("large", LARGE)):
        with running_lev(contacts=rows) as lev:
            lev.ask("PATCH", "/switches", gzip=False)
            tell(f"memory: making {rows:,} rows")
            lev.walk("/contacts")
            for turn in range(max(runs, others)):
                for name in MAKERS:
                    if turn < (runs if name == TAP_LEV else others):
                        tell(f"memory: {name} at {rows:,} rows, run {turn + 1}")
                        run = place.finish(command(name, lev, place))
                        if run.rows() != {"contacts": rows}:
                            raise RuntimeError(f"{name} did not read {rows} contacts.")
                        place.clear()
                        peaks[name][size].append(run.taken.memory)
    return {"small": SMALL, "large": LARGE, "programs": peaks}
