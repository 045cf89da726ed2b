"""The handlers of the endpoints: each returns the content of a response."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import orjson

from lev_sandbox import account
from lev_sandbox.call import path_number
from lev_sandbox.errors import Refusal
from lev_sandbox.filters import parse_filters
from lev_sandbox.paging import SORTED_CURSOR
from lev_sandbox.response import Content
from lev_sandbox.switches import INCLUDES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lev_sandbox.call import Call
    from lev_sandbox.data.world import Row
    from lev_sandbox.table import Table

_PAGE_LACKS_EVERY = 3
_MIXER, _MIXED = 2_654_435_761, 1 << 32


def rows(call: Call) -> Content:
    """Return a page of a list."""
    route, sandbox, request = call.route, call.sandbox, call.request
    params = request.params
    parent = call.parent_number()
    if route.refuses_filters and any(key.startswith("filter[") for key, _ in request.query):
        raise Refusal(422, "This endpoint does not accept filter parameters")
    fields, (include, missing) = _fields(call, params), _include(call, params, listed=True)
    filters = parse_filters(request.query, route.filters, sandbox.switches, route.resource)
    test, test_key = _search(call, params, parent)
    select = partial(
        sandbox.store.selections.select, sandbox.store.table(route.resource), parent=parent,
        fractions=sandbox.switches["timestamp_fractions"], test=test, test_key=test_key,
    )  # fmt: skip
    numbers = select(filters)
    total = None
    if filters and sandbox.switches["filtered_total"] == "all":
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
    call.refuse_poisoned(page.numbers)
    encoded = sandbox.view.rows(
        route.resource, page.numbers, fields=fields, include=include, missing=missing
    )
    data = b"[" + b",".join(encoded) + b"]"
    if sandbox.switches["data_shape"].get(route.resource) == "object":
        key = call.resource.key or "id"
        by_key = {str(row.get(key, place)): row for place, row in enumerate(orjson.loads(data))}
        data = orjson.dumps(by_key)
    return Content(data=data, pagination=page.pagination, rows=len(encoded))


def row(call: Call) -> Content:
    """Return one row."""
    params = call.request.params
    fields, (include, missing) = _fields(call, params), _include(call, params, listed=False)
    numbers = (call.row_number(),)
    call.refuse_poisoned(numbers, listed=False)
    encoded = call.view.rows(
        call.route.resource, numbers, detail=True, fields=fields, include=include,
        missing=missing,
    )  # fmt: skip
    return Content(data=encoded[0], rows=1)


def financials(call: Call) -> Content:
    """Return the financials of a deal, or what the switch says where there are none."""
    numbers = call.store.table("deal_financials").listed(call.parent_number())
    if numbers:
        call.refuse_poisoned(numbers)
        encoded = call.view.rows("deal_financials", numbers[:1])
        return Content(data=encoded[0], rows=1)
    missing = call.switches["missing_financials"]
    if missing == "404":
        raise Refusal(404, "Deal financials not found")
    return Content(data=b"{}" if missing == "empty" else b"null")


def health(call: Call) -> Content:
    """Return the health of the API."""
    return Content(data=orjson.dumps(account.health(call.sandbox)))


def validate_key(call: Call) -> Content:
    """Return whether a key is valid."""
    return account.validate_key(call.sandbox, call.request.json())


def me(call: Call) -> Content:
    """Return the caller."""
    return Content(data=orjson.dumps(account.me(call.sandbox, scoped=call.scoped)), rows=1)


def billing_summary(_call: Call) -> Content:
    """Return the subscription and the credits."""
    return Content(data=orjson.dumps(account.billing()), rows=1)


def credits_balance(_call: Call) -> Content:
    """Return the credits."""
    return Content(data=orjson.dumps(account.billing()["credits"]), rows=1)


def _fields(call: Call, params: dict[str, str]) -> frozenset[str] | None:
    """Return the requested fields, or None for all."""
    if not call.route.fields or "fields" not in params:
        return None
    switches = call.switches
    if switches["refuse_fields"]:
        raise Refusal(switches["refuse_fields"], "Unknown parameter: fields")
    names = {name.strip() for name in params["fields"].split(",")} - {""}
    if switches["unknown_fields"] != "ignored":
        table = call.table
        listed = table.listed()
        known = set(table.row(listed[0])) if listed else names
        for name in sorted(names - known - set(INCLUDES)):
            raise Refusal(int(switches["unknown_fields"]), f"Unknown field: {name}")
    always = {"id", "vault"} if call.route.resource == "documents" else {"id"}
    return frozenset(names | always)


def _include(
    call: Call, params: dict[str, str], *, listed: bool
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the blocks to embed, and how they are missing from some of the rows."""
    if not call.route.include or "include" not in params:
        return (), {}
    switches, blocks = call.switches, []
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
    """Drop the blocks that the whole response lacks; see the switch `missing_blocks`."""
    switches = call.switches
    missing = {block: how for block in blocks if (how := switches["missing_blocks"][block])}
    if not missing:
        return blocks, missing
    absent = {"everywhere", "all"} if listed else {"everywhere"}
    if listed and "page" in missing.values():
        turn = call.sandbox.cursors.turn("a block that is missing from some pages")
        absent |= {"page"} if turn % _PAGE_LACKS_EVERY == 1 else set()
    if not listed:
        missing = {block: how for block, how in missing.items() if how != "some"}
    return [block for block in blocks if missing.get(block) not in absent], missing


def _search(
    call: Call, params: dict[str, str], parent: int | None
) -> tuple[Callable[[Row], bool] | None, object]:
    """Return the test for search parameters and hidden rows, and its cache key."""
    wanted = {name: params[name] for name in call.route.search if params.get(name)}
    if "vault_id" in wanted:
        number = path_number(wanted["vault_id"], "vault_id")
        if number not in call.store.table("vaults").listed(parent):
            raise Refusal(404, "Vault not found")
    hides = call.route.resource == "placements" and call.switches["archived_placements"] == "hidden"
    if not wanted and not hides:
        return None, None
    fields = call.route.search

    def test(row: Row) -> bool:
        if hides and row.get("status") == "archived":
            return False
        return all(_matches(row.get(fields[name]), name, text) for name, text in wanted.items())

    return test, (hides, tuple(sorted(wanted.items())))


def _matches(value: object, name: str, text: str) -> bool:
    if isinstance(value, dict):
        return str(value["id"]) == text
    if isinstance(value, list):
        return any(str(item["id"]) == text for item in value)
    if name in {"extension", "category_id"}:
        return str(value).lower() == text.lower()
    return text.lower() in str(value or "").lower()


def _sorted(call: Call, numbers: Sequence[int], sort: str) -> Sequence[int]:
    """Return the numbers in the requested order; rows without a value come last."""
    table = call.table
    ordered = list(numbers)
    rows = {number: table.row(number) for number in ordered}
    # Sorting is stable, so the last key is sorted by first.
    for name in reversed(sort.split(",")):
        field, down = name.removeprefix("-"), name.startswith("-")
        if field not in call.route.sort:
            raise Refusal(400, f"Unknown sort field: {field}")
        filled = [number for number in ordered if rows[number].get(field) is not None]
        empty = [number for number in ordered if rows[number].get(field) is None]
        filled.sort(key=lambda number: rows[number][field], reverse=down)
        ordered = filled + empty
    return ordered


def _reordered(table: Table, numbers: Sequence[int], order: str) -> Sequence[int]:
    """Return the numbers newest first, or in an arbitrary order that stays the same."""
    if order == "shuffled":
        return sorted(numbers, key=lambda number: number * _MIXER % _MIXED)
    if not table.resource.stamped:
        return sorted(numbers, reverse=True)
    return sorted(numbers, key=lambda number: (-table.moment(number), number))
