"""Taps that are wrong on purpose, to see that the verifier notices.

A mutant stands between the tap and everything else: it changes the state that the tap is given, or
the messages that it writes. To the verifier, which sees the tap from outside, that is a tap with
that fault; and it stays the same fault however the tap is built inside.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from tap_lev.state.walk import digest_of
from tests.torture.account import cursor_id
from tests.torture.states import walk_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from tests.torture.destination import Message

State = dict[str, Any] | None


class Mutant:
    """A tap without a fault.

    Attributes:
        streams: What the run selects.
    """

    streams: Collection[str] = ()

    def given(self, state: State, config: dict[str, Any]) -> State:  # noqa: ARG002
        """Change the state that the tap is given."""
        return state

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:  # noqa: ARG002
        """Change what the tap writes.

        Args:
            message: A message.
            now: Tells Lev's time.
        """
        return [message]

    def exit_code(self, code: int) -> int:
        """Change how the tap ends."""
        return code

    def log(self, text: str) -> str:
        """Change what the tap logs."""
        return text


class DropsRows(Mutant):
    """Leaves out every 50th row."""

    def __init__(self) -> None:
        self._count = 0

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:  # noqa: ARG002
        """Leave it out."""
        self._count += message["type"] == "RECORD"
        dropped = message["type"] == "RECORD" and self._count % 50 == 0
        return [] if dropped else [message]


class ChecksTooEarly(Mutant):
    """Writes a state before the row that it covers."""

    def __init__(self) -> None:
        self._held: list[Message] = []

    def out(self, message: Message, now: Callable[[], str]) -> Iterator[Message]:  # noqa: ARG002
        """Hold one row back until the state is written."""
        if message["type"] == "RECORD":
            yield from self._held
            self._held = [message]
            return
        if message["type"] == "STATE":
            yield message
            yield from self._held
        else:
            yield from self._held
            yield message
        self._held = []


class SkipsAPage(Mutant):
    """Goes on a page too far."""

    def given(self, state: State, config: dict[str, Any]) -> State:
        """Move the cursors on."""
        for walk in _walks(state):
            if walk.get("cursor"):
                ahead = cursor_id(walk["cursor"]) + config["page_size"]
                walk["cursor"] = base64.b64encode(json.dumps({"id": ahead}).encode()).decode()
                walk["parent"] = None
                walk["seen"] = (walk["seen"] or 0) + config["page_size"]  # or the count tells
                walk["digest"] = digest_of(walk)
        return state


class ForgetsSince(Mutant):
    """Forgets, when it goes on with a walk or begins one, from when on it wants rows."""

    def given(self, state: State, config: dict[str, Any]) -> State:  # noqa: ARG002
        """Take the bounds out of the state."""
        for walk in _walks(state):
            walk["since"] = None
            walk["digest"] = digest_of(walk)
        for entry in (state or {}).get("bookmarks", {}).values():
            entry.pop("replication_key_value", None)
        return state


class BookmarksTheEnd(Mutant):
    """Makes the end of a walk the bookmark, and not its beginning."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._ends: dict[str, str] = {}

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:
        """Put the time of the end into the state."""
        if message["type"] == "STATE":
            for name, entry in message["value"]["bookmarks"].items():
                value = entry.get("replication_key_value")
                if value and value not in {self._known.get(name), self._ends.get(name)}:
                    self._known[name], self._ends[name] = value, now()
                if value and value == self._known.get(name):
                    entry["replication_key_value"] = self._ends[name]
        return [message]


class NeverChecks(Mutant):
    """Writes no state before the end of a walk."""

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:  # noqa: ARG002
        """Leave the states out that hold a walk."""
        return [] if message["type"] == "STATE" and [*_walks(message["value"])] else [message]


class GoesBack(Mutant):
    """Writes the state that it began with once more."""

    def __init__(self) -> None:
        self._first: State = None

    def given(self, state: State, config: dict[str, Any]) -> State:  # noqa: ARG002
        """Remember it."""
        self._first = json.loads(json.dumps(state))
        return state

    def out(self, message: Message, now: Callable[[], str]) -> Iterator[Message]:  # noqa: ARG002
        """Write it."""
        yield message
        if message["type"] == "STATE" and self._first:
            yield {"type": "STATE", "value": self._first}


class MakesThingsUp(Mutant):
    """Writes what Lev never said."""

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:  # noqa: ARG002
        """Change a value."""
        record = message.get("record", {})
        if isinstance(record.get("id"), int) and record["id"] % 20 == 0:
            name = next((n for n, v in record.items() if isinstance(v, str)), None)
            if name:
                record[name] += "?"
        return [message]


class KeepsTheGone(Mutant):
    """Never says that a table is complete."""

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:  # noqa: ARG002
        """Leave the message out."""
        return [] if message["type"] == "ACTIVATE_VERSION" else [message]


class ForgetsTheRest(Mutant):
    """Keeps in the state only what it was told to read."""

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:  # noqa: ARG002
        """Leave the others out."""
        if message["type"] == "STATE":
            marks = message["value"]["bookmarks"]
            message["value"]["bookmarks"] = {n: m for n, m in marks.items() if n in self.streams}
        return [message]


class TrustsTheFilter(Mutant):
    """Takes Lev's filter for what it should be, without a proof."""

    def given(self, state: State, config: dict[str, Any]) -> State:
        """Have the settings say so."""
        config["updated_at_filter"] = "server"
        return state


class TrustsTheEnd(Mutant):
    """Takes the end of a list for its end, however many rows Lev counts."""

    def given(self, state: State, config: dict[str, Any]) -> State:
        """Have the settings say so."""
        config["accepted_gaps"] = dict.fromkeys(self.streams, "total")
        return state


class SaysComplete(Mutant):
    """Ends with 0 whatever is missing."""

    def exit_code(self, code: int) -> int:
        """Change it."""
        return 0 if code == 1 else code


class CriesWolf(Mutant):
    """Ends with 1 though nothing is missing."""

    def exit_code(self, code: int) -> int:
        """Change it."""
        return 1 if code == 0 else code


class WarnsOfNothing(Mutant):
    """Warns of what is not true."""

    def log(self, text: str) -> str:
        """Add a line."""
        return text + "2026-11-02 08:00:00,000 | WARNING  | tap-lev.deals | Rows may be missing.\n"


class ForgetsTheFailed(Mutant):
    """Keeps no rows to ask for again."""

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:  # noqa: ARG002
        """Leave them out."""
        if message["type"] == "STATE":
            for entry in message["value"]["bookmarks"].values():
                entry["failed"] = []
        return [message]


class DropsTooMuch(Mutant):
    """Has the target drop what an incremental walk did not bring."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._versions = 2_000_000_000

    def out(self, message: Message, now: Callable[[], str]) -> Iterator[Message]:  # noqa: ARG002
        """Add the message at the end of each."""
        yield message
        if message["type"] != "STATE":
            return
        for name, entry in message["value"]["bookmarks"].items():
            value = entry.get("replication_key_value")
            if value and name in self.streams and value != self._known.get(name, value):
                self._versions += 1
                yield {"type": "ACTIVATE_VERSION", "stream": name, "version": self._versions}
            self._known[name] = value


class WritesNoVersions(Mutant):
    """Writes the rows of incremental walks without a version."""

    def __init__(self) -> None:
        self._incremental: set[str] = set()

    def given(self, state: State, config: dict[str, Any]) -> State:  # noqa: ARG002
        """Forget what the last run was like."""
        self._incremental.clear()
        return state

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:  # noqa: ARG002
        """Leave it out."""
        if message["type"] == "SCHEMA" and message.get("bookmark_properties"):
            self._incremental.add(message["stream"])
        if message["type"] == "RECORD" and message["stream"] in self._incremental:
            message.pop("version", None)
        return [message]


class LeavesOutNulls(Mutant):
    """Writes no keys into a state that hold nothing."""

    def out(self, message: Message, now: Callable[[], str]) -> Iterable[Message]:  # noqa: ARG002
        """Leave them out."""
        if message["type"] == "STATE":
            for entry in message["value"]["bookmarks"].values():
                if not walk_of(entry):
                    entry.pop("walk", None)
                for name in [name for name, value in entry.items() if value is None]:
                    del entry[name]
        return [message]


def _walks(state: State) -> Iterator[dict[str, Any]]:
    for entry in (state or {}).get("bookmarks", {}).values():
        if walk_of(entry):
            yield entry["walk"]


MUTANTS: dict[str, type[Mutant]] = {
    "drops-rows": DropsRows,
    "checks-too-early": ChecksTooEarly,
    "skips-a-page": SkipsAPage,
    "forgets-since": ForgetsSince,
    "bookmarks-the-end": BookmarksTheEnd,
    "never-checks": NeverChecks,
    "goes-back": GoesBack,
    "makes-things-up": MakesThingsUp,
    "keeps-the-gone": KeepsTheGone,
    "forgets-the-rest": ForgetsTheRest,
    "trusts-the-filter": TrustsTheFilter,
    "trusts-the-end": TrustsTheEnd,
    "says-complete": SaysComplete,
    "cries-wolf": CriesWolf,
    "warns-of-nothing": WarnsOfNothing,
    "forgets-the-failed": ForgetsTheFailed,
    "drops-too-much": DropsTooMuch,
    "writes-no-versions": WritesNoVersions,
    "leaves-out-nulls": LeavesOutNulls,
}
