"""The verifier: holds what the tap did against what Lev said and holds."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lev_sandbox import account
from tests.torture.account import cursor_id, instant
from tests.torture.destination import apply
from tests.torture.excuses import Excuses
from tests.torture.launch import SIGNALS
from tests.torture.repeats import Repeats
from tests.torture.rows import content, key_of
from tests.torture.source import Source
from tests.torture.states import completed, entries, failed, is_void, page_of, place, walk_of
from tests.torture.streams import STREAMS

if TYPE_CHECKING:
    from tests.torture.account import Account
    from tests.torture.concurrent_changes import ConcurrentChanges
    from tests.torture.plan import Plan
    from tests.torture.rows import Form
    from tests.torture.run import Run
    from tests.torture.source import Table
    from tests.torture.streams import Key, Row

KINDS = {"SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION"}
ENDED = re.compile(r"Sync (complete|failed)")
FAILED = re.compile(r"streams are not complete: (.*?); [\d,]+ rows")
NAME = re.compile(r"(\w+)(?: \(request_id [^)]*\))?(?:, )?")
SKIPPED = re.compile(r"(\w+): skipped, because the key may not read it")
STRANGE = 2
"""The exit code where the state is of another account."""
EXIT_CODES = {"kill": -9, "term": 143, "int": 130, "pipe": 1, "disk": 1}
HONOURED = {"honoured", "ignored", "whole_days_from", "gt", "400", "422"}
"""What a server may do with the filter without losing a row."""
SECOND = 1_000_000
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


class Verifier:
    """Checks one round.

    Args:
        plan: The round.
        lev: What Lev holds.
        changes: What was changed, and when.
        form: How rows are written.

    Attributes:
        findings: What must not be.
        is_recounted: Whether the last run failed only because Lev's count was not Lev's rows for
            the first time.
        repeats: The work that was repeated after crashes.
    """

    def __init__(self, plan: Plan, lev: Account, changes: ConcurrentChanges, form: Form) -> None:
        self._plan = plan
        self._account = lev
        self._source = Source(plan, lev, changes, form)
        self._form = form
        self._said: dict[tuple[str, Key], set[str]] = defaultdict(set)
        self._gone: set[tuple[str, int]] = set()
        self._excuses = Excuses(plan, lev)
        self._last: dict[str, Any] = {}
        self._told: set[str] = set()
        self._run = 0
        self.is_recounted = False
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self.repeats = Repeats()

    def find(self, kind: str, text: str) -> None:
        """Note something that must not be."""
        self.findings.append(Finding(kind, self._run, text))

    # -- A run

    def check(self, run: Run, *, clean: bool) -> None:
        """Check a run.

        Args:
            run: The run.
            clean: Whether nothing was to go wrong.
        """
        self._run += 1
        with self._account.lock:
            self._source.select(run.selection)
            tables = {name: self._source.table(name) for name in run.selection.streams}
            form = dataclasses.replace(self._form, columns=run.selection.columns)
            for stream, key, said in self._account.heard(form, self._ignored("deals")):
                self._said[stream, key].add(said)
        refused = {400, 403, 422}
        for asked in run.asked:
            if asked.status == 404:
                self._gone.add(asked.root)
            self._source.without_blocks |= asked.status in refused and asked.route == "/deals"
        self._source.note_unproven(run)
        before = entries(run.state)
        self._last = entries(run.states[-1]) if run.states else before
        self._end(run, before, clean=clean)
        self._secrets(run)
        for text in self.repeats.check(run, self._account):
            self.find("repeated", text)
        written = self._messages(run, tables)
        # The end of the output may be in the pipe when the target goes: the tap cannot know.
        cut = run.struck and run.kill is not None and run.kill.kind in {"pipe", "disk"}
        if run.exit_code == 0 and not run.stuck and not cut:
            self._complete(run, before, written, tables)
        if clean:
            for line in self._excuses.untrue(run.log):
                self.find("alarm", f"nothing excuses: {line}")

    def _end(self, run: Run, before: dict[str, Any], *, clean: bool) -> None:
        if run.stuck:
            self.find("stuck", "it did not end by itself")
            return
        good = {0, 1}
        if clean:
            good = {1} if self._alarmed(run, before) else {0}
        self._end_as(run, before, good)
        for name in ("violations", "unknown", "unsuitable"):
            if run.counters[name]:
                self.find("request", f"{run.counters[name]} requests that are {name}: "
                          f"{sorted(run.counters['routes'])}")  # fmt: skip

    def _end_as(self, run: Run, before: dict[str, Any], good: set[int]) -> None:
        """Hold a run's exit code against those that are good unless something else is."""
        if run.variation.who == "stranger" and self._tells_account(run, before):
            good = {STRANGE}
            if run.messages and not run.struck:
                self.find("account", f"{len(run.messages)} messages of another account's rows")
        if any(asked.status == 401 for asked in run.asked):
            good |= {3}
        if run.asked and all(asked.status == 404 for asked in run.asked):
            good |= {2}  # it asks whether the address is right
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

    def _tells_account(self, run: Run, before: dict[str, Any]) -> bool:
        """Say whether a run could see that the state is of another account."""
        told = any(a.route == "/me" and a.said is not None and a.rows for a in run.asked)
        owned = any(isinstance(entry.get("account"), int) for entry in before.values())
        return told and owned and self._plan.switches["me_account"] == "whole"

    def _alarmed(self, run: Run, before: dict[str, Any]) -> bool:
        """Find the streams that are told to be not complete, and those that are without reason.

        Returns:
            Whether a run may end with 1.
        """
        excuses, reasons = self._excuses, list[str]()
        found = FAILED.search(run.log)
        told = [match[1] for match in NAME.finditer(found[1])] if found else []
        self._told, self.is_recounted = {*told}, bool(told)
        for name in told:
            entry, rows = self._last.get(name, {}), self._named(name)
            shortfall = entry.get("shortfall")
            # The same shortfall in two walks is Lev's own count.
            is_new = shortfall is not None and shortfall[1] == 1
            again = is_new and shortfall == before.get(name, {}).get("shortfall")
            counted = is_new and not again and excuses.recounted(name)
            self.is_recounted = self.is_recounted and counted
            said = _errors(run.log, name)
            keyless = excuses.keyless(name) and ("without a key" in said or "missing" in said)
            excused = counted or keyless or (rows and rows <= excuses.rows(name))
            if excused or excuses.incomplete(name):
                reasons.append(name)
            else:
                self.find("alarm", f"{name} is told not to be complete: {_errors(run.log, name)}")
        return bool(told)

    def _named(self, stream: str) -> set[int]:
        """Find the rows that are kept to be asked for again, but for those that are accepted."""
        accepted = self._plan.config.get("accepted_gaps", {}).get(stream, [])
        return failed(self._last.get(stream, {})) - {*accepted}

    def _complete(
        self,
        run: Run,
        before: dict[str, Any],
        written: dict[str, dict[Key, Row]],
        tables: dict[str, Table],
    ) -> None:
        """Hold a run that says to be complete against what Lev held when it began."""
        skipped = {*SKIPPED.findall(run.log)}
        for name in run.selection.streams:
            if name in skipped:
                if not any(asked.status == 403 for asked in run.asked):
                    self.find("complete", f"{name} is skipped, and nothing was forbidden")
                continue
            if rows := self._named(name):
                self.find("complete", f"{name} lacks {sorted(rows)}")
            walks = (walk_of(entries_.get(name, {})) for entries_ in (before, self._last))
            began = [m for walk in walks if (m := instant(walk.get("started_at")))]
            value = completed(self._last.get(name, {}))
            moments = [_microseconds(moment) for moment in began]
            # What began in an earlier run proves no more than what was there then.
            moment = min([run.began // SECOND * SECOND, *moments])
            if value is not None and moments:
                moment = min(moment, _microseconds(value))
            self._covered(
                name, moment, None, written.get(name, {}), tables[name], None, kind="complete"
            )

    def _secrets(self, run: Run) -> None:
        key = self._plan.key(self._account)
        for where, text in (("output", run.output.decode(errors="replace")), ("log", run.log)):
            if key in text:
                self.find("key", f"the key is in the {where}")

    # -- Its messages

    def _messages(self, run: Run, tables: dict[str, Table]) -> dict[str, dict[Key, Row]]:
        for line in run.faults:
            self.find("output", f"a line that is no message: {line[:200]}")
        written, versions, schemas = run.tables, run.versions, set[str]()
        before = given = entries(run.state)
        streams, empties = run.selection.streams, run.empties
        bounds = {name: self._bound(given.get(name, {}), run) for name in streams}
        for message in run.messages:
            kind, stream = message["type"], message.get("stream", "")
            if kind not in KINDS:
                self.find("output", f"a message of type {kind}")
            elif kind == "STATE":
                for name in empties:
                    written.pop(name, None)
                empties = ()
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
                    kept = failed(given.get(stream, {}))
                    self._record(stream, message["record"], bounds, kept)
                there = dict(written.get(stream, {}))
                dropped = apply(message, written, versions, self._plan.drops)
                if dropped:
                    self._dropped(run, stream, dropped, before.get(stream, {}), tables, there)
        return written

    def _bound(self, entry: dict[str, Any], run: Run) -> datetime | None:
        """Find the moment before which a run wants no row of a stream."""
        with self._account.lock:
            user = account.me(self._account, scoped=True)["user"]["id"]
        if entry.get("user") not in {None, user} or "is later than Lev's clock" in run.log:
            return None
        return self._source.bound(entry)

    def _dropped(  # noqa: PLR0913, PLR0917
        self,
        run: Run,
        stream: str,
        keys: list[Key],
        entry: dict[str, Any],
        tables: dict[str, Table],
        there: dict[Key, Row],
    ) -> None:
        """Find rows that were dropped, and that Lev has had all the time."""
        began = instant(walk_of(entry).get("started_at"))
        moment = min([run.began, *([_microseconds(began)] if began else [])])
        for key in keys:
            row, root = tables.get(stream, {}).get(key, (None, 0))
            hidden = self._source.is_hidden(stream, root)
            if row is None or hidden or self._source.changed(stream, root) >= moment:
                continue
            self.find("dropped", f"{stream} {key} is dropped, and Lev has it: {there[key]}")
            return

    def _record(
        self, stream: str, record: Row, bounds: dict[str, datetime | None], kept: set[int]
    ) -> None:
        self.counts["rows"] += 1
        key, bound = key_of(stream, record), bounds.get(stream)
        if stream not in bounds:
            self.find("unsaid", f"{stream} is not selected")
        elif content(stream, record, *self._ignored(stream)) not in self._said[stream, key]:
            said = self._said[stream, key]
            self.find("unsaid", f"{stream} {key}: {record}; Lev said {sorted(said)[-2:]}")
        elif bound is not None and self._source.is_incremental(stream) and key[0] not in kept:
            dated = instant(record.get("updated_at"))
            if dated is not None and dated < bound:
                self.find("old", f"{stream} {key} of {dated}, not wanted before {bound}")

    def _ignored(self, stream: str) -> tuple[str, ...]:
        """Find the columns that may come from another answer than the rest of a row."""
        lacks = self._plan.switches["missing_blocks"]["financials"]
        return ("financials",) if stream == "deals" and lacks else ()

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
            behind = behind and self._is_ordered(name)
            if same and behind and not (is_void(old) or self._may_restart(run, name)):
                self.find("regression", f"{name}: the walk went from {walk} to {next_walk}")

    def _may_restart(self, run: Run, stream: str) -> bool:
        root = STREAMS[stream].root or ""
        told = f"Reading {stream} again", f"The stream {stream} is not", f"{stream}: skipped"
        return (
            root in run.refused
            or root in self._plan.outage.get("broken_cursor", {})
            or "so all rows are read" in run.log
            or any(text in run.log for text in told)
        )

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
            placed = walk and self._is_ordered(name) and not self._is_doubtful(name, walk)
            if placed and name != "index_metric_definitions":
                covered = cursor_id(walk["cursor"]) if STREAMS[name].is_list else place(walk)
                began, since = instant(walk["started_at"]), instant(walk["since"])
                moment = None if began is None else _microseconds(began)
                self._covered(
                    name, moment, covered, there, tables[name], since or DAY_ONE, entry=entry
                )
            old = before.get(name, {})
            if (done := completed(entry)) != completed(old):
                walk = walk_of(old)
                same = walk and done == instant(walk["started_at"])
                since = instant(walk["since"]) or DAY_ONE if same else None
                self._covered(
                    name, _microseconds(done) if done else None, None, there, tables[name], since,
                    entry=entry,
                )  # fmt: skip

    def _is_ordered(self, stream: str) -> bool:
        """Say whether a place in a stream's list tells which rows are before it."""
        root, order = STREAMS[stream].root, self._plan.switches["list_order"]
        return root is not None and order.get(root, "id") == "id"

    def _is_doubtful(self, stream: str, walk: dict[str, Any]) -> bool:
        """Say whether a walk goes by a filter that will be found not to be what it should be."""
        answer = self._plan.switches["updated_at_filter"].get(STREAMS[stream].root or "")
        return walk.get("filter") is not None and answer not in HONOURED

    def _covered(  # noqa: PLR0913, PLR0917
        self,
        stream: str,
        moment: int | None,
        covered: int | None,
        there: dict[Key, Row],
        table: Table,
        since: datetime | None,
        *,
        entry: dict[str, Any] | None = None,
        kind: str = "uncovered",
    ) -> None:
        missing = self._missing(stream, entry or {})
        for key, (row, root) in table.items():
            if covered is not None and root > covered:
                continue
            if moment is None or self._source.changed(stream, root) >= moment:
                continue
            if (STREAMS[stream].root or "", root) in self._gone or root in missing:
                continue
            dated = instant(row.get("updated_at"))
            # A row without a date comes only where no date is asked for.
            walked = STREAMS[stream].is_list and since is not None and (dated or DAY_ONE) >= since
            fault = self._source.compare(stream, key, row, root, there.get(key), walked=walked)
            if fault:
                place_ = "its end" if covered is None else f"row {covered}"
                changed = self._source.changed(stream, root)
                self.find(kind, f"at {place_} of {moment}, changed {changed}: {fault}")
                return

    def _missing(self, stream: str, entry: dict[str, Any]) -> set[int]:
        """Find the rows of the list that are known to be missing, or cannot be known to be."""
        excuses = self._excuses
        found = failed(entry) | excuses.keyless(stream) | excuses.believed(stream)
        # Any deal brings these, and they are no deal's.
        return found | {0} if found and stream == "index_metric_definitions" else found

    # -- The destination

    def finish(self, tables: dict[str, dict[Key, Row]]) -> None:
        """Hold the destination against the source: what is missing must have been named."""
        for stream in self._plan.streams:
            there, table = tables.get(stream, {}), self._source.table(stream)
            entry = self._last.get(stream, {})
            if stream in self._told and self._excuses.incomplete(stream):
                continue
            missing = self._missing(stream, entry)
            for key, (row, root) in table.items():
                found = there.get(key)
                fault = self._source.compare(stream, key, row, root, found, walked=False)
                if fault and root not in missing:
                    self.find("wrong" if key in there else "lost", fault)
            if stream in self._plan.mirrors and not self._excuses.keeps(stream):
                for key in there.keys() - table.keys():
                    self.find("left", f"{stream} {key} is gone and was not removed")


def _errors(log: str, stream: str) -> str:
    """Find why a stream is said to be not complete."""
    said = f"The stream {stream} is not complete"
    return " ".join(line[-500:] for line in log.splitlines() if said in line)


def _microseconds(moment: datetime) -> int:
    return (moment - DAY_ONE) // timedelta(microseconds=1)
