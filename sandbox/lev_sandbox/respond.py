"""How a request comes to its answer: credentials, limits, faults, scope, endpoint."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox import account, poison
from lev_sandbox.clock import MICROSECONDS, http_date
from lev_sandbox.endpoints import Call
from lev_sandbox.errors import JSON, Refusal, error_body
from lev_sandbox.exchange import Answer, Content
from lev_sandbox.paging import rewritten_cursor

if TYPE_CHECKING:
    from lev_sandbox.exchange import Request
    from lev_sandbox.faults import Fault
    from lev_sandbox.limits import Excess
    from lev_sandbox.log import Entry
    from lev_sandbox.routes import Route
    from lev_sandbox.sandbox import Sandbox
_END = {"has_more": False, "has_next": False, "next_cursor": None, "next": None}
_TOO_MANY = 429
_WINDOW = 60.0


def respond(sandbox: Sandbox, request: Request, entry: Entry, route: Route | None) -> Answer:
    """Return the answer to a request."""
    try:
        return _answer(sandbox, request, entry, route)
    except Refusal as refusal:
        return _refused(sandbox, entry, refusal)


def _answer(sandbox: Sandbox, request: Request, entry: Entry, route: Route | None) -> Answer:
    if route is None:
        if request.route is None:
            raise Refusal(404, "Not found")
        raise Refusal(405, "Method not allowed")
    scoped = _admit(sandbox, request, entry, route)
    fault = sandbox.faults.strike(request)
    struck = _struck(sandbox, entry, fault) if fault else None
    if struck is not None:
        return struck
    if route.scope in sandbox.switches["missing_scopes"]:
        answer = _refused(sandbox, entry, Refusal(403, f"Missing required scope: {route.scope}"))
    else:
        try:
            call = Call(sandbox, route, request, scoped=scoped)
            content = poison.answered(call) if sandbox.poisons else route.handler(call)
            if sandbox.faults:
                content = _altered(sandbox, request, content, fault)
            if content.unsuitable:
                entry.verdict = "unsuitable"
                sandbox.log.verdicts.update(ok=-1, unsuitable=1)
            stamp = fault.timestamp if fault and fault.kind == "timestamp" else None
            answer = Answer(body=_enveloped(sandbox, entry, content, stamp), rows=content.rows)
        except Refusal as refusal:
            answer = _refused(sandbox, entry, refusal)
    answer.fault = fault
    return answer


def _admit(sandbox: Sandbox, request: Request, entry: Entry, route: Route) -> bool:
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
    sandbox: Sandbox, entry: Entry, content: Content, timestamp: str | None = None
) -> bytes:
    if content.bare:
        return content.data
    parts = [b'{"request_id":"', entry.request_id.encode(), b'"']
    if timestamp is not None:
        parts += (b',"timestamp":', orjson.dumps(timestamp))
    elif sandbox.switches["envelope_timestamp"]:
        parts += (b',"timestamp":"', sandbox.envelope_timestamp().encode(), b'"')
    data = content.data
    if sandbox.poisons:
        data = data.replace(poison.MARK.encode(), poison.HALF)
    parts += (b',"data":', data)
    if content.pagination is not None:
        parts += (b',"pagination":', orjson.dumps(content.pagination))
    return b"".join((*parts, b"}"))


def _refused(sandbox: Sandbox, entry: Entry, refusal: Refusal) -> Answer:
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
    return Answer(status=refusal.status, body=body, media_type=media_type, headers=headers)


def _altered(sandbox: Sandbox, request: Request, content: Content, fault: Fault | None) -> Content:
    """Return what a fault makes of the real answer."""
    said = content.pagination
    match fault and fault.kind:
        case "no_pagination":
            content = replace(content, pagination=None)
        case "early_end" if content.data.startswith(b"["):
            ended = said and {**said, **{name: end for name, end in _END.items() if name in said}}
            content = replace(content, data=b"[]", rows=0, pagination=ended)
        case "repeat_page":
            content = _repeated(
                sandbox, request, content, again=bool(fault and fault.variant == "again")
            )
    if any(each.kind == "repeat_page" for each in sandbox.faults):
        sandbox.pages[request.method, request.path] = content
    return content


def _repeated(sandbox: Sandbox, request: Request, content: Content, *, again: bool) -> Content:
    """Return the previous answer of the path, with a cursor that it did not have."""
    previous = sandbox.pages.get((request.method, request.path))
    if previous is None:
        return content
    said, real = previous.pagination, content.pagination
    if not said or not real or "next_cursor" not in said:
        return previous
    new: dict[str, Any] = {
        name: real[name] for name in ("has_more", "has_next", "next_cursor") if name in real
    }
    if again:
        turn = sandbox.cursors.turn("pages that came again")
        new = {"next_cursor": rewritten_cursor(request.params.get("cursor"), turn)}
        sandbox.cursors.issue(request.path, new["next_cursor"], sandbox.clock)
    return replace(previous, pagination={**said, **new})


def _struck(sandbox: Sandbox, entry: Entry, fault: Fault) -> Answer | None:
    """Return the answer that a fault puts in the place of the real one, if it does."""
    match fault.kind:
        case "status" if fault.status == _TOO_MANY and fault.form is None:
            answer = _refused(sandbox, entry, _too_many("account", fault.wait(_WINDOW)))
            answer.headers.update((name.lower(), text) for name, text in fault.headers.items())
            answer.fault = fault
            return answer
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
            return Answer(fault=fault, status=0)
        case _:
            return None
    headers = {name.lower(): value for name, value in fault.headers.items()}
    if fault.kind == "redirect":
        headers["location"] = fault.location
    return Answer(status=status, body=body, media_type=media_type, headers=headers, fault=fault)


def _failed_200(sandbox: Sandbox, entry: Entry, fault: Fault) -> bytes:
    """Return a whole envelope that says that the request failed."""
    found: dict[str, Any] = orjson.loads(_enveloped(sandbox, entry, Content(data=b"[]")))
    if fault.variant == "error":
        form = fault.form or sandbox.switches["error_form"]
        _, body = error_body(form, entry.request_id, 500, fault.message)
        found.update(orjson.loads(body))
    else:
        found.update({fault.variant or "": False, "message": fault.message})
    return orjson.dumps(found)
