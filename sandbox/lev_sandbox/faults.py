"""Faults: what goes wrong, and at which requests."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lev_sandbox.request import Request

KINDS = {
    "status": "an error status with a body in some form",
    "reset": "the connection is reset before an answer",
    "hang": "the answer is held back until `seconds` are over or it is released",
    "cut": "the answer promises its full length and ends after `after_bytes`",
    "not_json": "a 200 whose body is not JSON",
    "wrong_shape": "a 200 whose `data` is the fault's `data`",
    "error_200": "a 200 that says that it failed, beside an empty list",
    "null_data": "a 200 whose `data` is null",
    "no_pagination": "the answer without its `pagination`",
    "early_end": "the answer without its rows, as the end of the list",
    "repeat_page": "the previous answer of the same path once more",
    "timestamp": "the answer with another `timestamp` in its envelope",
    "drip": "the answer comes `chunk_bytes` at a time, every `seconds`",
    "redirect": "a redirect to `location`",
}
VARIANTS = {"error_200": ("error", "success", "ok"), "repeat_page": ("skip", "again")}
FORMS = (None, "A", "B", "C", "html", "empty", "gateway", "fastapi")


@dataclass(kw_only=True)
class Fault:
    """One fault.

    The requests that match `method`, `route`, `path` and `query` are counted from 1. The
    fault applies to the `at`-th and every `every`-th after it, `times` times in all; with
    `rate`, to that share of them (from the `at`-th on), drawn from `seed`.

    Attributes:
        kind: A name out of `KINDS`.
        route: A route template such as `/deals/{deal_id}/notes`; any by default.
        path: A concrete path such as `/deals/5/notes`; any by default.
        query: Query parameters with the value that each must have: None where it must be
            absent, `*` where any will do.
        method: A method; any by default.
        at: The first request it applies to.
        every: The distance to the next.
        times: How often it applies; None is without end.
        rate: The share of requests it applies to.
        seed: Where the share is drawn from.
        status: The status of `status` and `redirect`.
        form: The form of the error body; the error_form switch's by default.
        message: The message in the error body.
        headers: Further headers of the answer.
        location: Where a redirect goes.
        seconds: Seconds to hang (an hour by default), to wait between drips (0.1), or to name as
            the wait after a 429 (60).
        after_bytes: Where to cut; half of the body by default.
        chunk_bytes: How much to send at a time.
        variant: How `error_200` says that it failed: by an `error`, or by a false `success` or
            `ok`. Where the new cursor of `repeat_page` leads: behind the page that should have come
            (`skip`), or to it (`again`). The first one by default.
        body: The body of `not_json`.
        data: The data of `wrong_shape`.
        timestamp: The text of `timestamp`.
    """

    kind: str
    route: str | None = None
    path: str | None = None
    query: dict[str, str | None] = field(default_factory=dict)
    method: str | None = None
    at: int = 1
    every: int = 1
    times: int | None = 1
    rate: float | None = None
    seed: int = 0
    status: int = 500
    form: str | None = None
    message: str = "The sandbox was asked to fail."
    headers: dict[str, str] = field(default_factory=dict)
    location: str = ""
    seconds: float | None = None
    after_bytes: int | None = None
    chunk_bytes: int = 64
    variant: str | None = None
    body: str = "<html><body>It works.</body></html>"
    data: Any = None
    timestamp: str | None = None
    seen: int = field(default=0, init=False)
    applied: int = field(default=0, init=False)
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the options."""
        checks = (
            (
                self.kind in KINDS,
                f"There is no fault {self.kind!r}; there are: {', '.join(KINDS)}.",
            ),
            (self.at >= 1 and self.every >= 1, "A fault's `at` and `every` are 1 or more."),
            (self.times is None or self.times >= 1, "A fault's `times` is 1 or more, or null."),
            (self.rate is None or 0 <= self.rate <= 1, "A fault's `rate` is between 0 and 1."),
            (self.form in FORMS, "A fault's `form` is A, B, C, html, empty, gateway or fastapi."),
            (
                self.variant is None or self.variant in VARIANTS.get(self.kind, ()),
                f"A fault's `variant` is one of {VARIANTS.get(self.kind, 'none')}.",
            ),
            (
                self.kind != "error_200" or self.form in {None, "A", "B", "C"},
                "The `form` of an error_200 is A, B or C.",
            ),
            (200 <= self.status <= 599, "A fault's `status` is between 200 and 599."),  # noqa: PLR2004
            (
                all(text is None or isinstance(text, str) for text in dict(self.query).values()),
                "A fault's `query` names parameters with a text or null.",
            ),
            (self.kind != "redirect" or self.location, "A redirect needs a `location`."),
            (
                self.kind != "timestamp" or isinstance(self.timestamp, str),
                "A fault of kind timestamp needs a `timestamp`.",
            ),
            (
                (self.seconds or 0) >= 0 and self.chunk_bytes >= 1,
                "A fault waits and sends forwards only.",
            ),
        )
        for good, sentence in checks:
            if not good:
                raise ValueError(sentence)
        if self.kind == "redirect" and self.status == 500:  # noqa: PLR2004
            self.status = 307
        if self.variant is None and self.kind in VARIANTS:
            self.variant = VARIANTS[self.kind][0]
        self._random = random.Random(self.seed)  # noqa: S311 - reproducible on purpose

    def wait(self, default: float) -> float:
        """Return `seconds`, or a default."""
        return default if self.seconds is None else self.seconds

    def matches(self, request: Request) -> bool:
        """Return whether the fault counts a request."""
        if self.method not in {None, request.method} or self.route not in {None, request.route}:
            return False
        if self.path not in {None, request.path}:
            return False
        if not self.query:
            return True
        params = request.params
        return all(
            name in params if value == "*" else params.get(name) == value
            for name, value in self.query.items()
        )

    def strikes(self) -> bool:
        """Count a matching request and return whether the fault applies to it."""
        self.seen += 1
        if self.seen < self.at or (self.times is not None and self.applied >= self.times):
            return False
        if self.rate is not None:
            hit = self._random.random() < self.rate
        else:
            hit = (self.seen - self.at) % self.every == 0
        self.applied += hit
        return hit

    def as_dict(self) -> dict[str, Any]:
        """Return the fault for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("_")}


class Faults(list[Fault]):
    """The faults in force, in the order in which they were added."""

    def strike(self, request: Request) -> Fault | None:
        """Return the fault for a request; every matching fault counts the request."""
        # A list, not a generator: the faults behind the first one must count the request, too.
        applying = [fault for fault in self if fault.matches(request) and fault.strikes()]
        return applying[0] if applying else None
