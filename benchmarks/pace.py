"""How near a sync comes to the least time that Lev's limits allow, with a shorter minute."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from benchmarks.lev import LARGEST_PAGE, Lev, running_lev
from benchmarks.programs import (
    EVERYTHING,
    METRIC,
    PLAIN_TAP,
    QUERY,
    TAP_LEV,
    Streams,
    Workplace,
    plain_tap,
    tap_lev,
)
from lev_sandbox.limits import TIERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.programs import Command, Run

MINUTE = 60
PAGE_ROWS = 10
LATENCY, JITTER = 0.004, 0.004
PATIENT_TRIES = 12
"""Tries of the plain tap; the SDK's 5 end before a minute does."""
WINDOWS = {"free": 2.0, "standard": 3.0, "enterprise": 3.0}
"""Seconds that stand for Lev's minute: short, but long enough that no processor is the limit."""
PAGES = {"free": 160, "standard": 421, "enterprise": 1261}
"""Pages of each of the four lists of the default selection: more than 20 windows of them."""
DEALS = {"free": 30, "standard": 68, "enterprise": 200}
"""Deals where everything is selected; the others are in the sandbox's own proportion to them."""
CURVE_POINTS = 120

DEFAULT_SELECTION, ALL_STREAMS = "default selection", "everything"
SELECTIONS: Mapping[str, Streams] = {DEFAULT_SELECTION: None, ALL_STREAMS: EVERYTHING}
GIVES_UP = "as_made"


@dataclass(frozen=True)
class Paced:
    """A run under limits.

    Attributes:
        wall: Seconds from its start to its end.
        span: Seconds from its first request to its last.
        floor: The least seconds that its requests can take: one window's worth may go at once.
        even: The seconds that they take when each window's worth takes a window.
        requests: Requests that Lev answered.
        refused: Requests that Lev answered by 429.
        rows: Rows that came.
        exit_code: How it ended; negative when it was killed.
        curve: Requests answered by then, at even steps from the first to the last one.
    """

    wall: float
    span: float
    floor: float
    even: float
    requests: int
    refused: int
    rows: int
    exit_code: int
    curve: list[tuple[float, int]]


def sizes(tier: str, selection: str) -> dict[str, int]:
    """Find the account that keeps a tier busy for more than 20 windows."""
    if selection == DEFAULT_SELECTION:
        rows = PAGES[tier] * PAGE_ROWS
        return dict.fromkeys(("deals", "placements", "contacts", "companies"), rows)
    deals = DEALS[tier]
    return {
        "deals": deals,
        "placements": deals * 3,
        "contacts": deals * 5 // 2,
        "companies": deals * 3 // 4,
        "lenders": deals * 7 // 20,
    }


def measure(
    place: Workplace,
    tell: Callable[[str], None],
    *,
    tiers: Sequence[str],
    runs: int,
    patience: int,
) -> dict[str, Any]:
    """Run this tap and the plain one under the limits of each tier.

    Args:
        place: Where the files go.
        tell: Says what is done.
        tiers: The tiers.
        runs: How often this tap runs; the plain one runs once.
        patience: Seconds after which the plain tap is ended.
    """
    return {
        "latency": [LATENCY, JITTER],
        "page_rows": PAGE_ROWS,
        "patience": patience,
        "tiers": {tier: _tier(tier, place, tell, runs, patience) for tier in tiers},
    }


def _tier(
    tier: str, place: Workplace, tell: Callable[[str], None], runs: int, patience: int
) -> dict[str, Any]:
    selections = {}
    for name in SELECTIONS:
        account = sizes(tier, name)
        with running_lev(tier=tier, window=WINDOWS[tier], **account) as lev:
            lev.ask("PATCH", "/switches", latency=LATENCY, latency_jitter=JITTER)
            taken: dict[str, Any] = {"sizes": account, TAP_LEV: []}
            for _ in range(runs):
                tell(f"pace: {tier}, {name}, {TAP_LEV}")
                taken[TAP_LEV].append(_run(lev, tier, place, _ours(lev, tier, place, name)))
            if (tier, name) == ("standard", DEFAULT_SELECTION):
                tell(f"pace: {tier}, {name}, {PLAIN_TAP} as it is made")
                command = _theirs(lev, tier, place, name)
                taken[GIVES_UP] = _run(lev, tier, place, command, patience)
            tell(f"pace: {tier}, {name}, {PLAIN_TAP}")
            command = _theirs(lev, tier, place, name, max_tries=PATIENT_TRIES)
            taken[PLAIN_TAP] = _run(lev, tier, place, command, patience)
        place.clear()
        selections[name] = taken
    return {"window": WINDOWS[tier], "limits": TIERS[tier], "selections": selections}


def _ours(lev: Lev, tier: str, place: Workplace, selection: str) -> Command:
    settings = {
        "page_size": _page_size(selection),
        "rate_limit_window_seconds": WINDOWS[tier],
        "rate_limit_share": 1,
        "fact_queries": [QUERY],
        "observation_metric_ids": [METRIC],
    }
    return tap_lev(lev, place, SELECTIONS[selection], settings)


def _theirs(lev: Lev, tier: str, place: Workplace, selection: str, **more: int) -> Command:
    settings = {
        "page_size": _page_size(selection),
        "window_seconds": WINDOWS[tier],
        "fact_query": QUERY,
        "observation_metric_id": METRIC,
        **more,
    }
    return plain_tap(lev, place, SELECTIONS[selection], settings)


def _page_size(selection: str) -> int:
    return PAGE_ROWS if selection == DEFAULT_SELECTION else LARGEST_PAGE


def _run(
    lev: Lev, tier: str, place: Workplace, command: Command, patience: int = 0
) -> dict[str, Any]:
    """Run a tap while nothing is counted from before.

    Args:
        lev: The Lev that it reads.
        tier: Whose limits hold.
        place: Where the files go.
        command: The tap.
        patience: Seconds after which it is ended; 0: it has to reach its end.
    """
    lev.ask("PATCH", "/limits", tier=tier)
    lev.ask("DELETE", "/requests")
    run = place.run(command, patience=patience) if patience else place.finish(command)
    return asdict(_paced(lev, tier, run))


def _paced(lev: Lev, tier: str, run: Run) -> Paced:
    log = lev.requests()
    answered = [
        (moment, route) for moment, route, status in log if status != HTTPStatus.TOO_MANY_REQUESTS
    ]
    first = answered[0][0] if answered else 0.0
    last = answered[-1][0] if answered else 0.0
    counted = Counter(route for _, route in answered)
    step = max(len(answered) // CURVE_POINTS, 1)
    numbered = [(round(moment - first, 3), n) for n, (moment, _) in enumerate(answered, 1)]
    return Paced(
        wall=run.taken.wall,
        span=last - first,
        floor=floor(counted, tier, whole=True),
        even=floor(counted, tier, whole=False),
        requests=len(answered),
        refused=len(log) - len(answered),
        rows=run.rows().total(),
        exit_code=run.taken.exit_code,
        curve=[*numbered[:-1:step], *numbered[-1:]],
    )


def floor(counted: Mapping[str, int], tier: str, *, whole: bool) -> float:
    """Compute the least seconds for requests to these routes.

    Args:
        counted: Requests by route.
        tier: Whose limits hold.
        whole: Whether the first window's worth takes no time, as it may all go at once.
    """
    account, endpoint = TIERS[tier]
    buckets = [(sum(counted.values()), account), *((n, endpoint) for n in counted.values())]
    limited = [n / limit for n, limit in buckets if n and limit]
    windows = max((math.ceil(each) - 1 if whole else each for each in limited), default=0)
    return windows * WINDOWS[tier]
