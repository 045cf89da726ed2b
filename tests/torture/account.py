"""A Lev account that remembers what it said, and can tell what it holds."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lev_sandbox import RESOURCES, Sandbox, account, router
from lev_sandbox.call import Call
from lev_sandbox.request import Request
from tests.support.expected_rows import hash_of
from tests.torture.rows import content, key_of
from tests.torture.streams import LISTS, METRICS, PAGES, QUERIES, ROOTS, STREAMS, rows_said

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lev_sandbox.call import Route
    from lev_sandbox.log import Entry
    from lev_sandbox.response import Response
    from tests.torture.plan import Poison
    from tests.torture.rows import Form
    from tests.torture.streams import Key, Row

UNREADABLE = {
    "not_json", "wrong_shape", "reset", "status", "redirect", "error_200", "null_data",
}  # fmt: skip
"""Faults by which an answer says nothing of the account."""


@dataclass(frozen=True)
class Asked:
    """A request, and what came of it.

    Attributes:
        route: The route template.
        ids: What stood in its placeholders.
        place: Where in a list: the cursor, page or offset that was asked for.
        body: The body of a read by POST.
        root: The row of a list that the request is for: the list and the id, 0 for the list itself.
        status: The status of the answer.
        rows: How many rows it held.
        said: The answer's body, where it says something of the account.
        foreign: Whether the answer is an error that is not Lev's.
        fault: The fault that was met, empty if none was.
    """

    route: str
    ids: dict[str, Any]
    place: str
    body: bytes
    root: tuple[str, int]
    status: int
    rows: int
    said: bytes | None
    foreign: bool = False
    fault: str = ""

    @property
    def identity(self) -> tuple[Any, ...]:
        """What a request asks for, whatever filter or columns it is asked with."""
        return self.route, tuple(self.ids.values()), self.place, self.body


class Account(Sandbox):
    """A sandbox that remembers."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as the sandbox
        super().__init__(**options)
        self.asked: list[Asked] = []
        """What was asked in the current run."""
        self.poisoned: dict[tuple[str, int], tuple[str, int, set[str]]] = {}
        """Of each row that goes wrong, the list and the row of it that it is below of, or is; and
        what goes wrong."""

    def respond(self, request: Request, entry: Entry, route: Route | None) -> Response:
        """Respond, and remember the response."""
        response = super().respond(request, entry, route)
        heard = response.status == 200 and entry.fault not in UNREADABLE
        params = request.params
        place = next((params[name] for name in ("cursor", "page", "offset") if name in params), "")
        ids = {name: int(text) for name, text in request.numbers.items() if text.isdigit()}
        root, said = self._root(request.route, ids), response.body if heard else None
        self.asked.append(
            Asked(
                request.route or "",
                ids,
                place,
                request.body,
                root,
                response.status,
                response.rows,
                said,
                response.status >= 400 and b"request_id" not in response.body,
                entry.fault or "",
            )
        )
        return response

    def spoil(self, poison: Poison) -> None:
        """Make a row go wrong, if there is one."""
        with self.lock:
            numbers = [*self.store.table(poison.resource).listed()]
            if not numbers:
                return
            number = numbers[poison.place % len(numbers)]
            self.poison(poison.resource, number, poison.kind, poison.status)
            top = poison.resource
            while (parent := RESOURCES[top].parent) is not None:
                top = parent
            root = self.root_of(poison.resource, number)
            _, _, kinds = self.poisoned.setdefault((poison.resource, number), (top, root, set()))
            kinds.add(poison.kind)

    def heal(self) -> None:
        """End what goes wrong, but for what leaves a row without its key or changes it."""
        for resource, number in self.poisoned:
            kinds = self.poisoned[resource, number][2]
            lasting = RESOURCES[resource].parent is None
            for kind in sorted(kinds - ({"no_key", "surrogate"} if lasting else {"surrogate"})):
                if self.store.table(resource).exists(number):
                    self.cure(resource, number, kind)
                kinds.discard(kind)

    def hides_below(self, deal: int) -> bool:
        """Say whether the endpoints below a deal say that there is no such deal."""
        if self.switches["children_of_archived"] != "404":
            return False
        table = self.store.table("deals")
        return table.exists(deal) and bool(table.row(deal)["archived"])

    def _root(self, route: str | None, ids: dict[str, int]) -> tuple[str, int]:
        if route in PAGES:
            return PAGES[route], 0
        if "task_id" in ids:
            return "deals", self.root_of("checklist_tasks", ids["task_id"])
        return next(
            ((ROOTS[name], number) for name, number in ids.items() if name in ROOTS), ("", 0)
        )

    def root_of(self, resource: str, number: int) -> int:
        """Find the row of a list that a row is below of, or is."""
        while (parent := RESOURCES[resource].parent) is not None:
            number = self.store.table(resource).parent(number)
            resource = parent
        return number

    def heard(self, form: Form, of_deals: Collection[str]) -> Iterator[tuple[str, Key, str]]:
        """Find the rows that were said in the current run: stream, key and content.

        Args:
            form: How rows are written.
            of_deals: The columns of deals that do not count.
        """
        for asked in tuple(self.asked):
            if asked.said is None:
                continue
            envelope = json.loads(asked.said)
            body = json.loads(asked.body) if asked.body else {}
            for stream, row in rows_said(asked.route, asked.ids, body, envelope["data"]):
                written = form.written(stream, row)
                ignored = of_deals if stream == "deals" else ()
                yield stream, key_of(stream, written), content(stream, written, *ignored)

    def table(self, stream: str, form: Form) -> dict[Key, tuple[Row, int]]:
        """Find the rows of a stream as they are now, each with the id of its row of the list."""
        found: dict[Key, tuple[Row, int]] = {}
        for row, root in _TABLES.get(stream, _listed)(self, stream):
            written = form.written(stream, row)
            key = key_of(stream, written)
            if self.poisoned:
                self._halve(stream, row.get("id", 0), written)
            if key in found:
                raise AssertionError(f"The sandbox holds {stream} {key} twice.")
            found[key] = written, root
        return found

    def _halve(self, stream: str, number: int, written: Row) -> None:
        """Spoil a row's text as Lev does, and as the tap is to mend it."""
        _, _, kinds = self.poisoned.get((stream, number), ("", 0, set()))
        text = RESOURCES[stream].touch if stream in RESOURCES else None
        if "surrogate" in kinds and text in written:
            written[text] = f"{written[text] or 'Half'} \ufffd"

    def ask(self, method: str, path: str, body: Row) -> list[Row]:
        """Call an endpoint without limits, faults and log."""
        match = router.find(method, path)
        assert match.route is not None
        request = Request(
            method=method, path=path, route=match.template, query=(), headers={},
            body=json.dumps(body).encode(), numbers=match.numbers,
        )  # fmt: skip
        with self.lock:
            found: list[Row] = json.loads(
                match.route.handler(Call(self, match.route, request)).data
            )
            return found

    @property
    def account_id(self) -> int:
        """The id of the account."""
        found: int = self.rows("my_accounts")[0]["id"]
        return found


def _listed(lev: Account, stream: str) -> Iterator[tuple[Row, int]]:
    resource = STREAMS[stream].resource
    whole = resource == "term_sheets" and lev.switches["term_sheet_list"] == "whole"
    hidden = set() if whole or resource == "lenders" else set(RESOURCES[resource].detail_only)
    include = "financials" if stream == "deals" else ""
    hides = lev.switches["archived_placements"] == "hidden"
    for row in lev.rows(resource, parents=True, include=include):
        names = [name for name in ROOTS if name in row and not STREAMS[stream].is_list]
        root = row["id"] if resource in LISTS else row[names[0]] if names else 0
        placed = hides and STREAMS[stream].root == "placements"
        if placed and lev.row("placements", root)["status"] == "archived":
            continue
        yield {name: value for name, value in row.items() if name not in hidden}, root


def _financials(lev: Account, stream: str) -> Iterator[tuple[Row, int]]:
    """The first of each deal: Lev has a place for one."""
    seen: set[int] = set()
    for row, root in _listed(lev, stream):
        if root not in seen:
            seen.add(root)
            yield row, root


def _facts(lev: Account, _: str) -> Iterator[tuple[Row, int]]:
    for deal in lev.rows("deals"):
        if lev.hides_below(deal["id"]):
            continue
        for query in QUERIES:
            path = f"/deals/{deal['id']}/index/search"
            asked = {"query": query, "query_hash": hash_of(query)}
            for fact in lev.ask("POST", path, {"context": query, "limit": 200}):
                yield {"deal_id": deal["id"], **fact, **asked}, deal["id"]


def _observations(lev: Account, stream: str) -> Iterator[tuple[Row, int]]:

    for row, root in _listed(lev, stream):
        if row["metric_id"] in METRICS:
            yield row, root


def _definitions(lev: Account, stream: str) -> Iterator[tuple[Row, int]]:
    """The catalogue of metrics, which is asked for below a deal."""
    if any(not lev.hides_below(deal["id"]) for deal in lev.rows("deals")):
        yield from _listed(lev, stream)


def _current_user(lev: Account, _: str) -> Iterator[tuple[Row, int]]:
    yield account.me(lev, scoped=True), 0


def _billing(_lev: Account, _: str) -> Iterator[tuple[Row, int]]:
    yield account.billing(), 0


_TABLES = {
    "deal_financials": _financials,
    "index_facts": _facts,
    "index_observations": _observations,
    "index_metric_definitions": _definitions,
    "current_user": _current_user,
    "billing_summary": _billing,
}


def cursor_id(cursor: str | None) -> int:
    """Read which row a cursor of the sandbox stands behind; 0 is before the first.

    Where rows are in no order of ids, a cursor does not say so: 0, too.
    """
    try:
        found: int = json.loads(base64.b64decode(cursor or ""))["id"]
    except (KeyError, ValueError):
        return 0
    return found


def instant(text: object) -> datetime | None:
    """Read a moment as Lev and the state write it."""
    return datetime.fromisoformat(text) if isinstance(text, str) and "T" in text else None
