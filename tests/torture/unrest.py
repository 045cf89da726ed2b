"""Rows that change while they are read: behind the walk, ahead of it, below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lev_sandbox import RESOURCES
from tests.torture.account import cursor_id
from tests.torture.streams import LISTS, PAGES, STREAMS

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

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
ADDED = {
    *LISTS, "deal_team", "deal_properties", "term_sheets", "documents", "vaults", "memos",
    "deal_notes", "placement_notes", "contact_notes", "company_notes", "checklist_task_notes",
    "index_facts", "index_observations", "lender_programs", "index_metric_definitions",
    "pipelines", "asset_types", "api_keys",
}  # fmt: skip
"""What can be added without a key that another row has."""
KEPT = {"my_accounts", "checklist_sections", "checklist_tasks", "current_user", ""}
"""What is never removed: other rows hang on it."""
BY_KEY = {"account_team", "my_accounts"}
"""What the sandbox finds by its key and not by its number."""
LEAST = 1
"""Rows that a list keeps."""
HIDDEN_SHARE = 0.3


class Unrest:
    """Changes rows whenever a request comes in, and remembers which.

    Attributes:
        changed: When a row of a list, or anything below it, changed last, in microseconds. The
            number 0 stands for a table that belongs to no list.
        silent: What rows were before a change that their ``updated_at`` does not tell of.
        changes: How many changes were made.
        rate: The chance of a change with each request.
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
        self._account = account
        self._form = form
        self._random = chance
        self.rate = rate
        self._moves_parents = moves_parents
        self._only_touches = only_touches
        self._hidden: set[tuple[str, int]] = set()
        self.changed: dict[tuple[str, int], int] = {}
        self.silent: dict[tuple[str, Key], list[Row]] = {}
        self.changes = 0
        kinds = {kind for s in streams for kind in INNER.get(s, (STREAMS[s].resource,))}
        kinds |= {STREAMS[s].root or "" for s in streams}
        self._kinds = sorted(kinds - {""})
        self._stop = account.on_request(self._disturb)

    def stop(self) -> None:
        """Leave the account alone, and bring back what was hidden."""
        self._stop()
        for kind, number in sorted(self._hidden):
            self._show(kind, number)

    def _disturb(self, request: Request) -> None:
        with self._account.lock:
            while self._kinds and self._random.random() < self.rate:
                self._strike(request)

    def _strike(self, request: Request) -> None:
        self._account.clock.advance(self._random.choice((0, 0, 0.3, 1, 30)))
        kind = self._random.choice(self._kinds)
        walked = PAGES.get(request.route or "")
        if walked in self._kinds and self._random.random() < 0.5:
            kind = walked
        behind = cursor_id(request.params.get("cursor")) if kind == walked else 0
        self._change(kind, behind)

    def _change(self, kind: str, behind: int) -> None:
        numbers = list(self._account.store.table(kind).listed())
        passed = [n for n in numbers if n <= behind]
        # Behind the walk as often as ahead of it.
        near = passed if passed and self._random.random() < 0.5 else numbers
        number = self._random.choice(near) if near else 0
        resource = RESOURCES[kind]
        acts = ["touch"] * 3 if number and resource.touch else []
        acts += ["add"] * 2 if kind in ADDED else []
        acts += ["remove"] if number and kind not in KEPT and len(numbers) > LEAST else []
        acts += ["archive"] if number and kind in {"deals", "placements"} else []
        acts += ["hide"] if number and kind in LISTS and len(numbers) > LEAST else []
        if self._only_touches:
            acts = [act for act in acts if act == "touch"]
        if not acts:
            return
        self.changes += 1
        act = self._random.choice(acts)
        if act == "add":
            self._add(kind)
        elif act == "archive":
            self._archive(kind, number)
        elif act == "hide" and (self._hidden and self._random.random() > HIDDEN_SHARE):
            self._show(*self._random.choice(sorted(self._hidden)))
        elif act == "hide":
            self._account.store.table(kind).hide(number, hidden=True)
            self._hidden.add((kind, number))
            self._note(kind, number)
        else:
            root, table = self._root(kind, number), self._account.store.table(kind)
            key = table.row(number)[resource.key or ""] if kind in BY_KEY else number
            if act == "touch":
                self._account.touch(kind, ids=[key])
            else:
                self._account.remove(kind, key)
            self._note(kind, root)

    def _add(self, kind: str) -> None:
        resource = RESOURCES[kind]
        if resource.parent is None:
            self._account.add(kind)
        else:
            store = self._account.store
            parents = [
                n for n in store.table(resource.parent).listed()
                if store.visible(resource.parent, n)
                and (kind != "documents" or store.table("vaults").listed(n))
            ]  # fmt: skip
            if not parents:
                return
            self._account.add(kind, parent=self._random.choice(parents))
        self._note(kind, self._root(kind, self._account.store.table(kind).last))

    def _archive(self, kind: str, number: int) -> None:
        before = self._row(kind, number)
        self._account.archive(kind, number)
        if self._account.switches["archive_moves_updated_at"]:
            self._note(kind, number)
            return
        key = (kind, (number,))
        silent = [*self.silent.get(key, []), before]
        self._note(kind, number, tells=False)
        self.silent[key] = silent

    def _show(self, kind: str, number: int) -> None:
        self._hidden.discard((kind, number))
        table = self._account.store.table(kind)
        if table.exists(number):
            table.hide(number, hidden=False)
            self._account.update(kind, number)
            self._note(kind, number)

    def _root(self, kind: str, number: int) -> int:
        root = self._account.root_of(kind, number)
        base = kind
        while (parent := RESOURCES[base].parent) is not None:
            base = parent
        return root if base in LISTS else 0

    def _note(self, kind: str, root: int, *, tells: bool = True) -> None:
        """Remember a change, and let the row of the list say so where a round promises it."""
        base = kind
        while (parent := RESOURCES[base].parent) is not None:
            base = parent
        now = self._account.now()
        if base not in LISTS:
            self.changed[kind, 0] = now
            return
        moved = kind == base and tells
        if kind != base and self._moves_parents and self._account.store.table(base).exists(root):
            self._account.update(base, root)
            moved = True
        if RESOURCES[kind].parent == base and self._account.switches["child_moves_parent"]:
            moved = True
        if moved:
            self.silent.pop((base, (root,)), None)
        if moved or kind == base:
            self.changed[base, root] = now
        if kind != base:
            self.changed[f"below {base}", root] = now

    def _row(self, kind: str, number: int) -> Row:
        include = "financials" if kind == "deals" else ""
        rows = [row for row in self._account.rows(kind, include=include) if row["id"] == number]
        return self._form.written(kind, rows[0])
