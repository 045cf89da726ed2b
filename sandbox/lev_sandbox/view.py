"""Encode rows for responses, with the changes that switches and parameters require."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from lev_sandbox.clock import moment_text, parse_moment
from lev_sandbox.data.deals import embedded_financials
from lev_sandbox.poison import spoiled
from lev_sandbox.table import NO_MOMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lev_sandbox.data.world import Row
    from lev_sandbox.poison import Poisons
    from lev_sandbox.store import Store
    from lev_sandbox.switches import Switches
    from lev_sandbox.table import Table

INCLUDED = {
    "properties": "deal_properties",
    "team": "deal_team",
    "pipelines": "deal_pipelines",
}
"""The embedded lists of a deal, by the name of their block."""
_MOST_PIPELINES = 10
_LEGACY_EVERY = 3
_LACKING_EVERY = 3
_LACKED = ("purchase_price", "in_place_noi", "existing_debt")
_EMPTY = frozenset({b"null", b"[]", b"{}"})
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class View:
    """Encodes rows as JSON.

    Attributes:
        store: The rows.
        switches: The switches.
        poisons: The poisoned rows.
    """

    store: Store
    switches: Switches
    poisons: Poisons = field(default_factory=dict)

    def rows(  # noqa: PLR0913
        self,
        name: str,
        numbers: Iterable[int],
        *,
        detail: bool = False,
        fields: frozenset[str] | None = None,
        include: Sequence[str] = (),
        missing: Mapping[str, str] = _NOTHING,
    ) -> list[bytes]:
        """Return the JSON of some rows.

        Args:
            name: The resource.
            numbers: The rows.
            detail: Whether the response is that of a single row.
            fields: The fields to keep; all by default.
            include: The blocks to embed in deals.
            missing: The blocks that some deals lack: where `empty`, or for `some` ids.
        """
        table = self.store.table(name)
        changes = self._changes(table, detail=detail)
        # The fast way: rows are kept in the form that a list returns most of the time.
        if not changes and fields is None:
            encoded = [table.encoded(number) for number in numbers]
        else:
            encoded = []
            for number in numbers:
                row = table.row(number)
                for change in changes:
                    change(row, number)
                if fields is not None:
                    row = {key: value for key, value in row.items() if key in fields}
                encoded.append(orjson.dumps(row))
        poisoned = self.poisons.get(name)
        if poisoned:
            encoded = [
                spoiled(table.resource, row, poisoned[number]) if number in poisoned else row
                for row, number in zip(encoded, numbers, strict=True)
            ]
        if include:
            encoded = [
                self._with_blocks(row, number, include, missing)
                for row, number in zip(encoded, numbers, strict=True)
            ]
        return encoded

    def _changes(self, table: Table, *, detail: bool) -> list[Callable[[Row, int], None]]:
        """Return the changes to apply to each row of a table before it is encoded."""
        switches, resource = self.switches, table.resource
        changes: list[Callable[[Row, int], None]] = []
        compose = _COMPOSERS.get(resource.name)
        if compose is not None:
            changes.append(lambda row, number: compose(self, row, number, detail))
        if resource.detail_only and not detail:
            whole = resource.name == "term_sheets" and switches["term_sheet_list"] == "whole"
            if not whole:
                changes.append(_Drop(resource.detail_only))
        if resource.inner:
            changes.append(_Drop(resource.inner))
        if switches["legacy_values"] and resource.legacy:
            changes.append(_Legacy(resource.legacy))
        if switches["timestamp_fractions"] or switches["timestamp_offset"] != "Z":
            changes.append(
                _Stamps(
                    table,
                    fractions=switches["timestamp_fractions"],
                    offset=switches["timestamp_offset"],
                )
            )
        extra = switches["extra_fields"][resource.name]
        if extra:
            values = extra if isinstance(extra, dict) else dict.fromkeys(extra, "new")
            changes.append(lambda row, _: row.update(values))
        dropped = switches["dropped_fields"][resource.name]
        if dropped:
            changes.append(_Drop(tuple(dropped)))
        return changes

    def _with_blocks(
        self, row: bytes, number: int, include: Sequence[str], missing: Mapping[str, str]
    ) -> bytes:
        parts = [row[:-1]]
        for block in include:
            value = (
                self._embedded_financials(number)
                if block == "financials"
                else self._embedded_list(INCLUDED[block], number)
            )
            lacks = missing.get(block)
            if (lacks == "empty" and value in _EMPTY) or (
                lacks == "some" and number % _LACKING_EVERY == 0
            ):
                continue
            comma = b"," if len(parts[0]) > 1 or len(parts) > 1 else b""
            parts.append(comma + b'"' + block.encode() + b'":' + value)
        return b"".join((*parts, b"}"))

    def _embedded_list(self, name: str, deal: int) -> bytes:
        numbers = self.store.table(name).listed(deal)
        if name == "deal_pipelines":
            numbers = numbers[:_MOST_PIPELINES]
        return b"[" + b",".join(self.rows(name, numbers)) + b"]"

    def _embedded_financials(self, deal: int) -> bytes:
        table = self.store.table("deal_financials")
        numbers = table.listed(deal)
        if not numbers:
            return b"{}" if self.switches["missing_financials"] == "empty" else b"null"
        number = numbers[0]
        form = self.switches["embedded_financials"]
        if form != "reduced":
            encoded = self.rows("deal_financials", (number,))[0]
            if form == "whole_but_values":
                return orjson.dumps(_rounded(orjson.loads(encoded)))
            if form == "whole_some_fields" and deal % _LACKING_EVERY == 0:
                row: Row = orjson.loads(encoded)
                return orjson.dumps({k: v for k, v in row.items() if k not in _LACKED})
            return encoded
        if number not in table.reduced:
            table.reduced[number] = orjson.dumps(embedded_financials(table.row(number)))
        return table.reduced[number]


@dataclass(frozen=True)
class _Drop:
    names: tuple[str, ...]

    def __call__(self, row: Row, _number: int) -> None:
        for name in self.names:
            row.pop(name, None)


@dataclass(frozen=True)
class _Legacy:
    values: tuple[tuple[str, str], ...]

    def __call__(self, row: Row, number: int) -> None:
        if number % _LEGACY_EVERY == 0:
            row.update((name, value) for name, value in self.values if row.get(name) is not None)


@dataclass(frozen=True)
class _Stamps:
    """Formats date-times; only `updated_at` has a fraction other than zero."""

    table: Table
    fractions: bool
    offset: str

    def __call__(self, row: Row, number: int) -> None:
        for name in self.table.resource.moments:
            if row.get(name) is not None:
                row[name] = self._text(parse_moment(row[name]))
        moment = self.table.moment(number)
        if self.table.resource.stamped and moment != NO_MOMENT:
            row["updated_at"] = self._text(moment)

    def _text(self, moment: int) -> str:
        return moment_text(moment, fractions=self.fractions, offset=self.offset)


def _rounded(row: Row) -> Row:
    """Return a row with its amounts in whole thousands, and its ratios in whole hundredths."""
    return {
        name: round(value, 2 if value < 1 else -3) if type(value) is float else value
        for name, value in row.items()
    }


def _vault(view: View, row: Row, number: int, _detail: bool) -> None:  # noqa: FBT001
    deal = view.store.table("vaults").parent(number)
    documents = view.store.table("documents")
    row["document_count"] = sum(
        documents.row(document)["vault"]["id"] == number for document in documents.listed(deal)
    )


def _checklist(view: View, row: Row, number: int, _detail: bool) -> None:  # noqa: FBT001
    task_table, section_table = (
        view.store.table("checklist_tasks"),
        view.store.table("checklist_sections"),
    )
    tasks = [task_table.row(task) for task in task_table.listed(number)]
    below: dict[int, list[Row]] = {}
    placed: dict[int | None, list[Row]] = {}
    for task in tasks:
        section, above = task.pop("section_id"), task.pop("parent_task_id")
        task["subtasks"] = []
        if above is None:
            placed.setdefault(section, []).append(task)
        else:
            below.setdefault(above, []).append(task)
    for task in tasks:
        task["subtasks"] = below.get(task["id"], [])
    sections = [section_table.row(section) for section in section_table.listed(number)]
    for section_row in sections:
        section_row["tasks"] = placed.get(section_row["id"], [])
    row.update(sections=sections, tasks=placed.get(None, []))


def _lender(view: View, row: Row, number: int, detail: bool) -> None:  # noqa: FBT001
    if detail:
        numbers = view.store.table("lender_programs").listed(number)
        row["programs"] = [
            orjson.loads(program) for program in view.rows("lender_programs", numbers)
        ]


def _asset_type(view: View, row: Row, _number: int, _detail: bool) -> None:  # noqa: FBT001
    kinds = row["property_sub_types"]
    match view.switches["sub_types_shape"]:
        case "string":
            row["property_sub_types"] = ", ".join(kinds) or None
        case "object":
            row["property_sub_types"] = {str(place): kind for place, kind in enumerate(kinds, 1)}


def _team_member(view: View, row: Row, _number: int, _detail: bool) -> None:  # noqa: FBT001
    if view.switches["account_team_key"] == "id":
        values: dict[str, Any] = {"id": row.pop("user_id"), "title": "Broker", **row}
        row.clear()
        row.update(values)


_COMPOSERS: dict[str, Callable[[View, Row, int, bool], None]] = {
    "vaults": _vault,
    "checklists": _checklist,
    "lenders": _lender,
    "asset_types": _asset_type,
    "account_team": _team_member,
}
