"""The work that a crash makes the tap repeat, and how much of it the contract allows."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.torture.faults import LOSSES
from tests.torture.plan import NO_VARIATION
from tests.torture.states import completed, entries, failed, is_void, walk_of
from tests.torture.streams import LISTS, STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.account import Account
    from tests.torture.run import Run

PAGES = 1
"""Pages of each list that may be read once more."""
PARENTS = 1 + 10
"""Parents whose children may be read once more, of each list: the one at hand, and those ahead."""
PROBED = 1
"""One more deal, whose financials each run reads from two places to compare them."""


class Repeats:
    """Compares each run that crashed with the one that went on.

    Counted are requests that both made and that Lev answered. A list is left out where there is
    more to repeat than a crash: it was complete before the crash, a stream failed at another place
    of it, or Lev refused a parameter.

    Attributes:
        crashes: The requests repeated after each crash.
        lost_places: The lists of which the run could not find its place within a page again: it
            reads smaller pages than the run that had got there, Lev sends empty ones in between,
            or the row that it was at is gone. It then visits all rows of the page once more.
    """

    def __init__(self) -> None:
        self._crashed: Run | None = None
        self._page_size = 0
        self._largest = 0
        self._sizes: dict[tuple[str, int], int] = {}
        self.crashes: list[int] = []
        self.lost_places: set[str] = set()

    def check(self, run: Run, account: Account) -> Iterator[str]:
        """Compare a run with the one before, and find what is too much."""
        crashed, self._crashed = self._crashed, None
        # A run that was killed before it moved on leaves the place of the run before it, and an
        # older state may be of any run.
        is_older = run.variation.state == "older"
        sizes = {
            at: self._largest if is_older else self._sizes.get(at, self._page_size)
            for at in self._within(run)
        }
        self._sizes, self._page_size = sizes, run.page_size
        self._largest = max(self._largest, run.page_size)
        empty = account.switches["empty_page_every"] is not None
        self.lost_places = {
            root
            for (root, parent), size in sizes.items()
            if run.page_size < size or empty or not account.store.visible(root, parent)
        }
        if (
            crashed is not None
            and not account.poisoned
            and not (_is_unsteady(crashed) or _is_unsteady(run))
        ):
            counts = dict(self._repeated(crashed, run))
            self.crashes.append(sum(pages + calls for pages, calls, _ in counts.values()))
            for name, (pages, _, parents) in counts.items():
                if account.switches["broken_cursor"].get(name):
                    continue  # Lev leads in circles
                most = PARENTS + (PROBED if "deal_financials" in run.selection.streams else 0)
                most += crashed.page_size if name in self.lost_places else 0
                if pages > PAGES or parents > most:
                    yield f"{pages} pages of {name} and the children of {parents} of its rows"
        # A target that goes away takes with it what it had not stored: that is not the tap's doing.
        killed = run.struck and run.kill is not None and run.kill.kind in {"kill", "term", "int"}
        if killed and run.exit_code not in {0, 1, 3}:
            self._crashed = run

    def _within(self, run: Run) -> set[tuple[str, int]]:
        """Find the rows that a run goes on behind, within a page: list and id."""
        bookmarks = (run.state or {}).get("bookmarks", {})
        walks = {name: walk_of(bookmarks.get(name, {})) for name in run.selection.streams}
        return {
            (STREAMS[name].root or "", walk["parent"])
            for name, walk in walks.items()
            if walk.get("parent") is not None
        }

    def _repeated(self, crashed: Run, run: Run) -> Iterator[tuple[str, tuple[int, int, int]]]:
        for name in LISTS:
            refused = run.refused | crashed.refused
            if name in refused or not _comparable(name, crashed, run):
                continue
            before, after = _answered(crashed, name), _answered(run, name)
            calls = [root for identity, root in before.items() if identity in after and root]
            rows = _rows(run, name)
            if _resumes_by_cursor(run, name):
                # Without a cursor it asks for the row that proves the filter, and gets more.
                rows.pop("", None)
            again = set().union(*rows.values())
            pages = sum(not again.isdisjoint(page) for page in _rows(crashed, name).values())
            yield name, (pages, len(calls), len(set(calls)))


def _is_unsteady(run: Run) -> bool:
    """Say whether more may be read twice than a crash has repeated: states are rare, rows go wrong,
    pages come twice, or the state is not the last one."""
    held = entries(run.state).values()
    return (
        run.interval != 0
        or run.variation != NO_VARIATION
        or any(asked.fault in LOSSES for asked in run.asked)
        or any(failed(entry) or entry.get("shortfall") for entry in held)
    )


def _comparable(name: str, crashed: Run, run: Run) -> bool:
    """Say whether all streams of a list were, and are, at one place of it."""
    selected = run.selection.of(name)
    if not selected or selected != crashed.selection.of(name):
        return False
    members = [member for member, *_ in selected]
    before, after = _entries(crashed.state, members), _entries(run.state, members)
    if len({_place(entry) for entry in after}) > 1:
        return False
    if len({_place(entry) for entry in before}) > 1 or any(map(is_void, after)):
        return False
    # Such a walk may have ended, and have left what looks like the state before it.
    if any(is_void(entry) for state in crashed.states for entry in _entries(state, members)):
        return False
    # A page is read twice where Lev did not take what was asked for with it.
    for each in (crashed, run):
        places = [asked.place for asked in each.asked if asked.root == (name, 0)]
        if len(places) != len(set(places)):
            return False
    return [completed(e) for e in before] == [completed(e) for e in after]


def _resumes_by_cursor(run: Run, name: str) -> bool:
    members = [member for member, *_ in run.selection.of(name)]
    return any(walk_of(entry).get("cursor") for entry in _entries(run.state, members))


def _answered(run: Run, name: str) -> dict[tuple[Any, ...], int]:
    found: dict[tuple[Any, ...], int] = defaultdict(int)
    for asked in run.asked:
        if asked.root[0] == name and asked.rows and asked.said is not None:
            found[asked.identity] = asked.root[1]
    return found


def _rows(run: Run, name: str) -> dict[str, set[Any]]:
    """Find the ids of the rows of a list, by the place of the page that brought them first."""
    found: dict[str, set[Any]] = defaultdict(set)
    seen: set[Any] = set()
    for asked in run.asked:
        if asked.root == (name, 0) and asked.said is not None:
            ids = {row.get("id") for row in json.loads(asked.said)["data"]}
            found[asked.place] |= ids - seen
            seen |= ids
    return found


def _entries(state: dict[str, Any] | None, members: list[str]) -> list[dict[str, Any]]:
    return [(state or {}).get("bookmarks", {}).get(name, {}) for name in members]


def _place(entry: dict[str, Any]) -> tuple[Any, ...]:
    walk = walk_of(entry)
    return walk.get("cursor"), walk.get("parent"), walk.get("started_at")
