"""Handlers of the reads by POST of a deal's index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox.errors import Refusal
from lev_sandbox.files import signed_link
from lev_sandbox.response import Content

if TYPE_CHECKING:
    from lev_sandbox.call import Call
    from lev_sandbox.data.world import Row

_LONGEST_QUESTION = 4000


def search(call: Call) -> Content:
    """Return the facts with the highest made-up similarity to a question."""
    deal, body = call.parent_number(), call.request.json()
    context = body.get("context")
    if not isinstance(context, str) or not context.strip():
        raise Refusal(422, "context must not be blank")
    if len(context) > _LONGEST_QUESTION:
        raise Refusal(422, "context must have at most 4000 characters")
    least = body.get("min_score", 0.3)
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
        raise Refusal(422, "min_score must be between 0 and 1")
    table, world = call.store.table("index_facts"), call.store.world
    scored = []
    for number in table.listed(deal):
        score = world.draw(f"search/{context}", number).ratio(50, 999)
        if score >= least:
            scored.append((-score, number))
    pager = call.pager({"limit": body.get("limit", call.route.default_limit)})
    limited = pager.size(pager.limit())
    found = []
    best = sorted(scored)[:limited]
    call.refuse_poisoned((number for _, number in best))
    for score, number in best:
        fact: Row = orjson.loads(call.view.rows("index_facts", (number,))[0])
        found.append({**fact, "score": -score})
    unsuitable = _sign(body, found)
    return Content(data=orjson.dumps(found), rows=len(found), unsuitable=unsuitable)


def observations(call: Call) -> Content:
    """Return a page of the values behind a fact or a metric."""
    deal, body = call.parent_number(), call.request.json()
    fact, metric = body.get("sot_id"), body.get("metric_id")
    if fact is None and metric is None:
        raise Refusal(422, "Provide at least one of sot_id or metric_id")
    if metric is not None and (type(metric) is not int or metric < 1):
        raise Refusal(422, "metric_id must be an integer of 1 or more")
    wanted: dict[str, Any] = {}
    store = call.store
    if fact is not None:
        facts = store.table("index_facts")
        known = [row for row in map(facts.row, facts.listed(deal)) if row["id"] == fact]
        wanted = {key: known[0][key] for key in ("metric_id", "entity_ref")} if known else {"id": 0}
    if metric is not None:
        wanted["metric_id"] = metric
    if body.get("entity_ref") is not None:
        wanted["entity_ref"] = body["entity_ref"]
    table = store.table("index_observations")
    numbers = [
        number
        for number in table.listed(deal)
        if wanted.items() <= {key: table.row(number)[key] for key in wanted}.items()
    ]
    page = call.pager(body).page(numbers)
    call.refuse_poisoned(page.numbers)
    rows = [orjson.loads(row) for row in call.view.rows("index_observations", page.numbers)]
    unsuitable = _sign(body, rows)
    return Content(
        data=orjson.dumps(rows), pagination=page.pagination, rows=len(rows), unsuitable=unsuitable
    )


def _sign(body: dict[str, Any], rows: list[Row]) -> bool:
    """Add signed links where the body requests them, which a sync must not do."""
    signed = body.get("include_signed_urls") is True
    if signed:
        for row in rows:
            row["source"]["signed_url"] = signed_link(f"documents/{row['source']['document_id']}")
    return signed
