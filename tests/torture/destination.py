"""Where the rows go: a target that keeps what it was told to keep, and loses the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.torture.rows import key_of

if TYPE_CHECKING:
    from tests.torture.streams import Key, Row

Message = dict[str, Any]
FULL = Path("/dev/full")
"""A disk without room."""


class Destination:
    """A target that writes its rows with each STATE, and then the STATE to a file.

    Args:
        path: The file that holds the state in force.

    Attributes:
        tables: The rows by stream and key, as far as they are written.
        state: The state in force; None before the first.
        full: Whether the disk has no more room for a state.
        versions: Of each row, the version of the table that it came with.
    """

    def __init__(self, path: Path) -> None:
        self.tables: dict[str, dict[Key, Row]] = {}
        self.full = False
        self._path = path
        self.versions: dict[tuple[str, Key], int | None] = {}
        self._pending: list[Message] = []

    @property
    def state(self) -> dict[str, Any] | None:
        """The state in force."""
        if not self._path.exists():
            return None
        found: dict[str, Any] = json.loads(self._path.read_bytes())
        return found

    def take(self, message: Message) -> None:
        """Take a message.

        Raises:
            OSError: The state cannot be stored. The rows before it are written all the same.
        """
        if message["type"] != "STATE":
            self._pending.append(message)
            return
        self.end(drained=True)
        text = json.dumps(message["value"])
        if self.full:
            with FULL.open("w") as file:
                file.write(text)
        beside = self._path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self._path)

    def end(self, *, drained: bool) -> None:
        """Write what came after the last state, or lose it."""
        if drained:
            for message in self._pending:
                apply(message, self.tables, self.versions)
        self._pending.clear()


def apply(
    message: Message,
    tables: dict[str, dict[Key, Row]],
    versions: dict[tuple[str, Key], int | None],
) -> None:
    """Do what a message says to some tables."""
    stream = message["stream"]
    table = tables.setdefault(stream, {})
    match message["type"]:
        case "RECORD":
            key = key_of(stream, message["record"])
            table[key] = table.get(key, {}) | message["record"]
            versions[stream, key] = message.get("version")
        case "ACTIVATE_VERSION":
            for key in [k for k in table if versions.get((stream, k)) != message["version"]]:
                del table[key]
