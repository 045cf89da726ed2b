"""Rows that fail, or come out wrong, each time they are requested."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lev_sandbox.data.world import Resource

Poisons: TypeAlias = dict[str, dict[int, dict[str, int]]]
"""The status (0: none) by kind, by row, by resource."""

KINDS = {
    "500": "lists that would hold the row, and the read by id, answer 500 (not with `fields=id`)",
    "500_always": "the same, with `fields=id` too",
    "no_key": "the row comes without its key",
    "surrogate": "a text of the row holds half of an emoji",
    "no_children": "every endpoint below the row answers with `status`",
    "null_children": "every endpoint below the row answers with `data: null`",
    "keyless_child": "the first row of each endpoint below the row comes without its key",
}
MARK = "\ue000"
"""Marks half of an emoji until the response is sent, because JSON writers refuse it."""
HALF = b"\\ud83d"
_FORBIDDEN = 403


def check(resource: Resource, kind: str, status: int | None) -> int:
    """Return the status of a poison.

    Raises:
        ValueError: There is no such poison, or not for such a row.
    """
    if kind not in KINDS:
        raise ValueError(f"There is no poison {kind!r}; there are: {', '.join(KINDS)}.")
    if kind == "surrogate" and resource.touch is None:
        raise ValueError(f"Rows of {resource.name} have no text.")
    if kind != "no_children":
        if status is not None:
            raise ValueError(f"A poison {kind!r} has no status.")
        return 0
    status = _FORBIDDEN if status is None else status
    if type(status) is not int or not 400 <= status <= 599:  # noqa: PLR2004
        raise ValueError("A poison's `status` is between 400 and 599.")
    return status


def spoiled(resource: Resource, row: bytes, kinds: Mapping[str, int]) -> bytes:
    """Return the JSON of a row as its poisons leave it."""
    values = orjson.loads(row)
    if "no_key" in kinds:
        values.pop(resource.key or "pipeline_id", None)
    if "surrogate" in kinds and resource.touch in values:
        values[resource.touch] = f"{values[resource.touch] or 'Half'} {MARK}"
    return orjson.dumps(values)
