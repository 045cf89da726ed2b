"""``make bench``: measure, write the figures, the tables and the pictures."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import long, machine, memory, pace, page, plan, plots, rows, startup
from benchmarks.page import RESULTS
from benchmarks.programs import Workplace

PARTS = ("rows", "memory", "pace", "plan", "startup", "long")
_BEGUN = time.monotonic()


def tell(text: str) -> None:
    """Say what is done now."""
    print(f"{time.monotonic() - _BEGUN:7.1f} s  {text}", file=sys.stderr, flush=True)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=(*PARTS, "drawing"), metavar="PART",
        help="the parts to measure, others keep their last figures: rows, memory, pace, plan, "
        "startup, long; drawing measures nothing",
    )  # fmt: skip
    parser.add_argument("--rows", type=int, default=100_000, help="contacts (%(default)s)")
    parser.add_argument("--gzip", action="store_true", help="compressed answers, for rows")
    parser.add_argument("--runs", type=int, default=7, help="runs of each command (%(default)s)")
    parser.add_argument(
        "--memory-runs", type=int, default=5, help="of this tap, the others run once (%(default)s)"
    )
    parser.add_argument(
        "--pace-runs", type=int, default=1,
        help="of this tap under each tier's limits, each 20 windows long (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--plan-runs", type=int, default=1, help="of each plan and its sync (%(default)s)"
    )
    parser.add_argument(
        "--patience", type=int, default=300,
        help="seconds after which the plain tap is ended under limits (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--tiers", nargs="+", choices=tuple(pace.WINDOWS), metavar="TIER",
        default=tuple(pace.WINDOWS), help="tiers whose limits to run under: %(default)s",
    )  # fmt: skip
    return parser.parse_args()


def main() -> None:
    """Measure the parts that are asked for, and write everything anew."""
    chosen = options()
    results: dict[str, Any] = (
        json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    )
    parts = chosen.only or PARTS
    with tempfile.TemporaryDirectory(prefix="tap-lev-bench-") as directory:
        place = Workplace(Path(directory))
        measures = {
            "rows": lambda: rows.measure(
                place, tell, rows=chosen.rows, runs=chosen.runs, gzip=chosen.gzip
            ),
            "memory": lambda: memory.measure(place, tell, runs=chosen.memory_runs, others=1),
            "pace": lambda: pace.measure(
                place, tell, tiers=chosen.tiers, runs=chosen.pace_runs, patience=chosen.patience
            ),
            "plan": lambda: plan.measure(place, tell, tiers=chosen.tiers, runs=chosen.plan_runs),
            "startup": lambda: startup.measure(place, tell, runs=chosen.runs),
            "long": lambda: long.measure(place, tell),
        }
        if {"rows", "memory"} & set(parts):
            rows.check(place, tell)
        for part in PARTS:
            if part in parts:
                found = measures[part]() | {"machine": machine.told()}
                tiered = part in {"pace", "plan"}
                results[part] = _beside(results.get(part), found) if tiered else found
                RESULTS.write_text(_readable(results), encoding="utf-8")
    page.write(results)
    plots.draw(results)
    print(page.summary(results), end="")
    tell(f"{RESULTS.name}, {page.PAGE.name} and the pictures are written")


def _readable(results: dict[str, Any]) -> str:
    """Write JSON with a line for each list of numbers, not for each number."""
    text = json.dumps(results, indent=1) + "\n"
    return re.sub(r"\[[^][{}]*\]", lambda m: re.sub(r"\s+", " ", m[0]), text)


def _beside(last: dict[str, Any] | None, found: dict[str, Any]) -> dict[str, Any]:
    """Keep the last figures of tiers that were left out now."""
    tiers = (last or {"tiers": {}})["tiers"] | found["tiers"]
    return found | {"tiers": {tier: tiers[tier] for tier in pace.WINDOWS if tier in tiers}}


if __name__ == "__main__":
    main()
