"""Rows that a server cannot say, or says wrongly, each time they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from lev_sandbox.errors import Refusal
from lev_sandbox.exchange import Content
from lev_sandbox.resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lev_sandbox.data.resource import Resource
    from lev_sandbox.endpoints import Call

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
"""Marks half of an emoji until the answer is sent, because JSON writers refuse it."""
HALF = b"\\ud83d"
_FORBIDDEN, _FAILED = 403, 500


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
    found = _FORBIDDEN if status is None else status
    if type(found) is not int or not 400 <= found <= 599:  # noqa: PLR2004
        raise ValueError("A poison's `status` is between 400 and 599.")
    return found


def spoiled(resource: Resource, row: bytes, kinds: Mapping[str, int]) -> bytes:
    """Return the JSON of a row the way that its poisons leave it."""
    found = orjson.loads(row)
    if "no_key" in kinds:
        found.pop(resource.key or "pipeline_id", None)
    if "surrogate" in kinds and resource.touch in found:
        found[resource.touch] = f"{found[resource.touch] or 'Half'} {MARK}"
    return orjson.dumps(found)


def refuse(call: Call, numbers: Iterable[int], *, listed: bool = True) -> None:
    """Fail if a row cannot be said."""
    ill = call.sandbox.poisons.get(call.route.resource)
    if not ill:
        return
    kinds = {kind for number in numbers if number in ill for kind in ill[number]}
    only_ids = listed and call.route.fields and call.request.params.get("fields") == "id"
    if "500_always" in kinds or ("500" in kinds and not only_ids):
        raise Refusal(_FAILED, "Internal server error")


def answered(call: Call) -> Content:
    """Answer a call, as far as the row that it is below leaves it."""
    above = call.above()
    kinds = call.sandbox.poisons.get(above[0], {}).get(above[1], {}) if above else {}
    if "no_children" in kinds:
        raise Refusal(kinds["no_children"], "What belongs to this row cannot be read")
    if "null_children" in kinds:
        return Content(data=b"null")
    content = call.route.handler(call)
    return _keyless(call, content) if "keyless_child" in kinds else content


def _keyless(call: Call, content: Content) -> Content:
    table = call.sandbox.store.table(call.route.resource)
    numbers = table.listed(call.parent())
    found: Any = orjson.loads(content.data)
    name = RESOURCES[call.route.resource].key or "id"
    for row in found if isinstance(found, list) else [found]:
        if numbers and row and row.get(name) == table.row(numbers[0])[name]:
            del row[name]
    content.data = orjson.dumps(found)
    return content
