"""Rows that change while a pipeline reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lev_sandbox.churn import Churn
from tests.pipelines.tables import CORE
from tests.support.expected_rows import OTHER_NAMES

if TYPE_CHECKING:
    import random

    from lev_sandbox import Sandbox

CHILDREN = {"deal_properties": "deals", "deal_team": "deals", "placement_notes": "placements"}
PARENTS = {"deal_pipelines": "deals", **CHILDREN}
ACTS = {"touch": 2, "add": 1, "remove": 1, "archive": 1}


class Changes(Churn):
    """Changes, adds, archives and removes rows at requests."""

    def __init__(self, sandbox: Sandbox, chance: random.Random, rate: float) -> None:
        super().__init__(sandbox, chance, (*CORE, "asset_types", *CHILDREN), acts=ACTS, least=5)
        self.rate = rate
        self.stop = sandbox.on_request(self.on_request)

    def may_be_left(self, stream: str, key: tuple[Any, ...]) -> bool:
        """Return whether a row was in Lev and is no more, so that a table may still hold it."""
        name = OTHER_NAMES.get(stream, stream)
        parent = PARENTS.get(name)
        gone = key[-1] in self.removed[name]
        return gone or (parent is not None and key[0] in self.removed[parent])
