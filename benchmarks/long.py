"""Long runs: two hours' worth of requests, fifty restarts, fifty runs from one another's states."""

from __future__ import annotations

import math
import random
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.disturbances import Changes, disturbances
from benchmarks.lev import LARGEST_PAGE, Lev, running_lev
from benchmarks.programs import EVERYTHING, UNPACED, Command, Streams, Workplace, tap_lev
from benchmarks.watched import PROCESSES, Kill, watch
from tests.support.expected_rows import ALL, QUERIES, key_of, truth
from tests.support.process import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.watched import Watched

TIER, SHARE, MINUTES = "enterprise", 0.9, 120
WINDOW = 3.0
"""Seconds that stand for Lev's minute."""
SIZES: Mapping[str, float] = {
    "deals": 2400,
    "placements": 6400,
    "contacts": 6000,
    "companies": 1800,
    "lenders": 800,
    "checklist_tasks": 2,
}
"""An account for which a run needs all the requests of two hours, and no endpoint more than its."""
RESTARTS, AGAIN = 50, 50
OVERLAP_MINUTES = 5
"""The default of overlap_seconds."""
CHANGES_BETWEEN = 20
"""Rows that change between one incremental run and the next."""
WHOLE = {"index_metric_definitions"}
"""Asks for every deal in each run, so it is left out of the incremental ones."""
LOOK, QUICK_LOOK = 1.0, 0.1
"""Seconds between two looks at a tap: in the long run, and in those that are cut short."""
POINTS = 240
"""Points of a curve."""
ENDS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 128 + signal.SIGTERM}
"""The exit code after a signal."""


def measure(place: Workplace, tell: Callable[[str], None]) -> dict[str, Any]:
    """Watch one long run, one that is cut short and gone on with, and many that follow.

    Args:
        place: Where the files go.
        tell: Says what is done.

    Raises:
        RuntimeError: On this system one process cannot look at another.
    """
    if not PROCESSES.joinpath("self", "statm").exists():
        raise RuntimeError("The part 'long' looks at the tap's process in /proc, as Linux has it.")
    chance = random.Random(1)  # noqa: S311 - can be repeated
    with running_lev(tier=TIER, window=WINDOW, **SIZES) as lev:
        # So that at the end the changed deals are enough to find every changed child.
        lev.ask("PATCH", "/switches", child_moves_parent=True, gzip=False)
        changes = Changes(lev, chance)

        tell(f"long: {MINUTES} minutes of Lev's in {MINUTES * WINDOW:.0f} s")
        made = command(lev, place, EVERYTHING)
        with disturbances(lev, changes, WINDOW):
            run, asked = finish(lev, made, place, Target(), every=LOOK)
        whole = asked | _curves(run, WINDOW) | {"states": run.states, "changes": changes.made}

        target = Target()
        with disturbances(lev, changes, WINDOW):
            parts = restarted(
                lev, made, place, target, tell,
                restarts=RESTARTS, states=run.states, chance=chance,
            )  # fmt: skip

        lev.ask("PATCH", "/limits", tier="none")
        made = command(lev, place, set(ALL) - WHOLE, per_parent_scope="changed", **UNPACED)
        following = []
        for number in range(1, AGAIN + 1):
            tell(f"long: incremental run {number} of {AGAIN}")
            for _ in range(CHANGES_BETWEEN):
                changes.make()
            run, asked = finish(lev, going_on(made, place, target), place, target)
            following.append(asked | _most(run))

        tell("long: comparing with what Lev says")
        compared = differences(lev, target)
    place.clear()
    return {
        "tier": TIER,
        "share": SHARE,
        "window": WINDOW,
        "sizes": dict(SIZES),
        "changes": changes.made,
        "run": whole,
        "restarts": parts,
        "following": following,
        "compared": compared,
    }


# -- Runs


def command(lev: Lev, place: Workplace, streams: Streams, **settings: Any) -> Command:  # noqa: ANN401
    """Make the command of a tap for which a minute is shorter."""
    given = {
        "page_size": LARGEST_PAGE,
        "rate_limit_share": SHARE,
        "rate_limit_window_seconds": WINDOW,
        "overlap_seconds": math.ceil(OVERLAP_MINUTES * WINDOW),
        **QUERIES,
        **settings,
    }
    return tap_lev(lev, place, streams, given)


def going_on(made: Command, place: Workplace, target: Target) -> Command:
    """Let a command go on from the state that a target has stored."""
    if target.state is None:
        return made
    state = place.file("state.json", target.state)
    return replace(made, arguments=[*made.arguments, "--state", state])


def finish(
    lev: Lev, made: Command, place: Workplace, target: Target, *, every: float = 0
) -> tuple[Watched, dict[str, Any]]:
    """Watch a run that must come to its end; count what it asks for.

    Args:
        lev: The Lev that it reads.
        made: The tap.
        place: Where the files go.
        target: Takes what it writes.
        every: Seconds between two looks at it.
    """
    lev.ask("DELETE", "/requests")
    run = watch(made, place, target, every=every)
    _expect(run, 0)
    return run, _asked(lev)


def restarted(  # noqa: PLR0913
    lev: Lev,
    made: Command,
    place: Workplace,
    target: Target,
    tell: Callable[[str], None],
    *,
    restarts: int,
    states: int,
    chance: random.Random,
) -> list[dict[str, Any]]:
    """Read everything in many runs, each but the last of which is ended at some moment.

    Args:
        lev: The Lev that they read.
        made: The tap.
        place: Where the files go.
        target: Takes what they write, and stores the state that the next one goes on from.
        tell: Says what is done.
        restarts: How often a run is ended.
        states: How many STATE messages a run writes that nothing ends.
        chance: What the moments are drawn from.
    """
    parts = []
    # So far from its end that a run does not reach it before it is ended.
    moments = [0, *sorted(chance.sample(range(1, states * 9 // 10), restarts))]
    for number in range(1, restarts + 1):
        kill = Kill(
            after=moments[number] - moments[number - 1],
            signal=chance.choice(list(ENDS)),
            target_too=bool(chance.getrandbits(1)),
        )
        tell(f"long: run {number} of {restarts}, ended by {kill.signal.name}")
        lev.ask("DELETE", "/requests")
        run = watch(going_on(made, place, target), place, target, every=QUICK_LOOK, kill=kill)
        _expect(run, ENDS[kill.signal])
        parts.append(_asked(lev) | _most(run) | {"signal": kill.signal.name})
    tell("long: the last run")
    run, asked = finish(lev, going_on(made, place, target), place, target, every=QUICK_LOOK)
    return [*parts, asked | _most(run)]


def _expect(run: Watched, code: int) -> None:
    if run.exit_code != code:
        log = run.log.read_text(encoding="utf-8")[-2000:]
        raise RuntimeError(f"A run ended with {run.exit_code}, not with {code}:\n{log}")


# -- Figures


def _asked(lev: Lev) -> dict[str, Any]:
    """Count what was asked since the last time."""
    counters = lev.ask("GET", "/counters")
    kept = ("requests", "statuses", "faults")
    return {name: counters[name] for name in kept}


def _most(run: Watched) -> dict[str, Any]:
    """Find the most that a run had."""
    most = {
        name: max((getattr(sample, name) for sample in run.samples), default=None)
        for name in ("memory", "files", "threads", "state")
    }
    return {**most, "wall": run.wall}


def _curves(run: Watched, window: float) -> dict[str, Any]:
    """Thin the samples out."""
    samples = run.samples[:: len(run.samples) // POINTS or 1]
    return {
        "minutes": [round(sample.at / window, 2) for sample in samples],
        "memory": [sample.memory for sample in samples],
        "files": [sample.files for sample in samples],
        "threads": [sample.threads for sample in samples],
        "state": [sample.state for sample in samples],
        "wall": run.wall,
    }


def differences(lev: Lev, target: Target) -> dict[str, int]:
    """Hold the rows that a target has against those that Lev says.

    Returns:
        Rows compared, lost, wrong, and left although Lev no longer has them.
    """
    found = {"rows": 0, "lost": 0, "wrong": 0, "left": 0}
    for stream in ALL:
        said = {key_of(stream, row): row for row in truth(lev, stream)}
        written = target.tables.get(stream, {})
        for row in written.values():
            row.pop("as_of", None)  # when it was read
        found["rows"] += len(said)
        found["lost"] += len(said.keys() - written.keys())
        found["left"] += len(written.keys() - said.keys())
        found["wrong"] += sum(said[key] != written[key] for key in said.keys() & written.keys())
    return found
