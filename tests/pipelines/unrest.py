"""Rows that change while they are read."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.pipelines.tables import CORE
from tests.truth import OTHER_NAMES

if TYPE_CHECKING:
    import random

    from lev_sandbox import Request, Sandbox

CHILDREN = {"deal_properties": "deals", "deal_team": "deals", "placement_notes": "placements"}
PARENTS = {"deal_pipelines": "deals", **CHILDREN}
LISTS = (*CORE, "asset_types")
LEAST = 5


class Unrest:
    """Changes, adds, archives and removes rows whenever Lev is asked something.

    Attributes:
        changes: How many.
        removed: The numbers of removed rows.
    """

    def __init__(self, sandbox: Sandbox, chance: random.Random, rate: float) -> None:
        self._sandbox = sandbox
        self._random = chance
        self._rate = rate
        self.changes = 0
        self.removed: dict[str, set[int]] = defaultdict(set)
        self.stop = sandbox.on_request(self._disturb)

    def may_be_left(self, stream: str, key: tuple[Any, ...]) -> bool:
        """Say whether a row was in Lev and is no more, so that a table may still hold it."""
        name = OTHER_NAMES.get(stream, stream)
        parent = PARENTS.get(name)
        gone = key[-1] in self.removed[name]
        return gone or (parent is not None and key[0] in self.removed[parent])

    def _disturb(self, _: Request) -> None:
        with self._sandbox.lock:
            while self._random.random() < self._rate:
                self._sandbox.clock.advance(self._random.choice((0, 0, 1, 30)))
                self._change(self._random.choice((*LISTS, *CHILDREN)))

    def _change(self, kind: str) -> None:
        box = self._sandbox
        numbers = box.store.table(kind).listed()
        acts = ["add"]
        if len(numbers) > LEAST:
            acts += ["touch", "touch", "remove"]
            acts += ["archive"] if kind in {"deals", "placements"} else []
        act = self._random.choice(acts)
        self.changes += 1
        match act:
            case "add":
                self._add(kind)
            case "touch":
                box.touch(kind, 1, seed=self._random.randrange(1 << 30))
            case "archive":
                box.archive(kind, self._random.choice(numbers))
            case "remove":
                number = self._random.choice(numbers)
                self.removed[kind].add(number)
                box.store.table(kind).remove(number)

    def _add(self, kind: str) -> None:
        if kind not in CHILDREN:
            self._sandbox.add(kind)
            return
        parents = self._sandbox.store.table(CHILDREN[kind]).listed()
        self._sandbox.add(kind, parent=self._random.choice(parents))
