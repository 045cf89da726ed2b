"""Random changes to the rows of a sandbox, for tests that read it meanwhile."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lev_sandbox.resources import RESOURCES
from lev_sandbox.store import KEYED_OTHERWISE

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from lev_sandbox.request import Request
    from lev_sandbox.sandbox import Sandbox

ACTS: Mapping[str, int] = {"touch": 3, "add": 2, "remove": 1, "archive": 1}
"""The acts, each with its weight in the draw."""
ADDABLE = frozenset(RESOURCES) - {
    "account_team", "base_rates", "checklist_sections", "checklist_tasks", "checklists",
    "deal_financials", "deal_pipelines", "index_entities", "my_accounts",
}  # fmt: skip
"""Resources whose new rows get a key that no other row has."""
LASTING = frozenset({"checklist_sections", "checklist_tasks", "my_accounts"})
"""Resources whose rows are never removed, because other rows need them."""
ARCHIVABLE = frozenset({"deals", "placements"})
_STEPS = (0, 0, 0.3, 1, 30)
"""Seconds that the clock may advance before a change: several changes may share a second."""


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        act: What is done to the row: a name out of `ACTS`, or of a subclass.
        resource: The resource of the row.
        number: The number of the row; for an added row that of its parent, or 0.
    """

    act: str
    resource: str
    number: int


class Churn:
    """Changes, adds, archives and removes random rows.

    Args:
        sandbox: The sandbox.
        chance: The source of randomness.
        resources: The resources to change; one that is named twice is drawn twice as often.
        acts: What may be done to a row, each with its weight.
        least: Rows that every resource keeps.

    Attributes:
        rate: The probability of a change at each request, in `on_request`.
        made: How many changes were made.
        removed: The numbers of the removed rows by resource.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        chance: random.Random,
        resources: Sequence[str],
        *,
        acts: Mapping[str, int] = ACTS,
        least: int = 1,
    ) -> None:
        for resource in resources:
            sandbox.store.table(resource)  # fails for an unknown one
        self.sandbox = sandbox
        self.chance = chance
        self.resources = resources
        self.acts = acts
        self.least = least
        self.rate = 0.0
        self.made = 0
        self.removed: defaultdict[str, set[int]] = defaultdict(set)

    def on_request(self, request: Request) -> None:
        """Make changes before a request is answered; a hook for `Sandbox.on_request`."""
        with self.sandbox.lock:
            while self.resources and self.chance.random() < self.rate:
                self.sandbox.clock.advance(self.chance.choice(_STEPS))
                self.change_at(request)

    def change_at(self, _request: Request) -> None:
        """Make one change at a request; subclasses may draw what fits it."""
        self.change()

    def change(self, resource: str | None = None, *, behind: int = 0) -> Change | None:
        """Make one change and return it, or None where nothing can be done.

        Args:
            resource: The resource; a random one by default.
            behind: A reader's position: every other change is to a row up to this number.
        """
        with self.sandbox.lock:
            change = self._draw(resource or self.chance.choice(self.resources), behind)
            if change is not None:
                self.apply(change)
                self.made += 1
            return change

    def _draw(self, resource: str, behind: int) -> Change | None:
        numbers = self.sandbox.store.table(resource).listed()
        passed = [number for number in numbers if number <= behind]
        near = passed if passed and self.chance.random() < 0.5 else numbers  # noqa: PLR2004
        number = self.chance.choice(near) if near else 0
        acts = {act: weight for act, weight in self.acts.items() if self.can(act, resource, number)}
        if not acts:
            return None
        (act,) = self.chance.choices([*acts], [*acts.values()])
        if act != "add":
            return Change(act, resource, number)
        parents = self._possible_parents(resource)
        return Change(act, resource, self.chance.choice(parents)) if parents else None

    def can(self, act: str, resource: str, number: int) -> bool:
        """Return whether something can be done to a row of a resource."""
        match act:
            case "add":
                return resource in ADDABLE
            case "touch":
                return number > 0 and RESOURCES[resource].touch is not None
            case "archive":
                return number > 0 and resource in ARCHIVABLE
            case _:
                return resource not in LASTING and self.is_spare(resource)

    def is_spare(self, resource: str) -> bool:
        """Return whether lists show more rows of a resource than must stay."""
        return len(self.sandbox.store.table(resource).listed()) > self.least

    def apply(self, change: Change) -> None:
        """Make a change that was drawn."""
        resource = change.resource
        match change.act:
            case "add":
                self.sandbox.add(resource, parent=change.number or None)
            case "touch":
                seed = self.chance.randrange(1 << 30)
                self.sandbox.touch(resource, ids=[self._key(change)], seed=seed)
            case "archive":
                self.sandbox.archive(resource, change.number)
            case "remove":
                self.sandbox.remove(resource, self._key(change))
                self.removed[resource].add(change.number)

    def _key(self, change: Change) -> object:
        """Return the key by which the sandbox finds a row."""
        if change.resource not in KEYED_OTHERWISE:
            return change.number
        row = self.sandbox.store.table(change.resource).row(change.number)
        return row[RESOURCES[change.resource].key or ""]

    def _possible_parents(self, resource: str) -> Sequence[int]:
        """Return the rows that can get a new child; 0 alone where a row has no parent."""
        parent, store = RESOURCES[resource].parent, self.sandbox.store
        if parent is None:
            return (0,)
        return [
            number
            for number in store.table(parent).listed()
            if store.visible(parent, number)
            # The sandbox puts a document into a vault of the deal.
            and (resource != "documents" or store.table("vaults").listed(number))
        ]
