"""The state as its keepers see it: what an entry says, and what a store may make of it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tests.torture.account import cursor_id, instant

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

State = dict[str, Any]
Entry = dict[str, Any]

OLD_KEYS = ("replication_key", "replication_key_value", "completed_at", "walk")
"""What an entry held before the release that made it whole."""
OLD_WALK = ("started_at", "since", "cursor", "request", "parent", "seen", "version", "filter")


# -- What an entry says


def entries(state: State | None) -> dict[str, Entry]:
    """The entries of a state by stream."""
    found: dict[str, Entry] = (state or {}).get("bookmarks", {})
    return found


def walk_of(entry: Entry) -> dict[str, Any]:
    """The walk that is unfinished; empty where there is none."""
    walk = entry.get("walk") or {}
    return walk if any(value is not None for value in walk.values()) else {}


def completed(entry: Entry) -> datetime | None:
    """When a stream's last complete walk began."""
    return instant(entry.get("replication_key_value") or entry.get("completed_at"))


def trusted(entry: Entry) -> datetime | None:
    """Up to when a stream's rows are complete; earlier where Lev's clock was set back."""
    moments = (instant(entry.get(name)) for name in ("replication_key_value", "completed_at"))
    return min((moment for moment in moments if moment), default=None)


def failed(entry: Entry) -> set[int]:
    """The rows of the list that are kept to be asked for again."""
    return {each[0] for each in entry.get("failed") or []}


def page_of(walk: dict[str, Any]) -> int:
    """Which row of the list the page stands behind that a walk has come to."""
    return cursor_id(walk.get("cursor"))


def place(walk: dict[str, Any]) -> int:
    """Up to which row of the list a walk has come."""
    return max(page_of(walk), walk.get("parent") or 0)


def is_void(entry: Entry) -> bool:
    """Whether a walk began in the second of the one before: it looks complete, and is not."""
    walk, done = walk_of(entry), completed(entry)
    began = instant(walk.get("started_at"))
    return done is not None and began is not None and began <= done


# -- What a store makes of it


def merged(old: Any, new: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Merge two states key by key, as Meltano does; a list is replaced as a whole."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    kept = {name: copy.deepcopy(value) for name, value in old.items() if name not in new}
    return kept | {name: merged(old.get(name), value) for name, value in new.items()}


def of_old_release(state: State) -> State:
    """Write a state as the release before did."""
    found: dict[str, Entry] = {}
    for name, entry in entries(state).items():
        kept = {key: entry[key] for key in OLD_KEYS if entry.get(key) is not None}
        walk = walk_of(entry)
        kept.pop("walk", None)
        # That release left no walk at its beginning.
        if walk.get("cursor") or walk.get("parent"):
            kept["walk"] = {key: walk[key] for key in OLD_WALK if key in walk}
        if entry.get("replication_key"):
            kept.pop("completed_at", None)
        found[name] = kept
    return {"bookmarks": found}


def can_be_of_old_release(state: State, streams: Iterable[str]) -> bool:
    """Whether the release before could have written it: it kept no rows to ask for again."""
    held = entries(state)
    return any(name in held for name in streams) and not any(
        failed(entry) or entry.get("shortfall") for entry in held.values()
    )
