"""Where the rows go: a target that keeps what it was told to keep, and loses the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.torture.rows import key_of
from tests.torture.states import can_be_of_old_release, entries, merged, of_old_release, walk_of

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

    from tests.torture.streams import Key, Row

Message = dict[str, Any]
FULL = Path("/dev/full")
"""A disk without room."""


class Destination:
    """A target that writes its rows with each STATE, and then the STATE to a file.

    Args:
        path: The file that holds the state in force.
        drops: Which rows the end of a full table drops: those of any ``other`` version, or those
            of an ``older`` one.

    Attributes:
        tables: The rows by stream and key, as far as they are written.
        state: The state in force; None before the first.
        full: Whether the disk has no more room for a state.
        versions: Of each row, the version of the table that it came with.
        empties: The streams whose tables are emptied by the first state that comes.
    """

    def __init__(self, path: Path, drops: str = "other") -> None:
        self.tables: dict[str, dict[Key, Row]] = {}
        self.full = False
        self.drops = drops
        self.empties: Collection[str] = ()
        self._path = path
        self._merges = False
        self._history: list[str] = []
        self.versions: dict[tuple[str, Key], int | None] = {}
        self._pending: list[Message] = []

    @property
    def state(self) -> dict[str, Any] | None:
        """The state in force."""
        if not self._path.exists():
            return None
        found: dict[str, Any] = json.loads(self._path.read_bytes())
        return found

    @property
    def is_owned(self) -> bool:
        """Whether the state in force names an account."""
        return any(entry.get("account") for entry in entries(self.state).values())

    def give(
        self, way: str, streams: Collection[str], chance: random.Random
    ) -> dict[str, Any] | None:
        """Give a run the state to go on from.

        Args:
            way: ``usual``, ``full-refresh``, ``older`` or ``old-release``. What cannot be had is
                as usual.
            streams: What the run selects.
            chance: Where an older state is drawn from.
        """
        state = self.state
        self._merges, self.empties = False, ()
        if state is None:
            return None
        match way:
            case "full-refresh":
                self._merges, self.empties = True, streams
                return None
            case "older":
                older = [text for text in self._history if self._may_come_back(json.loads(text))]
                if older:
                    self._store(chance.choice(older))
            case "old-release" if can_be_of_old_release(state, streams):
                self._store(json.dumps(of_old_release(state)))
        return self.state

    def _may_come_back(self, state: dict[str, Any]) -> bool:
        """Whether no rows that are written since can be of another table than its walks end.

        Who drops whatever is of another table drops these: no tap can know of them.
        """
        walks = [walk_of(entry) for entry in entries(state).values()]
        return self.drops == "older" or not any(walk.get("version") for walk in walks)

    def _store(self, text: str) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self._path)

    def take(self, message: Message) -> None:
        """Take a message.

        Raises:
            OSError: The state cannot be stored. The rows before it are written all the same.
        """
        if message["type"] != "STATE":
            self._pending.append(message)
            return
        if self.empties and not self.full:
            for stream in self.empties:
                self.tables.pop(stream, None)
            self.empties, self._history = (), []  # no state before this one is true any more
        self.end(drained=True)
        value = message["value"]
        text = json.dumps(merged(self.state, value) if self._merges else value)
        if self.full:
            with FULL.open("w") as file:
                file.write(text)
        self._history = [*self._history[-20:], text]
        self._store(text)

    def end(self, *, drained: bool) -> None:
        """Write what came after the last state, or lose it."""
        if drained:
            for message in self._pending:
                apply(message, self.tables, self.versions, self.drops)
        self._pending.clear()


def apply(
    message: Message,
    tables: dict[str, dict[Key, Row]],
    versions: dict[tuple[str, Key], int | None],
    drops: str = "other",
) -> list[Key]:
    """Do what a message says to some tables; return the keys of the rows that were dropped."""
    stream = message["stream"]
    table = tables.setdefault(stream, {})
    match message["type"]:
        case "RECORD":
            key = key_of(stream, message["record"])
            table[key] = table.get(key, {}) | message["record"]
            versions[stream, key] = message.get("version")
        case "ACTIVATE_VERSION":
            version = message["version"]
            held = {key: versions.get((stream, key)) for key in table}
            old = [
                key
                for key, of in held.items()
                if (of != version if drops == "other" else of is not None and of < version)
            ]
            for key in old:
                del table[key]
            return old
    return []
