"""What Lev holds at the end of a run: what the destination is held against."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.torture.account import instant
from tests.torture.rows import content
from tests.torture.states import trusted, walk_of
from tests.torture.streams import STREAMS

if TYPE_CHECKING:
    from tests.torture.account import Account
    from tests.torture.concurrent_changes import ConcurrentChanges
    from tests.torture.plan import Plan, Selection
    from tests.torture.rows import Form
    from tests.torture.run import Run
    from tests.torture.streams import Key, Row

Table = dict["Key", tuple["Row", int]]
"""Rows by key, each with the id of the row of the list that it is below of, or is."""


CHECKED = 5
"""Rows without a block after which a server may be said to leave out empty ones."""
_ELSEWHERE = {
    "properties": ("deal_properties", "/deals/{deal_id}/properties"),
    "team": ("deal_team_members", "/deals/{deal_id}/team"),
    "pipelines": ("deal_pipelines", "/deals/{deal_id}"),
    "financials": ("deal_financials", "/deals/{deal_id}/financials"),
}
"""Where a block's rows can be had by themselves: the stream, the route."""


def _holds(said: bytes, block: str) -> bool:
    data = json.loads(said)["data"]
    return bool(data.get(block) if block == "pipelines" and isinstance(data, dict) else data)


class Source:
    """What Lev holds, and what of it the contract promises.

    Args:
        plan: The round.
        account: What Lev holds.
        changes: What was changed, and when.
        form: How rows are written.

    Attributes:
        without_blocks: Whether a deal's block of financials may be missing in the destination, or
            older: Lev refused it, or it changed and the deal did not say so.
    """

    def __init__(
        self, plan: Plan, account: Account, changes: ConcurrentChanges, form: Form
    ) -> None:
        self._plan = plan
        self._account = account
        self._changes = changes
        self._form = form
        self._left_out: dict[str, frozenset[str]] = {}
        self._ever_left_out: dict[str, frozenset[str]] = {}
        switches = plan.switches
        self.without_blocks = (
            "deal_financials" in plan.streams
            or bool(switches["refuse_include"]["financials"])
            or bool(switches["include_scope"]["financials"])
            or switches["missing_blocks"]["financials"] in {"all", "some", "page", "everywhere"}
        )
        self.unproven: set[str] = set()
        """Streams whose embedded rows a server may leave out that was found to have none there."""
        self._whole: frozenset[str] = frozenset()

    def select(self, selection: Selection) -> None:
        """Note what a run is to read."""
        self._left_out = dict(selection.columns)
        self._whole = self._plan.tables(selection)
        for name, columns in selection.columns:
            self._ever_left_out[name] = self._ever_left_out.get(name, frozenset()) | columns

    def note_unproven(self, run: Run) -> None:
        """Note the embedded streams whose first rows had none where a run looked for them.

        A server that leaves out empty ones cannot be told from one that leaves out others, then.
        """
        for block, (stream, route) in _ELSEWHERE.items():
            if self._plan.switches["missing_blocks"][block]:
                said = [a.said for a in run.asked if a.route == route and a.status in {200, 404}]
                found = [_holds(text, block) for text in said if text is not None]
                if len(said) >= CHECKED and not any(found[:CHECKED]):
                    self.unproven.add(stream)

    def is_hidden(self, stream: str, root: int) -> bool:
        """Say whether what is below a row may be hidden from who asks for it."""
        kind = STREAMS[stream]
        if kind.root != "deals" or kind.is_list:
            return False
        return self._account.hides_below(root)

    def table(self, stream: str) -> Table:
        """Find the rows of a stream as they are now."""
        return self._account.table(stream, self._form)

    def is_incremental(self, stream: str) -> bool:
        """Say whether a stream brings only what changed."""
        return STREAMS[stream].is_list and stream not in self._whole

    def _start_date(self) -> datetime | None:
        text = self._plan.config.get("start_date")
        if text is None:
            return None
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def bound(self, entry: dict[str, Any]) -> datetime | None:
        """Find the moment before which no row of a stream is wanted by a run; None if all are.

        All are where a walk without a bound is replaced, or may be: one that cannot be read.
        """
        value, walk = trusted(entry), walk_of(entry)
        since = instant(walk.get("since"))
        if walk and (since is None or "digest" not in walk):
            return None
        if value is None:
            return self._start_date()
        overlap = timedelta(seconds=self._plan.config["overlap_seconds"])
        bound = (value - overlap).replace(microsecond=0)
        return min(bound, since) if since else bound

    def changed(self, stream: str, root: int) -> int:
        """Find when a row of a list, and what is below of it, changed last; -1 is never."""
        changed, kind = self._changes.changed, STREAMS[stream]
        if stream == "index_metric_definitions":
            # Any deal brings them, and the only one that does may be new.
            deals = self._account.store.table("deals").listed()
            shown = [deal for deal in deals if not self._account.hides_below(deal)]
            first = min((changed.get(("deals", deal), -1) for deal in shown), default=-1)
            return max(changed.get((stream, 0), -1), first)
        if kind.root is None:
            return max((when for (name, _), when in tuple(changed.items())
                        if name == kind.resource or not kind.resource), default=-1)  # fmt: skip
        own = changed.get((kind.root, root), -1)
        return own if kind.is_list else max(own, changed.get((f"below {kind.root}", root), -1))

    def compare(  # noqa: PLR0913
        self, stream: str, key: Key, row: Row, root: int, there: Row | None, *, walked: bool
    ) -> str | None:
        """Say what is wrong with a row of the destination, if anything is.

        Args:
            stream: Its stream.
            key: Its key.
            row: What Lev holds.
            root: The row of the list that it is below of, or is.
            there: What the destination holds.
            walked: Whether the run's walk has brought it, so that all is there that is selected.
                What comes only when it changes lacks what it was written without.
        """
        if stream in self.unproven or self.is_hidden(stream, root):
            return None
        if there is None:
            return f"{stream} {key} is not there" if self._required(stream, row, root) else None
        if self._is_omitted(stream, row, there):
            row |= {"financials": None}
        ignored = self._ignored(stream, walked=walked or stream in self._whole)
        found = content(stream, there, *ignored)
        if found == content(stream, row, *ignored):
            return None
        if self.is_incremental(stream):
            silent = self._changes.silent.get((stream, key), ())
            if any(found == content(stream, each, *ignored) for each in silent):
                return None
            if not self._required(stream, row, root):
                return None
        return f"{stream} {key} is {there} and should be {row}"

    def _is_omitted(self, stream: str, row: Row, there: Row) -> bool:
        """Say whether Lev leaves an empty object out, which looks like none."""
        omits = self._plan.switches["missing_blocks"]["financials"] == "empty"
        return (
            omits
            and stream == "deals"
            and row["financials"] == {} == (there.get("financials") or {})
        )

    def _ignored(self, stream: str, *, walked: bool) -> list[str]:
        """Find the columns that a row may lack, or have an older value in."""
        left_out = [*(self._left_out if walked else self._ever_left_out).get(stream, ())]
        # Where columns are named, Lev does not say what it has added.
        left_out += ["_unknown_fields"] if left_out else []
        return left_out + ["financials"] * (stream == "deals" and self.without_blocks)

    def _required(self, stream: str, row: Row, root: int) -> bool:
        """Say whether a row must be in the destination."""
        start = self._start_date()
        if start is None or stream in self._whole:
            return True
        kind = STREAMS[stream]
        listed = row if kind.is_list else self._account.row(kind.root or "", root)
        dated = instant(listed.get("updated_at"))
        return dated is not None and dated >= start
