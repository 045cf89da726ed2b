"""A row of Lev as the contract wants it written, and what makes two rows the same."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.torture.streams import BLOCKS, LENDER_DETAILS, NEW_FIELDS, STREAMS, UNSUITABLE, Key, Row

_HALF = re.compile("[\ud800-\udfff]")
_UTC = re.compile(r'(?:\.0+)?(?:\+00:00|Z)"')
_DROPPED = {
    "deals": {*BLOCKS},
    "lenders": {*LENDER_DETAILS, "programs"},
    "checklist_tasks": {"subtasks"},
    "checklist_task_notes": {"deal_id", "checklist_id"},
    "base_rates": {"as_of"},
}
"""Fields that are no columns of a stream, or (``as_of``) say nothing about the row."""


@dataclass(frozen=True)
class Form:
    """How the rows of a round are written.

    Attributes:
        collect: Whether fields that Lev added are collected in a column.
        columns: Of some streams, the columns that are not selected.
        account_id: The account that the key reads.
    """

    collect: bool = False
    columns: tuple[tuple[str, frozenset[str]], ...] = ()
    account_id: int = 0

    def written(self, stream: str, row: Row) -> Row:
        """Bring a row of Lev into the form that a record has."""
        row = _ADAPT.get(stream, _same)(suitable(row))
        if stream == "billing_summary":
            row["account_id"] = self.account_id
        news = {name: row[name] for name in NEW_FIELDS if name in row}
        dropped = _DROPPED.get(stream, set()) | news.keys() | dict(self.columns).get(stream, set())
        row = {name: value for name, value in row.items() if name not in dropped}
        collects = self.collect and stream != "api_keys"
        return {**row, "_unknown_fields": news} if news and collects else row


def key_of(stream: str, row: Row) -> Key:
    """Tell a row from others."""
    return tuple(row.get(name) for name in STREAMS[stream].key)


def content(stream: str, row: Row, *ignored: str) -> str:
    """Put a row's content into a text that is the same for the same content.

    Moments are the same however their offset is written.
    """
    leave_out = {"as_of", *ignored} if stream == "base_rates" else set(ignored)
    if stream == "deals" and row.get("financials", 0) is None:
        leave_out.add("financials")  # as good as no financials
    kept = {name: value for name, value in row.items() if name not in leave_out}
    return _UTC.sub('Z"', json.dumps(kept, sort_keys=True))


def suitable(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Leave out what must never be written, at every level; half a character is none."""
    if isinstance(value, dict):
        return {name: suitable(v) for name, v in value.items() if name not in UNSUITABLE}
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    return [suitable(item) for item in value] if isinstance(value, list) else value


def _same(row: Row) -> Row:
    return row


def _lender_details(row: Row) -> Row:
    return {name: row[name] for name in ("id", *LENDER_DETAILS, *NEW_FIELDS) if name in row}


def _team_member(row: Row) -> Row:
    return {("user_id" if name == "id" else name): value for name, value in row.items()}


def _asset_type(row: Row) -> Row:
    kinds = row.get("property_sub_types")
    listed = kinds if kinds is None or isinstance(kinds, list) else [kinds]
    return {**row, **({"property_sub_types": listed} if "property_sub_types" in row else {})}


def _entity(row: Row) -> Row:
    if row.get("entity_ref") is not None:
        return row
    return {**row, "entity_ref": f"{row.get('entity_type')}:{row.get('entity_id')}"}


def _current_user(row: Row) -> Row:
    user = {("user_id" if name == "id" else name): value for name, value in row["user"].items()}
    return user | {name: value for name, value in row.items() if name != "user"}


_ADAPT = {
    "lender_details": _lender_details,
    "account_team_members": _team_member,
    "asset_types": _asset_type,
    "current_user": _current_user,
    "index_entities": _entity,
}
