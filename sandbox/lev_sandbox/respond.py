"""Respond to a request: check credentials, limits and scope, apply faults, call the endpoint."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox import account, poison
from lev_sandbox.call import Call
from lev_sandbox.clock import MICROSECONDS, http_date
from lev_sandbox.errors import JSON, Refusal, error_body
from lev_sandbox.paging import rewritten_cursor
from lev_sandbox.response import Content, Response

if TYPE_CHECKING:
    from lev_sandbox.call import Route
    from lev_sandbox.faults import Fault
    from lev_sandbox.limits import Excess
    from lev_sandbox.log import Entry
    from lev_sandbox.request import Request
    from lev_sandbox.state import SandboxState

_END = {"has_more": False, "has_next": False, "next_cursor": None, "next": None}
_TOO_MANY = 429
_WINDOW = 60.0


def respond(sandbox: SandboxState, request: Request, entry: Entry, route: Route | None) -> Response:
    """Return the response to a request."""
    try:
        return _respond(sandbox, request, entry, route)
    except Refusal as refusal:
        return _refused(sandbox, entry, refusal)


def _respond(
    sandbox: SandboxState, request: Request, entry: Entry, route: Route | None
) -> Response:
    if route is None:
        if request.route is None:
            raise Refusal(404, "Not found")
        raise Refusal(405, "Method not allowed")
    # A refused request never reaches the faults: they count authorized requests only.
    scoped = _admit(sandbox, request, entry, route)
    fault = sandbox.faults.strike(request)
    replacement = _replacement(sandbox, entry, fault) if fault else None
    if replacement is not None:
        return replacement
    if route.scope in sandbox.switches["missing_scopes"]:
        response = _refused(sandbox, entry, Refusal(403, f"Missing required scope: {route.scope}"))
    else:
        try:
            call = Call(sandbox, route, request, scoped=scoped)
            content = _poisoned(call) if sandbox.poisons else route.handler(call)
            if sandbox.faults:
                content = _altered(sandbox, request, content, fault)
            if content.unsuitable:
                entry.verdict = "unsuitable"
                sandbox.log.verdicts.update(ok=-1, unsuitable=1)
            timestamp = fault.timestamp if fault and fault.kind == "timestamp" else None
            body = _enveloped(sandbox, entry, content, timestamp)
            response = Response(body=body, rows=content.rows)
        except Refusal as refusal:
            response = _refused(sandbox, entry, refusal)
    # The fault may also concern how the response is sent, whatever it says.
    response.fault = fault
    return response


def _poisoned(call: Call) -> Content:
    """Return the content of a call below a row that may be poisoned."""
    row = call.path_row()
    kinds = call.sandbox.poisons.get(row[0], {}).get(row[1], {}) if row else {}
    if "no_children" in kinds:
        raise Refusal(kinds["no_children"], "What belongs to this row cannot be read")
    if "null_children" in kinds:
        return Content(data=b"null")
    content = call.route.handler(call)
    return _keyless(call, content) if "keyless_child" in kinds else content


def _keyless(call: Call, content: Content) -> Content:
    """Return content whose first row, wherever in the list it is, has no key."""
    numbers = call.table.listed(call.parent_number())
    data: Any = orjson.loads(content.data)
    key = call.resource.key or "id"
    for row in data if isinstance(data, list) else [data]:
        if numbers and row and row.get(key) == call.table.row(numbers[0])[key]:
            del row[key]
    content.data = orjson.dumps(data)
    return content


def _admit(sandbox: SandboxState, request: Request, entry: Entry, route: Route) -> bool:
    headers = request.headers
    if route.public_limit is not None:
        _limited(sandbox.limits.admit_public(route.path, route.public_limit))
        return True
    entry.authorized = False
    scoped = account.authorize(
        sandbox, headers.get("authorization"), headers.get("x-active-account"),
        needs=route.needs_account,
    )  # fmt: skip
    entry.authorized = True
    if sandbox.switches["origin_app_required"] and not headers.get("x-origin-app"):
        raise Refusal(400, "X-Origin-App header is required")
    _limited(sandbox.limits.admit(f"{route.method} {route.path}"))
    return scoped


def _limited(excess: Excess | None) -> None:
    if excess is not None:
        raise _too_many(excess.bucket, excess.wait)


def _too_many(bucket: str, wait: float) -> Refusal:
    suffix = "" if bucket == "account" else "_per_endpoint"
    return Refusal(
        _TOO_MANY,
        "Per-minute API rate limit reached.",
        limit_type=f"requests_per_minute{suffix}",
        retry_after_seconds=max(1, math.ceil(wait)),
    )


def _enveloped(
    sandbox: SandboxState, entry: Entry, content: Content, timestamp: str | None = None
) -> bytes:
    if content.bare:
        return content.data
    parts = [b'{"request_id":"', entry.request_id.encode(), b'"']
    if timestamp is not None:
        parts += (b',"timestamp":', orjson.dumps(timestamp))
    elif sandbox.switches["envelope_timestamp"]:
        parts += (b',"timestamp":"', sandbox.envelope_timestamp().encode(), b'"')
    data = content.data
    # JSON writers refuse half an emoji, so a mark takes its place until now.
    if sandbox.poisons:
        data = data.replace(poison.MARK.encode(), poison.HALF)
    parts += (b',"data":', data)
    if content.pagination is not None:
        parts += (b',"pagination":', orjson.dumps(content.pagination))
    return b"".join((*parts, b"}"))


def _refused(sandbox: SandboxState, entry: Entry, refusal: Refusal) -> Response:
    form, message, extra = (
        refusal.form or sandbox.switches["error_form"],
        refusal.message,
        refusal.extra,
    )
    headers: dict[str, str] = {}
    if refusal.status == _TOO_MANY:
        form = sandbox.switches["rate_limit_form"]
        wait = extra["retry_after_seconds"]
        if form == "bare":
            form, extra = "A", {}
        elif form != "A":
            message = f"Rate limit exceeded. Retry after {wait} seconds."
        retry = sandbox.switches["retry_after"]
        if retry == "seconds":
            headers["retry-after"] = str(wait)
        elif retry == "date":
            headers["retry-after"] = http_date(math.ceil(sandbox.now() / MICROSECONDS) + wait)
    media_type, body = error_body(form, entry.request_id, refusal.status, message, extra)
    return Response(status=refusal.status, body=body, media_type=media_type, headers=headers)


def _altered(
    sandbox: SandboxState, request: Request, content: Content, fault: Fault | None
) -> Content:
    """Return the content as a fault leaves it."""
    pagination = content.pagination
    match fault and fault.kind:
        case "no_pagination":
            content = replace(content, pagination=None)
        case "early_end" if content.data.startswith(b"["):
            if pagination:
                ended = {name: end for name, end in _END.items() if name in pagination}
                pagination = {**pagination, **ended}
            content = replace(content, data=b"[]", rows=0, pagination=pagination)
        case "repeat_page":
            content = _repeated(
                sandbox, request, content, again=bool(fault and fault.variant == "again")
            )
    # Pages are kept only while a fault may repeat them.
    if any(fault.kind == "repeat_page" for fault in sandbox.faults):
        sandbox.pages[request.method, request.path] = content
    return content


def _repeated(sandbox: SandboxState, request: Request, content: Content, *, again: bool) -> Content:
    """Return the previous page of the path, with a cursor that it did not have."""
    previous = sandbox.pages.get((request.method, request.path))
    if previous is None:
        return content
    old, real = previous.pagination, content.pagination
    if not old or not real or "next_cursor" not in old:
        return previous
    new: dict[str, Any] = {
        name: real[name] for name in ("has_more", "has_next", "next_cursor") if name in real
    }
    if again:
        turn = sandbox.cursors.turn("pages that came again")
        new = {"next_cursor": rewritten_cursor(request.params.get("cursor"), turn)}
        sandbox.cursors.issue(request.path, new["next_cursor"], sandbox.clock)
    return replace(previous, pagination={**old, **new})


def _replacement(sandbox: SandboxState, entry: Entry, fault: Fault) -> Response | None:
    """Return the response that a fault sends instead of the real one, or None."""
    match fault.kind:
        case "status" if fault.status == _TOO_MANY and fault.form is None:
            response = _refused(sandbox, entry, _too_many("account", fault.wait(_WINDOW)))
            response.headers.update((name.lower(), text) for name, text in fault.headers.items())
            response.fault = fault
            return response
        case "status":
            media_type, body = error_body(
                fault.form or sandbox.switches["error_form"], entry.request_id, fault.status,
                fault.message,
            )  # fmt: skip
            status = fault.status
        case "not_json":
            media_type, body, status = JSON, fault.body.encode(), 200
        case "error_200":
            media_type, body, status = JSON, _failed_200(sandbox, entry, fault), 200
        case "wrong_shape" | "null_data":
            data = None if fault.kind == "null_data" else fault.data
            content = Content(data=orjson.dumps(data))
            media_type, body, status = JSON, _enveloped(sandbox, entry, content), 200
        case "redirect":
            media_type, body, status = "text/plain", b"", fault.status
        case "reset":
            return Response(fault=fault, status=0)
        case _:
            return None
    headers = {name.lower(): value for name, value in fault.headers.items()}
    if fault.kind == "redirect":
        headers["location"] = fault.location
    return Response(status=status, body=body, media_type=media_type, headers=headers, fault=fault)


def _failed_200(sandbox: SandboxState, entry: Entry, fault: Fault) -> bytes:
    """Return the body of a 200 that reports a failure."""
    body: dict[str, Any] = orjson.loads(_enveloped(sandbox, entry, Content(data=b"[]")))
    if fault.variant == "error":
        form = fault.form or sandbox.switches["error_form"]
        _, error = error_body(form, entry.request_id, 500, fault.message)
        body.update(orjson.loads(error))
    else:
        body.update({fault.variant or "": False, "message": fault.message})
    return orjson.dumps(body)
