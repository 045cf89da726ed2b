"""Disturbances while a tap reads: rows change, come and go, and a few requests fail."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from benchmarks.lev import Lev

CHANGE_EVERY = 0.25
"""Seconds from one change to the next."""
CHANGED = (
    "deals", "placements", "contacts", "companies", "lenders", "deal_financials", "deal_properties",
    "deal_team", "term_sheets", "documents", "vaults", "memos", "deal_notes", "contact_notes",
    "company_notes", "placement_notes", "index_facts", "index_observations", "lender_programs",
    "pipelines", "base_rates", "asset_types",
)  # fmt: skip
GROWING = ("deals", "placements", "contacts", "companies")
RESOURCES = {"touch": CHANGED, "add": GROWING, "remove": GROWING}
"""The resources to which each act is done."""
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 500, "rate": 0.001},
    {"kind": "status", "status": 503, "form": "html", "rate": 0.0005},
    {"kind": "reset", "rate": 0.0005},
    {"kind": "cut", "rate": 0.0005},
    {"kind": "not_json", "rate": 0.0002},
    {"kind": "hang", "seconds": 2, "rate": 0.0005},
    {"kind": "drip", "chunk_bytes": 256, "seconds": 0.05, "rate": 0.0002},
)
"""Faults, each at a share of the requests."""
LIMITED = {"kind": "status", "status": 429, "rate": 0.0002}
"""A refusal, as if another program of the account had used up the rate limit."""


class Changes:
    """Changes rows: most get another text, some are new, a few are removed.

    Args:
        lev: The sandbox with the rows.
        chance: The source of randomness.

    Attributes:
        made: How many changes were made.
    """

    def __init__(self, lev: Lev, chance: random.Random) -> None:
        self._lev = lev
        self._chance = chance
        self.made = 0

    def make(self) -> None:
        """Make a change."""
        (act,) = self._chance.choices([*RESOURCES], [85, 10, 5])
        seed, resources = self._chance.randrange(1 << 30), RESOURCES[act]
        self._lev.ask("POST", "/churn", resources=resources, acts={act: 1}, seed=seed)
        self.made += 1


@contextlib.contextmanager
def disturbances(lev: Lev, changes: Changes, window: float) -> Iterator[None]:
    """Change rows and let requests fail until the block is left.

    Args:
        lev: The sandbox.
        changes: Makes the changes.
        window: Seconds that a refused tap is told to wait.
    """
    for seed, fault in enumerate([*FAULTS, {**LIMITED, "seconds": window}]):
        lev.ask("POST", "/faults", times=None, seed=seed, **fault)
    over = threading.Event()

    def change() -> None:
        while not over.wait(CHANGE_EVERY):
            changes.make()

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        try:
            yield
        finally:
            over.set()
            lev.ask("DELETE", "/faults")
        changing.result()
