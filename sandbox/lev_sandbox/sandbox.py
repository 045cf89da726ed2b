"""The sandbox: its state, and the methods that read and change it."""

from __future__ import annotations

import random
import threading
import uuid
from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox import router
from lev_sandbox.clock import LOCAL, MICROSECONDS, Clock, http_date, moment_text
from lev_sandbox.data.draw import salt
from lev_sandbox.faults import Fault, Faults
from lev_sandbox.limits import Limits
from lev_sandbox.log import KEPT_HEADERS, Entry, Log
from lev_sandbox.paging import Cursors
from lev_sandbox.poison import check
from lev_sandbox.request import PREFIX, Request
from lev_sandbox.respond import respond
from lev_sandbox.store import Store
from lev_sandbox.switches import Switches
from lev_sandbox.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lev_sandbox.call import Route
    from lev_sandbox.data.world import Row
    from lev_sandbox.poison import Poisons
    from lev_sandbox.response import Content, Response


class Sandbox:
    """A local Lev API without the network.

    `receive` and `respond` handle a request; everything else reads or changes the state.

    Args:
        seed: Where the data comes from.
        key: The API key; made from the seed by default.
        tier: `none` (no limits), `free`, `standard` or `enterprise`.
        window: The length of the rate limits' window in seconds.
        limit_mode: `sliding` or `fixed`.
        clock: The server's clock; the real time by default.
        null_updated_every: Every so many rows have no `updated_at` (0: none).
        future_updated_every: Every so many rows are dated in the future (0: none).
        log_size: How many requests the log keeps.
        **sizes: Rows per resource; for children, the average number per parent.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        seed: int = 1,
        key: str | None = None,
        tier: str = "none",
        window: float = 60.0,
        limit_mode: str = "sliding",
        clock: Clock | None = None,
        null_updated_every: int = 0,
        future_updated_every: int = 0,
        log_size: int = 50_000,
        **sizes: float,
    ) -> None:
        self.seed = seed
        self.key = key or f"lev_sk_sandbox_{salt(f'{seed}/key'):016x}"
        self.lock = threading.RLock()
        self.clock = clock or Clock()
        self.switches = Switches()
        self.limits = Limits(self.clock)
        self.limits.configure(tier=tier, window=window, mode=limit_mode)
        self.faults = Faults()
        self.log = Log(keep=log_size)
        self.cursors = Cursors()
        self.poisons: Poisons = {}
        self.pages: dict[tuple[str, str], Content] = {}
        self.sizes = dict(sizes)
        self._dates = {"null": null_updated_every, "future": future_updated_every}
        self._start_limits = {"tier": tier, "window": window, "mode": limit_mode}
        self._hooks: list[Callable[[Request], object]] = []
        self._releases: list[Callable[[], object]] = []
        self._jitter = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self._load()

    def _load(self) -> None:
        self.store = Store(
            self.seed, self.sizes, self.now, self.switches,
            self._dates["null"], self._dates["future"],
        )  # fmt: skip
        self.view = View(self.store, self.switches, self.poisons)
        self._unspoiled = View(self.store, self.switches)

    # The server's time

    def now(self) -> int:
        """Return the server's time, skew included, in microseconds."""
        return int((self.clock.now() + self.switches["clock_skew"]) * MICROSECONDS)

    def envelope_timestamp(self) -> str:
        """Return the server's time in the form of envelopes."""
        skew, zone = self.switches["envelope_skew"], self.switches["timestamp_zone"]
        if not skew and zone == "Z":
            return self.timestamp()
        now = self.now() + int(skew * MICROSECONDS) - (LOCAL if zone == "local" else 0)
        return moment_text(
            now,
            fractions=self.switches["timestamp_fractions"],
            offset=self.switches["timestamp_offset"] if zone == "Z" else "",
        )

    def timestamp(self) -> str:
        """Return the server's time in the form of the API."""
        return moment_text(
            self.now(),
            fractions=self.switches["timestamp_fractions"],
            offset=self.switches["timestamp_offset"],
        )

    # Rows

    def rows(
        self, resource: str, *, parents: bool = False, parent: int | None = None, include: str = ""
    ) -> list[Row]:
        """Return all rows that lists show, each as the API returns it by id.

        Args:
            resource: The resource.
            parents: Whether to add the ids of the rows above (`deal_id` and the like).
            parent: Only the children of this row.
            include: The blocks to embed in deals, as in the parameter.
        """
        with self.lock:
            table = self.store.table(resource)
            numbers = [n for n in table.listed(parent) if self.store.visible(resource, n)]
            blocks = [block for block in include.split(",") if block]
            encoded = self._unspoiled.rows(resource, numbers, detail=True, include=blocks)
            rows: list[Row] = [orjson.loads(row) for row in encoded]
            if parents:
                for row, number in zip(rows, numbers, strict=True):
                    row.update(self._parent_ids(resource, number))
            return rows

    def _parent_ids(self, resource: str, number: int) -> Row:
        """Return the ids of the rows above, and the fields that place a row in a tree."""
        table = self.store.table(resource)
        inner, row = table.resource.inner, table.row(number)
        ids = {name: value for name, value in row.items() if name in inner}
        while table.resource.parent is not None:
            number = table.parent(number)
            ids[table.resource.parent_key] = number
            table = self.store.table(table.resource.parent)
        return ids

    def row(self, resource: str, key: object) -> Row:
        """Return one row with all its fields, visible or not."""
        with self.lock:
            return self.store.table(resource).row(self.store.number(resource, key))

    def count(self, resource: str) -> int:
        """Return how many rows lists show."""
        with self.lock:
            return len(self.store.table(resource).listed())

    def add(self, resource: str, /, *, parent: int | None = None, **values: Any) -> Row:  # noqa: ANN401
        """Append a row with the next id; generate the fields that are not given."""
        with self.lock:
            return self.store.add(resource, parent, values)

    def update(self, resource: str, key: object, /, **values: Any) -> Row:  # noqa: ANN401
        """Change fields of a row; its `updated_at` becomes now unless given."""
        with self.lock:
            return self.store.update(resource, key, values)

    def remove(self, resource: str, key: object) -> None:
        """Delete a row."""
        with self.lock:
            self.store.remove(resource, key)

    def archive(self, resource: str, key: object) -> Row:
        """Archive a deal or a placement."""
        with self.lock:
            return self.store.archive(resource, key)

    def hide(self, resource: str, key: object) -> None:
        """Make a row invisible: left out of lists, and 404 by id."""
        with self.lock:
            self.store.hide(resource, key, hidden=True)

    def show(self, resource: str, key: object) -> None:
        """Make a hidden row visible again."""
        with self.lock:
            self.store.hide(resource, key, hidden=False)

    def poison(self, resource: str, key: object, kind: str, status: int | None = None) -> None:
        """Make reads of a row fail or come out wrong; see `poison.KINDS`.

        Args:
            resource: The resource.
            key: The row.
            kind: How they go wrong.
            status: The status of `no_children`; 403 by default.
        """
        with self.lock:
            number = self.store.number(resource, key)
            status = check(self.store.table(resource).resource, kind, status)
            self.poisons.setdefault(resource, {}).setdefault(number, {})[kind] = status

    def cure(
        self, resource: str | None = None, key: object = None, kind: str | None = None
    ) -> None:
        """End the poisons of a row, of one kind or of all; without a row, of all rows."""
        with self.lock:
            if resource is None:
                self.poisons.clear()
                return
            rows = self.poisons.get(resource, {})
            kinds = rows.get(self.store.number(resource, key), {})
            for name in list(kinds) if kind is None else [kind]:
                kinds.pop(name, None)
            # No empty entries: a sandbox with any poison takes a slower path.
            rows = {number: kinds for number, kinds in rows.items() if kinds}
            if rows:
                self.poisons[resource] = rows
            else:
                self.poisons.pop(resource, None)

    def touch(
        self,
        resource: str,
        count: int | None = None,
        *,
        ids: Iterable[object] | None = None,
        seed: int = 0,
    ) -> list[Row]:
        """Change a text of `count` random rows (drawn from `seed`), or of those with `ids`."""
        with self.lock:
            return self.store.touch(resource, count, ids, seed)

    # Behaviour

    def switch(self, **values: Any) -> None:  # noqa: ANN401
        """Set switches; see `SWITCHES` for names and values."""
        with self.lock:
            self.switches.set(values)

    def fault(self, kind: str, **options: Any) -> Fault:  # noqa: ANN401
        """Add a fault; see `Fault` for the options."""
        try:
            fault = Fault(kind=kind, **options)
        except TypeError as error:
            raise ValueError(f"A fault has no such option: {error}.") from None
        with self.lock:
            self.faults.append(fault)
        return fault

    def clear_faults(self) -> None:
        """End all faults and release hanging responses."""
        with self.lock:
            self.faults.clear()
        self.release()

    def release(self) -> None:
        """Send the responses that a `hang` holds back."""
        for release in list(self._releases):
            release()

    def on_release(self, callback: Callable[[], object]) -> None:
        """Call `callback` at each `release`."""
        self._releases.append(callback)

    def on_request(self, hook: Callable[[Request], object]) -> Callable[[], None]:
        """Call `hook` with each request before its response; return a function that ends that.

        The hook may change rows, switches and faults. It must not send requests to this
        sandbox's server, which waits for it.
        """
        self._hooks.append(hook)
        return lambda: self._hooks.remove(hook)

    @property
    def requests(self) -> list[Entry]:
        """The log, oldest request first."""
        with self.lock:
            return list(self.log.entries)

    def counters(self) -> dict[str, Any]:
        """Return the counts of all requests."""
        with self.lock:
            return self.log.counters()

    def clear_log(self) -> None:
        """Forget the requests and their counts."""
        with self.lock:
            self.log.clear()

    def reset(self) -> None:
        """Restore the initial data, switches, faults, limits, cursors and log (not the clock)."""
        with self.lock:
            self.switches.reset()
            self.limits.configure(account=None, endpoint=None, **self._start_limits)
            self.log.clear()
            self.cursors.clear()
            self.pages.clear()
            self.poisons.clear()
            self._jitter.seed(self.seed)
            self._load()
        self.clear_faults()

    # Requests

    def receive(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> tuple[Request, Entry, Route | None]:
        """Log a request and call the hooks with it."""
        inside = path.startswith(f"{PREFIX}/")
        below = path.removeprefix(PREFIX) if inside else path
        match = router.find(method, below) if inside else router.Match("unknown", None, None, {})
        request = Request(
            method=method, path=below, route=match.template, query=list(query),
            headers=headers or {}, body=body, numbers=match.numbers,
        )  # fmt: skip
        kept = {name: value for name, value in request.headers.items() if name in KEPT_HEADERS}
        with self.lock:
            entry = Entry(
                number=self.log.total + 1, time=moment_text(self.now(), fractions=True),
                method=method, path=below, route=match.template, query=list(query), headers=kept,
                verdict=match.verdict, request_id=str(uuid.uuid4()),
            )  # fmt: skip
            self.log.open(entry)
        for hook in tuple(self._hooks):
            hook(request)
        return request, entry, match.route

    def respond(self, request: Request, entry: Entry, route: Route | None) -> Response:
        """Return the response to a received request."""
        with self.lock:
            response = respond(self, request, entry, route)
            skewed = self.now() / MICROSECONDS + self.switches["date_header_skew"]
            response.headers.setdefault("date", http_date(skewed))
            entry.status, entry.rows = response.status or None, response.rows
            entry.fault = response.fault.kind if response.fault else None
            self.log.close(entry)
            return response

    def delay(self) -> float:
        """Return the latency of the next response in seconds."""
        fixed, jitter = self.switches["latency"], self.switches["latency_jitter"]
        return float(fixed + (self._jitter.random() * jitter if jitter else 0))
