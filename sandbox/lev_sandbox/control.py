"""The control API under `/_sandbox`: the methods of `Sandbox` as JSON over HTTP."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from lev_sandbox.churn import Churn
from lev_sandbox.faults import KINDS
from lev_sandbox.resources import RESOURCES
from lev_sandbox.switches import SWITCHES

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lev_sandbox.sandbox import Sandbox

Body = dict[str, Any]


def control_app(sandbox: Sandbox) -> Starlette:
    """Return the control API of a sandbox."""
    control = _Control(sandbox)
    routes = [
        Route(f"/_sandbox{path}", _endpoint(handler), methods=[method])
        for method, path, handler in (
            ("GET", "", control.about),
            ("POST", "/reset", control.reset),
            ("GET", "/rows/{resource}", control.rows),
            ("POST", "/rows/{resource}", control.add),
            ("GET", "/rows/{resource}/{key}", control.row),
            ("PATCH", "/rows/{resource}/{key}", control.update),
            ("DELETE", "/rows/{resource}/{key}", control.remove),
            ("POST", "/rows/{resource}/{key}/{action:str}", control.act),
            ("POST", "/touch", control.touch),
            ("POST", "/churn", control.churn),
            ("GET", "/switches", control.switches),
            ("PATCH", "/switches", control.switch),
            ("DELETE", "/switches", control.reset_switches),
            ("GET", "/faults", control.faults),
            ("POST", "/faults", control.fault),
            ("DELETE", "/faults", control.clear_faults),
            ("POST", "/release", control.release),
            ("GET", "/clock", control.clock),
            ("POST", "/clock", control.set_clock),
            ("GET", "/limits", control.limits),
            ("PATCH", "/limits", control.set_limits),
            ("GET", "/requests", control.requests),
            ("DELETE", "/requests", control.clear_requests),
            ("GET", "/counters", control.counters),
        )
    ]
    handlers: Any = {
        ValueError: _sentence(400),
        TypeError: _sentence(400),
        LookupError: _sentence(404),
        HTTPException: _no_such_call,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


def _json(data: object, status: int = 200) -> Response:
    return Response(orjson.dumps(data), status, media_type="application/json")


def _sentence(status: int) -> Callable[[Request, Exception], Response]:
    return lambda _request, error: _json(
        {"error": str(error.args[0] if error.args else error)}, status
    )


def _no_such_call(request: Request, error: HTTPException) -> Response:
    sentence = f"The control API has no {request.method} {request.url.path}."
    return _json({"error": sentence}, error.status_code)


def _endpoint(handler: Callable[[Request, Body], object]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        text = await request.body()
        try:
            body = orjson.loads(text) if text else {}
        except orjson.JSONDecodeError:
            raise ValueError("The body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise ValueError("The body must be a JSON object.")  # noqa: TRY004 - it becomes a 400
        return _json(handler(request, body))

    return endpoint


def _key(request: Request) -> object:
    text = request.path_params["key"]
    return int(text) if text.isdigit() else text


class _Control:
    """One method per control endpoint."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def about(self, _request: Request, _body: Body) -> object:
        sandbox = self._sandbox
        return {
            "seed": sandbox.seed,
            "sizes": dict(sandbox.store.world.sizes),
            "resources": list(RESOURCES),
            "limits": sandbox.limits.as_dict(),
            "timestamp": sandbox.timestamp(),
            "counters": sandbox.counters(),
        }

    def reset(self, _request: Request, _body: Body) -> object:
        self._sandbox.reset()
        return {"reset": True}

    def rows(self, request: Request, _body: Body) -> object:
        query = request.query_params
        parent = query.get("parent")
        rows = self._sandbox.rows(
            request.path_params["resource"],
            parents=query.get("parents", "") in {"1", "true"},
            parent=int(parent) if parent else None,
            include=query.get("include", ""),
        )
        return {"rows": rows}

    def row(self, request: Request, _body: Body) -> object:
        return self._sandbox.row(request.path_params["resource"], _key(request))

    def add(self, request: Request, body: Body) -> object:
        parent = body.pop("parent", None)
        values = body.pop("row", body)
        return self._sandbox.add(request.path_params["resource"], parent=parent, **values)

    def update(self, request: Request, body: Body) -> object:
        return self._sandbox.update(request.path_params["resource"], _key(request), **body)

    def remove(self, request: Request, _body: Body) -> object:
        self._sandbox.remove(request.path_params["resource"], _key(request))
        return {"removed": True}

    def act(self, request: Request, body: Body) -> object:
        resource, key = request.path_params["resource"], _key(request)
        match request.path_params["action"]:
            case "archive":
                return self._sandbox.archive(resource, key)
            case "hide":
                self._sandbox.hide(resource, key)
            case "show":
                self._sandbox.show(resource, key)
            case "poison":
                self._sandbox.poison(resource, key, body.pop("kind", None), **body)
            case "cure":
                self._sandbox.cure(resource, key, **body)
            case other:
                raise LookupError(
                    f"A row cannot be told to {other!r}: archive, hide, show, poison or cure."
                )
        return {"done": True}

    def touch(self, _request: Request, body: Body) -> object:
        resource = body.pop("resource", None)
        rows = self._sandbox.touch(resource, **body)
        return {"rows": rows}

    def churn(self, _request: Request, body: Body) -> object:
        chance, count = random.Random(body.pop("seed", 0)), body.pop("count", 1)  # noqa: S311
        churn = Churn(self._sandbox, chance, **{"resources": tuple(RESOURCES), **body})
        drawn = [churn.change() for _ in range(count)]
        return {"changes": [asdict(change) for change in drawn if change]}

    def switches(self, _request: Request, _body: Body) -> object:
        values = {
            name: {
                "value": self._sandbox.switches[name],
                "default": switch.default,
                "values": switch.says,
            }
            for name, switch in SWITCHES.items()
        }
        return {"switches": values}

    def switch(self, _request: Request, body: Body) -> object:
        self._sandbox.switch(**body)
        return dict(self._sandbox.switches)

    def reset_switches(self, _request: Request, _body: Body) -> object:
        with self._sandbox.lock:
            self._sandbox.switches.reset()
        return dict(self._sandbox.switches)

    def faults(self, _request: Request, _body: Body) -> object:
        return {"faults": [fault.as_dict() for fault in self._sandbox.faults], "kinds": KINDS}

    def fault(self, _request: Request, body: Body) -> object:
        kind = str(body.pop("kind", ""))
        return self._sandbox.fault(kind, **body).as_dict()

    def clear_faults(self, _request: Request, _body: Body) -> object:
        self._sandbox.clear_faults()
        return {"faults": []}

    def release(self, _request: Request, _body: Body) -> object:
        self._sandbox.release()
        return {"released": True}

    def clock(self, _request: Request, _body: Body) -> object:
        clock = self._sandbox.clock
        return {
            "timestamp": self._sandbox.timestamp(),
            "frozen": clock.frozen,
            "elapsed": clock.elapsed(),
        }

    def set_clock(self, request: Request, body: Body) -> object:
        unknown = set(body) - {"advance", "set", "frozen"}
        if unknown:
            raise ValueError(f"A clock knows advance, set and frozen, not {min(unknown)!r}.")
        with self._sandbox.lock:
            if "frozen" in body:
                self._sandbox.clock.freeze(frozen=bool(body["frozen"]))
            if "set" in body:
                self._sandbox.clock.set(body["set"])
            if "advance" in body:
                self._sandbox.clock.advance(body["advance"])
        return self.clock(request, body)

    def limits(self, _request: Request, _body: Body) -> object:
        return self._sandbox.limits.as_dict()

    def set_limits(self, _request: Request, body: Body) -> object:
        with self._sandbox.lock:
            self._sandbox.limits.configure(**body)
        return self._sandbox.limits.as_dict()

    def requests(self, request: Request, _body: Body) -> object:
        query = request.query_params
        after = int(query.get("after", "0"))
        wanted = {
            name: query[name] for name in ("route", "method", "verdict", "fault") if name in query
        }
        entries = [entry.as_dict() for entry in self._sandbox.requests if entry.number > after]
        return {
            "requests": [
                entry
                for entry in entries
                if all(entry[name] == value for name, value in wanted.items())
                and query.get("status", str(entry["status"])) == str(entry["status"])
            ]
        }

    def clear_requests(self, _request: Request, _body: Body) -> object:
        self._sandbox.clear_log()
        return {"requests": []}

    def counters(self, _request: Request, _body: Body) -> object:
        return self._sandbox.counters()
