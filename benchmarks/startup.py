"""What it takes to start: the commands that read little or nothing."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.lev import running_lev
from benchmarks.programs import BIN, UNPACED, Command, Workplace, tap_lev

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.lev import Lev

SDK = 'python -c "import singer_sdk"'
VERSION = "tap-lev --version"
DISCOVER = "tap-lev --discover"
NOTHING_NEW = "tap-lev, nothing new"
NOTHING_NEW_CHANGED = "tap-lev, nothing new, per_parent_scope: changed"


def measure(place: Workplace, tell: Callable[[str], None], *, runs: int) -> dict[str, Any]:
    """Run each command, in turn.

    Args:
        place: Where the files go.
        tell: Says what is done.
        runs: How often each is run.
    """
    with running_lev() as lev:
        commands = {
            SDK: Command([sys.executable, "-c", "import singer_sdk"], {}),
            VERSION: Command([str(BIN / "tap-lev"), "--version"], {}),
            DISCOVER: Command([str(BIN / "tap-lev"), "--discover"], {}),
            NOTHING_NEW: _again(lev, place, {}),
            NOTHING_NEW_CHANGED: _again(lev, place, {"per_parent_scope": "changed"}),
        }
        taken: dict[str, dict[str, list[float]]] = {n: {"wall": [], "cpu": []} for n in commands}
        rows = {}
        for turn in range(runs + 1):
            tell("start-up: " + (f"round {turn} of {runs}" if turn else "to warm up"))
            for name, command in commands.items():
                run = place.finish(command)
                rows[name] = run.rows().total()
                if turn:
                    taken[name]["wall"].append(run.taken.wall)
                    taken[name]["cpu"].append(run.taken.cpu)
        place.clear()
    return {"runs": runs, "commands": taken, "rows": rows}


def _again(lev: Lev, place: Workplace, settings: dict[str, Any]) -> Command:
    """Make the command of a second run, after one that read everything."""
    command = tap_lev(lev, place, None, {**UNPACED, **settings})
    first = place.finish(command)
    states = [line for line in first.output.read_bytes().splitlines() if b'"STATE"' in line[:20]]
    state = place.file("state.json", json.loads(states[-1])["value"])
    return Command([*command.arguments, "--state", state], {})
