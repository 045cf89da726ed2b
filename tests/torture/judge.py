"""The judge: holds what the tap did against what Lev said and holds."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.torture.account import cursor_id, instant
from tests.torture.destination import apply
from tests.torture.launch import SIGNALS
from tests.torture.repeats import Repeats
from tests.torture.rows import content, key_of
from tests.torture.source import Source
from tests.torture.states import completed, is_void, page_of, place, walk_of
from tests.torture.streams import STREAMS

if TYPE_CHECKING:
    from tests.torture.account import Account
    from tests.torture.plan import Plan
    from tests.torture.rows import Form
    from tests.torture.run import Run
    from tests.torture.source import Table
    from tests.torture.streams import Key, Row
    from tests.torture.unrest import Unrest

KINDS = {"SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION"}
ENDED = re.compile(r"Sync (complete|failed)")
EXIT_CODES = {"kill": -9, "term": 143, "int": 130, "pipe": 1, "disk": 1}
DAY_ONE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Finding:
    """Something that must not be.

    Attributes:
        kind: What the table of results counts it as.
        run: The number of the run in its round.
        text: What was found.
    """

    kind: str
    run: int
    text: str

    def __str__(self) -> str:
        """Tell it in a line."""
        return f"run {self.run}: {self.kind}: {self.text}"


class Judge:
    """Judges one round.

    Args:
        plan: The round.
        account: What Lev holds.
        unrest: What was changed, and when.
        form: How rows are written.

    Attributes:
        findings: What must not be.
        repeats: The work that was repeated after crashes.
    """

    def __init__(self, plan: Plan, account: Account, unrest: Unrest, form: Form) -> None:
        self._plan = plan
        self._account = account
        self._source = Source(plan, account, unrest, form)
        self._form = form
        self._said: dict[tuple[str, Key], set[str]] = defaultdict(set)
        self._gone: set[tuple[str, int]] = set()
        self._run = 0
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self.repeats = Repeats()

    def find(self, kind: str, text: str) -> None:
        """Note something that must not be."""
        self.findings.append(Finding(kind, self._run, text))

    # -- A run

    def see(self, run: Run, *, calm: bool) -> None:
        """Judge a run.

        Args:
            run: The run.
            calm: Whether nothing was to go wrong.
        """
        self._run += 1
        with self._account.lock:
            self._source.select(run.selection)
            tables = {name: self._source.table(name) for name in run.selection.streams}
            form = dataclasses.replace(self._form, columns=run.selection.columns)
            for stream, key, said in self._account.heard(form):
                self._said[stream, key].add(said)
        for asked in run.asked:
            if asked.status == 404:
                self._gone.add(asked.root)
            self._source.without_blocks |= asked.status in {400, 422} and asked.route == "/deals"
        self._end(run, calm=calm)
        self._secrets(run)
        for text in self.repeats.see(run, self._account):
            self.find("repeated", text)
        self._messages(run, tables)

    def _end(self, run: Run, *, calm: bool) -> None:
        if run.stuck:
            self.find("stuck", "it did not end by itself")
        good = {0} if calm else {0, 1}
        if any(asked.status == 401 for asked in run.asked):
            good |= {3}
        if run.struck and run.kill and run.kill.kind not in {"pipe", "disk"}:
            ended = run.kill.kind == "kill" or ENDED.search(run.log)
            # A signal that comes when all is done may find Python without the tap's handlers.
            after = good if ended else set()
            # So may one that comes before it has begun, at a late request of the run before.
            without = {-SIGNALS[run.kill.kind]} if ended or not run.log else set()
            good = {EXIT_CODES[run.kill.kind]} | after | without
        if run.exit_code not in good:
            self.find(
                "exit", f"exit code {run.exit_code}, not one of {sorted(good)}: {run.log[-700:]}"
            )
        if "Traceback" in run.log or "fault of tap-lev" in run.log:
            self.find("exit", f"a traceback: {run.log[-2500:]}")
        for name in ("violations", "unknown", "unsuitable"):
            if run.counters[name]:
                self.find("request", f"{run.counters[name]} requests that are {name}: "
                          f"{sorted(run.counters['routes'])}")  # fmt: skip

    def _secrets(self, run: Run) -> None:
        key = self._plan.key(self._account)
        for where, text in (("output", run.output.decode(errors="replace")), ("log", run.log)):
            if key in text:
                self.find("key", f"the key is in the {where}")

    # -- Its messages

    def _messages(self, run: Run, tables: dict[str, Table]) -> None:
        for line in run.faults:
            self.find("output", f"a line that is no message: {line[:200]}")
        written, versions, schemas = run.tables, run.versions, set[str]()
        before: dict[str, Any] = (run.state or {}).get("bookmarks", {})
        streams = run.selection.streams
        bounds = {name: self._source.bound(before.get(name, {})) for name in streams}
        for message in run.messages:
            kind, stream = message["type"], message.get("stream", "")
            if kind not in KINDS:
                self.find("output", f"a message of type {kind}")
            elif kind == "STATE":
                after = message["value"]["bookmarks"]
                self._state(before, after, run)
                self._covers(before, after, written, tables)
                before = after
            elif kind == "SCHEMA":
                schemas.add(stream)
            else:
                if stream not in schemas:
                    self.find("output", f"{kind} of {stream} before its SCHEMA")
                if kind == "RECORD":
                    self._record(stream, message["record"], bounds)
                apply(message, written, versions)

    def _record(self, stream: str, record: Row, bounds: dict[str, datetime | None]) -> None:
        self.counts["rows"] += 1
        key, bound = key_of(stream, record), bounds.get(stream)
        if stream not in bounds:
            self.find("unsaid", f"{stream} is not selected")
        elif content(stream, record) not in self._said[stream, key]:
            said = self._said[stream, key]
            self.find("unsaid", f"{stream} {key}: {record}; Lev said {sorted(said)[-2:]}")
        elif bound is not None and self._source.is_incremental(stream):
            dated = instant(record.get("updated_at"))
            if dated is not None and dated < bound:
                self.find("old", f"{stream} {key} of {dated}, not wanted before {bound}")

    # -- Its states

    def _state(self, before: dict[str, Any], after: dict[str, Any], run: Run) -> None:
        for name in before.keys() | after.keys():
            old, new = before.get(name, {}), after.get(name, {})
            if name not in run.selection.streams and old != new:
                self.find("regression", f"{name}: not selected, and went from {old} to {new}")
            was, now = completed(old), completed(new)
            if was is not None and (now is None or now < was):
                self.find("regression", f"{name}: the bookmark went from {was} to {now}")
            walk, next_walk = walk_of(old), walk_of(new)
            same = walk and all(
                walk.get(part) == next_walk.get(part) for part in ("started_at", "request")
            )
            root = STREAMS[name].root or ""
            # Whoever looks for its place within a page still goes on with that page.
            of = page_of if root in self.repeats.lost_places else place
            behind = of(next_walk) < of(walk)
            if same and behind and not (is_void(old) or self._may_restart(run, root)):
                self.find("regression", f"{name}: the walk went from {walk} to {next_walk}")

    def _may_restart(self, run: Run, root: str) -> bool:
        return root in run.refused or root in self._plan.storm.get("broken_cursor", {})

    def _covers(
        self,
        before: dict[str, Any],
        after: dict[str, Any],
        written: dict[str, dict[Key, Row]],
        tables: dict[str, Table],
    ) -> None:
        """Hold a state against the rows that were written before it."""
        for name, entry in after.items():
            if name not in tables or entry == before.get(name):
                continue
            walk, there = walk_of(entry), written.get(name, {})
            if walk and STREAMS[name].root and name != "index_metric_definitions":
                covered = cursor_id(walk["cursor"]) if STREAMS[name].is_list else place(walk)
                began, since = instant(walk["started_at"]), instant(walk["since"])
                self._covered(name, began, covered, there, tables[name], since or DAY_ONE)
            old = before.get(name, {})
            if (moment := completed(entry)) != completed(old):
                walk = walk_of(old)
                same = walk and moment == instant(walk["started_at"])
                since = instant(walk["since"]) or DAY_ONE if same else None
                self._covered(name, moment, None, there, tables[name], since)

    def _covered(  # noqa: PLR0913, PLR0917
        self,
        stream: str,
        moment: datetime | None,
        covered: int | None,
        there: dict[Key, Row],
        table: Table,
        since: datetime | None,
    ) -> None:
        for key, (row, root) in table.items():
            if covered is not None and root > covered:
                continue
            if moment is None or self._source.changed(stream, root) >= _microseconds(moment):
                continue
            if (STREAMS[stream].root or "", root) in self._gone:
                continue
            dated = instant(row.get("updated_at"))
            # A row without a date comes only where no date is asked for.
            walked = STREAMS[stream].is_list and since is not None and (dated or DAY_ONE) >= since
            fault = self._source.compare(stream, key, row, root, there.get(key), walked=walked)
            if fault:
                place_ = "its end" if covered is None else f"row {covered}"
                self.find("uncovered", f"a state at {place_} of the walk of {moment}: {fault}")
                return

    # -- The destination

    def finish(self, tables: dict[str, dict[Key, Row]]) -> None:
        """Hold the destination against the source."""
        for stream in self._plan.streams:
            there, table = tables.get(stream, {}), self._source.table(stream)
            for key, (row, root) in table.items():
                found = there.get(key)
                if fault := self._source.compare(stream, key, row, root, found, walked=False):
                    self.find("wrong" if key in there else "lost", fault)
            if stream in self._plan.mirrors:
                for key in there.keys() - table.keys():
                    self.find("left", f"{stream} {key} is gone and was not removed")


def _microseconds(moment: datetime) -> int:
    return (moment - DAY_ONE) // timedelta(microseconds=1)
