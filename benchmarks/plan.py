"""How near ``tap-lev --plan`` comes to the time that the sync then takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.lev import running_lev
from benchmarks.pace import ALL_STREAMS, DEFAULT_SELECTION, SELECTIONS
from benchmarks.programs import METRIC, QUERY, Command, Streams, Workplace, tap_lev

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LATENCY, JITTER = 0.02, 0.02
"""Of an answer: to the shorter minute about what 0.3 s are to Lev's."""
WINDOWS = {"free": 6.0, "standard": 6.0, "enterprise": 8.0}
"""Seconds that stand for Lev's minute."""
DEALS = {"free": 12, "standard": 25, "enterprise": 70}
"""Deals where everything is selected."""
SOME_DEALS = "a call for each deal"
FIGURES = "requests", "seconds", "bottleneck"
"""What is kept of a plan."""
PER_DEAL = ("deals", "deal_notes", "vaults")


@dataclass(frozen=True)
class Case:
    """What is planned and then done.

    Attributes:
        streams: The selected streams.
        sizes: The account, by tier.
        page_size: Rows that are asked for at once.
    """

    streams: Streams
    sizes: Callable[[str], Mapping[str, int]]
    page_size: int


CASES: Mapping[str, Case] = {
    DEFAULT_SELECTION: Case(None, lambda tier: _account(5 * DEALS[tier]), 10),
    SOME_DEALS: Case(PER_DEAL, lambda tier: {"deals": 4 * DEALS[tier]}, 200),
    ALL_STREAMS: Case(SELECTIONS[ALL_STREAMS], lambda tier: _account(DEALS[tier]), 200),
}


def _account(deals: int) -> dict[str, int]:
    """Find an account in the sandbox's own proportions."""
    return {
        "deals": deals,
        "placements": deals * 3,
        "contacts": deals * 5 // 2,
        "companies": deals * 3 // 4,
        "lenders": deals * 7 // 20,
    }


def measure(
    place: Workplace, tell: Callable[[str], None], *, tiers: Sequence[str], runs: int
) -> dict[str, Any]:
    """Plan a sync and do it, under the limits of each tier.

    Args:
        place: Where the files go.
        tell: Says what is done.
        tiers: The tiers.
        runs: How often.
    """
    found: dict[str, Any] = {}
    for tier in tiers:
        found[tier] = {}
        for name, case in CASES.items():
            with running_lev(tier=tier, window=WINDOWS[tier], **case.sizes(tier)) as lev:
                lev.ask("PATCH", "/switches", latency=LATENCY, latency_jitter=JITTER)
                settings = {
                    "page_size": case.page_size,
                    "rate_limit_window_seconds": WINDOWS[tier],
                    "fact_queries": [QUERY],
                    "observation_metric_ids": [METRIC],
                }
                sync = tap_lev(lev, place, case.streams, settings)
                plan = Command([*sync.arguments, "--plan", "--format=json"], sync.environment)
                taken = []
                for _ in range(runs):
                    tell(f"plan: {tier}, {name}")
                    # Neither is to find the windows full of what was before it.
                    lev.ask("PATCH", "/limits", tier=tier)
                    lev.ask("DELETE", "/requests")
                    said = json.loads(place.finish(plan).output.read_text(encoding="utf-8"))
                    asked = len(lev.requests())
                    lev.ask("PATCH", "/limits", tier=tier)
                    lev.ask("DELETE", "/requests")
                    wall = place.finish(sync).taken.wall
                    made = len(lev.requests())
                    figures = {name: said[name] for name in FIGURES}
                    taken.append(figures | {"asked": asked, "wall": wall, "made": made})
            place.clear()
            found[tier][name] = taken
    return {"latency": [LATENCY, JITTER], "tiers": found}
