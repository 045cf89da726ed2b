"""Parse, check and apply `filter[field][op]=value`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lev_sandbox.clock import LOCAL, MICROSECONDS, moment_text, parse_moment
from lev_sandbox.errors import Refusal
from lev_sandbox.table import NO_MOMENT, whole_second

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lev_sandbox.data.world import Row
    from lev_sandbox.switches import Switches
    from lev_sandbox.table import Table

_NAME = re.compile(r"filter\[(\w+)\](?:\[(\w+)\])?")
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_FOREVER = 1 << 62
_DAY = 86_400 * MICROSECONDS
_REREAD = {
    "none": {"operator": "never"},
    "equals": {"operator": "eq"},
    "created_at": {"field": "created_at"},
}
_WHOLE_DAYS = {"gte": ("gte", 0), "gt": ("gte", 1), "lte": ("lt", 1), "lt": ("lt", 0)}
"""Comparisons of dates as comparisons with a midnight, so many days later."""
_KEPT_SELECTIONS = 64


@dataclass(frozen=True)
class Condition:
    """One filter: a field, an operator, a text, and the kind of value that the field holds."""

    field: str
    operator: str
    value: str
    kind: str


def parse_filters(
    query: Sequence[tuple[str, str]], known: Mapping[str, str], switches: Switches, name: str
) -> list[Condition]:
    """Return the filters of a request that apply.

    Args:
        query: The query parameters.
        known: The kind of value (text, number, flag, moment) of each field.
        switches: How unknown filters and the one on `updated_at` are treated.
        name: The resource.
    """
    conditions = []
    for key, value in query:
        if not key.startswith("filter["):
            continue
        match = _NAME.fullmatch(key)
        field, comparison = (match[1], match[2] or "eq") if match else (key, "eq")
        reading = None
        if field == "updated_at" and name in switches["updated_at_filter"]:
            policy = reading = switches["updated_at_filter"][name]
            kind = None if policy in {"400", "422", "ignored"} else "moment"
        else:
            policy, kind = switches["unknown_filters"], known.get(field)
        if kind is None or comparison not in _OPERATORS:
            if policy in {"400", "422"}:
                raise Refusal(int(policy), f"Unknown filter: {key}")
            continue
        _check(kind, value)
        if reading == "refused_with_cursor" and any(key == "cursor" for key, _ in query):
            raise Refusal(400, "filter and cursor cannot be combined")
        condition = Condition(field, comparison, value, kind)
        conditions.append(_misread(condition, reading) if reading else condition)
    return conditions


def _misread(condition: Condition, reading: str) -> Condition:
    """Return the filter on `updated_at` as the server of a switch understands it."""
    match reading:
        case "none" | "equals" | "created_at":
            return replace(condition, **_REREAD[reading])
        case "gt" if condition.operator == "gte":
            return replace(condition, operator="gt")
        case "local_time" | "local_time_east":
            west = LOCAL if reading == "local_time" else -LOCAL
            return _bounded(condition, condition.operator, parse_moment(condition.value) + west)
        case "whole_days" | "whole_days_from" if condition.operator != "eq":
            after = reading == "whole_days" and condition.operator == "gte"
            comparison, days = _WHOLE_DAYS["gt" if after else condition.operator]
            bound = parse_moment(condition.value)
            return _bounded(condition, comparison, bound - bound % _DAY + days * _DAY)
    return condition


def _bounded(condition: Condition, comparison: str, bound: int) -> Condition:
    return replace(condition, operator=comparison, value=moment_text(bound, fractions=True))


def _check(kind: str, value: str) -> None:
    try:
        _PARSERS[kind](value)
    except ValueError:
        raise Refusal(400, f"Invalid filter value: {value}") from None


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


_PARSERS: dict[str, Callable[[str], Any]] = {
    "text": lambda text: tuple(text.split(",")),
    "number": float,
    "flag": _flag,
    "moment": parse_moment,
}


def _test(condition: Condition, row: Row) -> bool:
    value = row.get(condition.field)
    if value is None:
        return False
    if condition.kind == "text":
        return condition.operator == "eq" and str(value) in condition.value.split(",")
    wanted = _PARSERS[condition.kind](condition.value)
    held = parse_moment(value) if condition.kind == "moment" else value
    return bool(_OPERATORS[condition.operator](held, wanted))


def _moment_range(condition: Condition, *, fractions: bool) -> tuple[int, int]:
    """Return the half-open range of `updated_at` that a condition admits.

    The sandbox compares the values that it shows: without fractions, whole seconds.
    """
    bound = parse_moment(condition.value)
    step = 1 if fractions else MICROSECONDS
    floor = bound if fractions else whole_second(bound)
    ceiling = floor if floor == bound else floor + step
    return {
        "gte": (ceiling, _FOREVER),
        "gt": (floor + step, _FOREVER),
        "lte": (0, floor + step),
        "lt": (0, ceiling),
        "eq": (floor, floor + step) if floor == bound else (0, 0),
        "never": (0, 0),
    }[condition.operator]


class Selections:
    """Selects the rows that filters admit, and caches them until a row changes."""

    def __init__(self) -> None:
        self._cache: dict[Any, tuple[int, Sequence[int]]] = {}

    def select(  # noqa: PLR0913
        self,
        table: Table,
        filters: Sequence[Condition],
        *,
        parent: int | None = None,
        fractions: bool = False,
        test: Callable[[Row], bool] | None = None,
        test_key: object = None,
    ) -> Sequence[int]:
        """Return the numbers of the rows that pass, ascending.

        Args:
            table: The rows.
            filters: The filters.
            parent: The row whose children are selected; all rows by default.
            fractions: Whether the rows show fractions of seconds.
            test: A further test of a row.
            test_key: What the further test depends on, for the cache.
        """
        listed = table.listed(parent)
        if not filters and test is None:
            return listed
        key = (table.resource.name, parent, fractions, tuple(filters), test_key)
        kept = self._cache.get(key)
        if kept is not None and kept[0] == table.version:
            return kept[1]
        numbers: Sequence[int] = listed
        rest: list[Callable[[Row], bool]] = [test] if test else []
        # Conditions on `updated_at` become one range over the array of moments; no row is decoded.
        low, high = NO_MOMENT, _FOREVER
        for condition in filters:
            if condition.field == "updated_at" and table.resource.stamped:
                start, end = _moment_range(condition, fractions=fractions)
                low, high = max(low, start), min(high, end)
            else:
                rest.append(partial(_test, condition))
        if low != NO_MOMENT or high != _FOREVER:
            if parent is None:
                moments = table.moments()
                numbers = [n for n in numbers if low <= moments[n - 1] < high]
            else:
                numbers = [n for n in numbers if low <= table.moment(n) < high]
        if rest:
            numbers = [n for n in numbers if _passes(table.row(n), rest)]
        if len(self._cache) >= _KEPT_SELECTIONS:
            self._cache.pop(next(iter(self._cache)))
        self._cache[key] = (table.version, numbers)
        return numbers


def _passes(row: Row, tests: Sequence[Callable[[Row], bool]]) -> bool:
    return all(test(row) for test in tests)
