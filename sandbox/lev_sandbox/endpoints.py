"""What each endpoint answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox import account
from lev_sandbox.errors import Refusal
from lev_sandbox.exchange import Content
from lev_sandbox.filters import conditions
from lev_sandbox.paging import SORTED_CURSOR, Pager
from lev_sandbox.poison import refuse
from lev_sandbox.resources import RESOURCES
from lev_sandbox.switches import INCLUDES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lev_sandbox.data.resource import Row
    from lev_sandbox.exchange import Request
    from lev_sandbox.routes import Route
    from lev_sandbox.sandbox import Sandbox
    from lev_sandbox.table import Table

_PAGE_LACKS_EVERY = 3
_MIXER, _MIXED = 2_654_435_761, 1 << 32
_KINDS = {
    "deals": "Deal",
    "contacts": "Contact",
    "companies": "Company",
    "lenders": "Lender",
    "placements": "Placement",
    "checklist_tasks": "Task",
    "term_sheets": "Term sheet",
    "documents": "Document",
    "memos": "Memo",
    "pipelines": "Pipeline",
}
"""What a 404 calls a row."""
_PARENTS = {
    "deal_id": "deals",
    "contact_id": "contacts",
    "company_id": "companies",
    "placement_id": "placements",
    "task_id": "checklist_tasks",
    "org_id": "lenders",
}
"""The resource that a path parameter names a row of."""


@dataclass(frozen=True)
class Call:
    """One request at one endpoint of one sandbox."""

    sandbox: Sandbox
    route: Route
    request: Request
    scoped: bool = True

    def above(self) -> tuple[str, int] | None:
        """Return the row that the endpoint is below: its resource and its number."""
        for name in self.request.numbers:
            if name in _PARENTS and _PARENTS[name] != self.route.resource:
                return _PARENTS[name], self._visible(name)
        return None

    def parent(self) -> int | None:
        """Return the number of the row whose children are asked for."""
        above = self.above()
        # The catalogue of metrics stands below a deal without belonging to it.
        return above[1] if above and RESOURCES[self.route.resource].parent else None

    def _visible(self, name: str) -> int:
        parent = _PARENTS[name]
        number = _path_number(self.request.numbers[name], name)
        if not self.sandbox.store.visible(parent, number):
            raise Refusal(404, f"{_KINDS[parent]} not found")
        if (
            parent == "deals"
            and self.sandbox.switches["children_of_archived"] == "404"
            and self.sandbox.store.table("deals").row(number)["archived"]
        ):
            raise Refusal(404, "Deal not found")
        return number

    def own(self) -> int:
        """Return the number of the one row that is asked for."""
        name = list(self.request.numbers)[-1]
        kind = self.route.resource
        text = self.request.numbers[name]
        parent = self.parent() if RESOURCES[kind].parent else None
        store = self.sandbox.store
        if RESOURCES[kind].key == "uuid":
            table = store.table(kind)
            found = [n for n in table.listed(parent) if table.row(n)["uuid"] == text]
            number = found[0] if found else 0
        else:
            number = _path_number(text, name)
        if not store.visible(kind, number) or (
            parent is not None and store.table(kind).parent(number) != parent
        ):
            raise Refusal(404, f"{_KINDS[kind]} not found")
        return number

    def pager(
        self, params: dict[str, Any], total: int | None = None, *, ordered: bool = True
    ) -> Pager:
        """Return what cuts pages for this call."""
        sandbox, route = self.sandbox, self.route
        return Pager(
            sandbox.switches, sandbox.clock, sandbox.cursors, route.resource, self.request.path,
            route.style, params, route.clamp, route.default_limit, total, ordered,
            self.request.headers.get("host", "localhost"),
        )  # fmt: skip


def _path_number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Refusal(422, f"{name} must be an integer")
    return int(text)


def rows(call: Call) -> Content:
    """Answer with a page of a list."""
    route, sandbox, request = call.route, call.sandbox, call.request
    params = request.params
    parent = call.parent()
    if route.refuses_filters and any(key.startswith("filter[") for key, _ in request.query):
        raise Refusal(422, "This endpoint does not accept filter parameters")
    fields, (include, missing) = _fields(call, params), _include(call, params, listed=True)
    found = conditions(request.query, route.filters, sandbox.switches, route.resource)
    test, test_key = _search(call, params, parent)
    select = partial(
        sandbox.store.selections.select, sandbox.store.table(route.resource), parent=parent,
        fractions=sandbox.switches["timestamp_fractions"], test=test, test_key=test_key,
    )  # fmt: skip
    numbers = select(found)
    total = None
    if found and sandbox.switches["filtered_total"] == "all":
        total = len(select(()))
    if route.sort and "sort" in params:
        if "cursor" in params:
            raise Refusal(400, SORTED_CURSOR)
        numbers = _sorted(call, numbers, params["sort"])
        order = "id"
    else:
        params.pop("sort", None)
        order = sandbox.switches["list_order"].get(route.resource, "id")
        if order != "id":
            numbers = _reordered(sandbox.store.table(route.resource), numbers, order)
    page = call.pager(params, total, ordered=order == "id").page(numbers)
    refuse(call, page.numbers)
    said = sandbox.view.rows(
        route.resource, page.numbers, fields=fields, include=include, missing=missing
    )
    data = b"[" + b",".join(said) + b"]"
    if sandbox.switches["data_shape"].get(route.resource) == "object":
        key = RESOURCES[route.resource].key or "id"
        shaped = {str(row.get(key, place)): row for place, row in enumerate(orjson.loads(data))}
        data = orjson.dumps(shaped)
    return Content(data=data, pagination=page.pagination, rows=len(said))


def row(call: Call) -> Content:
    """Answer with one row."""
    params = call.request.params
    fields, (include, missing) = _fields(call, params), _include(call, params, listed=False)
    numbers = (call.own(),)
    refuse(call, numbers, listed=False)
    said = call.sandbox.view.rows(
        call.route.resource, numbers, detail=True, fields=fields, include=include,
        missing=missing,
    )  # fmt: skip
    return Content(data=said[0], rows=1)


def financials(call: Call) -> Content:
    """Answer with the financials of a deal, or with one of the ways to say that there are none."""
    numbers = call.sandbox.store.table("deal_financials").listed(call.parent())
    if numbers:
        refuse(call, numbers)
        said = call.sandbox.view.rows("deal_financials", numbers[:1])
        return Content(data=said[0], rows=1)
    missing = call.sandbox.switches["missing_financials"]
    if missing == "404":
        raise Refusal(404, "Deal financials not found")
    return Content(data=b"{}" if missing == "empty" else b"null")


def health(call: Call) -> Content:
    """Answer that all is well."""
    return Content(data=orjson.dumps(account.health(call.sandbox)))


def validate_key(call: Call) -> Content:
    """Answer whether a key is good."""
    return account.validate_key(call.sandbox, call.request.json())


def me(call: Call) -> Content:
    """Answer who the caller is."""
    return Content(data=orjson.dumps(account.me(call.sandbox, scoped=call.scoped)), rows=1)


def billing_summary(_call: Call) -> Content:
    """Answer with the subscription and the credits."""
    return Content(data=orjson.dumps(account.billing()), rows=1)


def credits_balance(_call: Call) -> Content:
    """Answer with the credits."""
    return Content(data=orjson.dumps(account.billing()["credits"]), rows=1)


def _fields(call: Call, params: dict[str, str]) -> frozenset[str] | None:
    """Return the fields to say, or None for all."""
    if not call.route.fields or "fields" not in params:
        return None
    switches = call.sandbox.switches
    if switches["refuse_fields"]:
        raise Refusal(switches["refuse_fields"], "Unknown parameter: fields")
    names = {name.strip() for name in params["fields"].split(",")} - {""}
    if switches["unknown_fields"] != "ignored":
        table = call.sandbox.store.table(call.route.resource)
        listed = table.listed()
        known = set(table.row(listed[0])) if listed else names
        for name in sorted(names - known - set(INCLUDES)):
            raise Refusal(int(switches["unknown_fields"]), f"Unknown field: {name}")
    always = {"id", "vault"} if call.route.resource == "documents" else {"id"}
    return frozenset(names | always)


def _include(
    call: Call, params: dict[str, str], *, listed: bool
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the blocks to embed, and those that some of the rows lack."""
    if not call.route.include or "include" not in params:
        return (), {}
    switches, blocks = call.sandbox.switches, []
    for block in dict.fromkeys(name.strip() for name in params["include"].split(",")):
        if block not in INCLUDES:
            raise Refusal(400, f"Unknown include: {block}")
        refused = switches["refuse_include"][block]
        if refused == "ignored":
            continue
        if refused:
            raise Refusal(refused, f"Unknown include: {block}")
        if switches["include_scope"][block]:
            raise Refusal(switches["include_scope"][block], f"Missing required scope: {block}:read")
        blocks.append(block)
    if "fields" in params and switches["fields_drop_includes"]:
        named = params["fields"].split(",")
        blocks = [block for block in blocks if block in named]
    return _present(call, blocks, listed=listed)


def _present(
    call: Call, blocks: Sequence[str], *, listed: bool
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the blocks that the answer has, and those that some of its rows lack."""
    switches = call.sandbox.switches
    missing = {block: how for block in blocks if (how := switches["missing_blocks"][block])}
    if not missing:
        return blocks, missing
    gone = {"everywhere", "all"} if listed else {"everywhere"}
    if listed and "page" in missing.values():
        turn = call.sandbox.cursors.turn("a block that is missing from some pages")
        gone |= {"page"} if turn % _PAGE_LACKS_EVERY == 1 else set()
    if not listed:
        missing = {block: how for block, how in missing.items() if how != "some"}
    return [block for block in blocks if missing.get(block) not in gone], missing


def _search(
    call: Call, params: dict[str, str], parent: int | None
) -> tuple[Callable[[Row], bool] | None, object]:
    """Return the test that plain search parameters and hidden rows amount to."""
    wanted = {name: params[name] for name in call.route.search if params.get(name)}
    if "vault_id" in wanted:
        number = _path_number(wanted["vault_id"], "vault_id")
        if number not in call.sandbox.store.table("vaults").listed(parent):
            raise Refusal(404, "Vault not found")
    hides = (
        call.route.resource == "placements"
        and call.sandbox.switches["archived_placements"] == "hidden"
    )
    if not wanted and not hides:
        return None, None
    fields = call.route.search

    def test(row: Row) -> bool:
        if hides and row.get("status") == "archived":
            return False
        return all(_found(row.get(fields[name]), name, text) for name, text in wanted.items())

    return test, (hides, tuple(sorted(wanted.items())))


def _found(value: object, name: str, text: str) -> bool:
    if isinstance(value, dict):
        return str(value["id"]) == text
    if isinstance(value, list):
        return any(str(each["id"]) == text for each in value)
    if name in {"extension", "category_id"}:
        return str(value).lower() == text.lower()
    return text.lower() in str(value or "").lower()


def _sorted(call: Call, numbers: Sequence[int], sort: str) -> Sequence[int]:
    """Return the numbers in the order asked for; rows without a value come last."""
    table = call.sandbox.store.table(call.route.resource)
    ordered = list(numbers)
    held = {number: table.row(number) for number in ordered}
    for name in reversed(sort.split(",")):
        field, down = name.removeprefix("-"), name.startswith("-")
        if field not in call.route.sort:
            raise Refusal(400, f"Unknown sort field: {field}")
        filled = [number for number in ordered if held[number].get(field) is not None]
        empty = [number for number in ordered if held[number].get(field) is None]
        filled.sort(key=lambda number: held[number][field], reverse=down)
        ordered = filled + empty
    return ordered


def _reordered(table: Table, numbers: Sequence[int], order: str) -> Sequence[int]:
    """Return the numbers newest first, or in an order that says nothing and stays the same."""
    if order == "shuffled":
        return sorted(numbers, key=lambda number: number * _MIXER % _MIXED)
    if not table.resource.stamped:
        return sorted(numbers, reverse=True)
    return sorted(numbers, key=lambda number: (-table.moment(number), number))
