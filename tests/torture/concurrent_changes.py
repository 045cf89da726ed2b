"""Rows that change while the tap reads them: behind its position, ahead of it, below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lev_sandbox import RESOURCES
from lev_sandbox.churn import ACTS, Churn
from tests.torture.account import cursor_id
from tests.torture.streams import LISTS, PAGES, STREAMS

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

    from lev_sandbox.churn import Change
    from lev_sandbox.request import Request
    from tests.torture.account import Account
    from tests.torture.rows import Form
    from tests.torture.streams import Key, Row

INNER = {
    "checklists": ("checklists", "checklist_sections", "checklist_tasks"),
    "checklist_tasks": ("checklist_tasks",),
    "vaults": ("vaults", "documents"),
}
"""The rows that a stream's rows are made of, where it is not just its own resource."""
HIDDEN_SHARE = 0.3


class ConcurrentChanges(Churn):
    """Changes rows at requests, and remembers which.

    Attributes:
        changed: When a row of a list, or anything below it, changed last, in microseconds. The
            number 0 stands for a resource that is below no list.
        silent: Earlier forms of rows whose change did not move their ``updated_at``.
    """

    def __init__(  # noqa: PLR0913
        self,
        account: Account,
        streams: Collection[str],
        form: Form,
        chance: random.Random,
        *,
        rate: float,
        moves_parents: bool,
        only_touches: bool = False,
    ) -> None:
        resources = {kind for s in streams for kind in INNER.get(s, (STREAMS[s].resource,))}
        resources |= {STREAMS[s].root or "" for s in streams}
        acts = {"touch": 1} if only_touches else {**ACTS, "hide": 1}
        super().__init__(account, chance, sorted(resources - {""}), acts=acts)
        self._account = account
        self._form = form
        self.rate = rate
        self._moves_parents = moves_parents
        self._hidden: set[tuple[str, int]] = set()
        self.changed: dict[tuple[str, int], int] = {}
        self.silent: dict[tuple[str, Key], list[Row]] = {}
        self._end = account.on_request(self.on_request)

    def stop(self) -> None:
        """Make no more changes, and show the hidden rows again."""
        self._end()
        for resource, number in sorted(self._hidden):
            self._show(resource, number)

    def change_at(self, request: Request) -> None:
        """Change a row at a request: of the list that is read as often as of any other."""
        resource = self.chance.choice(self.resources)
        read = PAGES.get(request.route or "", "")
        if read in self.resources and self.chance.random() < 0.5:
            resource = read
        cursor = request.params.get("cursor")
        self.change(resource, behind=cursor_id(cursor) if resource == read else 0)

    def can(self, act: str, resource: str, number: int) -> bool:
        """Return whether something can be done to a row of a resource."""
        if act == "hide":
            return resource in LISTS and self.is_spare(resource)
        return super().can(act, resource, number)

    def apply(self, change: Change) -> None:
        """Make a change, and remember it as the verifier needs it."""
        resource, number = change.resource, change.number
        match change.act:
            case "hide" if self._hidden and self.chance.random() > HIDDEN_SHARE:
                self._show(*self.chance.choice(sorted(self._hidden)))
            case "hide":
                self._account.store.table(resource).hide(number, hidden=True)
                self._hidden.add((resource, number))
                self._note(resource, number)
            case "archive" if not self._account.switches["archive_moves_updated_at"]:
                before = self._row(resource, number)
                super().apply(change)
                key = (resource, (number,))
                silent = [*self.silent.get(key, []), before]
                self._note(resource, number, moves=False)
                self.silent[key] = silent
            case "add":
                super().apply(change)
                self._note(resource, self._root(resource, self._account.store.table(resource).last))
            case _:
                root = self._root(resource, number)  # a removed row has none any more
                super().apply(change)
                self._note(resource, root)

    def _show(self, resource: str, number: int) -> None:
        self._hidden.discard((resource, number))
        table = self._account.store.table(resource)
        if table.exists(number):
            table.hide(number, hidden=False)
            self._account.update(resource, number)
            self._note(resource, number)

    def _root(self, resource: str, number: int) -> int:
        root = self._account.root_of(resource, number)
        return root if _base(resource) in LISTS else 0

    def _note(self, resource: str, root: int, *, moves: bool = True) -> None:
        """Remember a change, and move the ``updated_at`` of its list's row where a round does.

        Args:
            resource: The resource.
            root: The row of the list that the changed row is below of, or is.
            moves: Whether the changed row's own ``updated_at`` moves.
        """
        base, now = _base(resource), self._account.now()
        if base not in LISTS:
            self.changed[resource, 0] = now
            return
        moved = resource == base and moves
        if (
            resource != base
            and self._moves_parents
            and self._account.store.table(base).exists(root)
        ):
            self._account.update(base, root)
            moved = True
        if RESOURCES[resource].parent == base and self._account.switches["child_moves_parent"]:
            moved = True
        if moved:
            self.silent.pop((base, (root,)), None)
        if moved or resource == base:
            self.changed[base, root] = now
        if resource != base:
            self.changed[f"below {base}", root] = now

    def _row(self, resource: str, number: int) -> Row:
        include = "financials" if resource == "deals" else ""
        rows = self._account.rows(resource, include=include)
        return self._form.written(resource, next(row for row in rows if row["id"] == number))


def _base(resource: str) -> str:
    """Return the resource at the top of the tree that a resource is part of."""
    while (parent := RESOURCES[resource].parent) is not None:
        resource = parent
    return resource
