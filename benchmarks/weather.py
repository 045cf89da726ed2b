"""What goes on at Lev while a tap reads: rows change, come and go, and a few calls fail."""

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
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 500, "rate": 0.001},
    {"kind": "status", "status": 503, "form": "html", "rate": 0.0005},
    {"kind": "reset", "rate": 0.0005},
    {"kind": "cut", "rate": 0.0005},
    {"kind": "not_json", "rate": 0.0002},
    {"kind": "hang", "seconds": 2, "rate": 0.0005},
    {"kind": "drip", "chunk_bytes": 256, "seconds": 0.05, "rate": 0.0002},
)
"""What goes wrong, and with which part of the requests."""
LIMITED = {"kind": "status", "status": 429, "rate": 0.0002}
"""The same, of what asks for a wait: as if another program of the account had used it up."""


class Changes:
    """Changes rows: most get another text, some are new, a few are gone.

    Args:
        lev: Where the rows are.
        chance: What is drawn from.

    Attributes:
        made: How many changes were made.
    """

    def __init__(self, lev: Lev, chance: random.Random) -> None:
        self._lev = lev
        self._chance = chance
        sizes = lev.ask("GET", "")["sizes"]
        self._going = [(kind, key) for kind in GROWING for key in range(1, sizes[kind] + 1)]
        chance.shuffle(self._going)
        self.made = 0

    def make(self) -> None:
        """Make a change."""
        act = self._chance.random()
        if act < 0.1:  # noqa: PLR2004
            self._lev.ask("POST", f"/rows/{self._chance.choice(GROWING)}")
        elif act < 0.15:  # noqa: PLR2004
            self._lev.ask("DELETE", "/rows/{}/{}".format(*self._going.pop()))
        else:
            kind, seed = self._chance.choice(CHANGED), self._chance.randrange(1 << 30)
            self._lev.ask("POST", "/touch", resource=kind, count=1, seed=seed)
        self.made += 1


@contextlib.contextmanager
def weather(lev: Lev, changes: Changes, window: float) -> Iterator[None]:
    """Let rows change and calls fail until the block is left.

    Args:
        lev: Where.
        changes: Makes the changes.
        window: Seconds that a tap is told to wait for when it is refused by chance.
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
