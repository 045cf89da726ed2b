"""Switches: every ambiguity of the API's documentation, to be changed at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lev_sandbox.resources import RESOURCES

Check: TypeAlias = Callable[[Any], bool]

FILTERED = ("deals", "contacts", "companies", "placements", "lenders")
INCLUDES = ("financials", "properties", "team", "pipelines")
SCOPES = (
    "account:read", "billing:read", "checklists:read", "companies:read", "contacts:read",
    "deals:read", "documents:read", "lenders:read", "market:read", "pipelines:read",
    "placements:read", "termsheets:read",
)  # fmt: skip
LISTS = (
    "account_team", "api_keys", "asset_types", "base_rates", "checklists", "companies", "contacts",
    "deal_properties", "deal_team", "deals", "documents", "index_entities",
    "index_metric_definitions", "index_observations", "lender_programs", "lenders", "memos",
    "my_accounts", "pipelines", "placements", "term_sheets", "vaults", "deal_notes",
    "contact_notes", "company_notes", "placement_notes", "checklist_task_notes",
)  # fmt: skip


@dataclass(frozen=True)
class Switch:
    """One switch.

    Attributes:
        default: Its first value.
        accepts: Returns whether a value (in a table: of an entry) is valid.
        says: The valid values, in words.
        keys: The entries of a switch that is a table.
    """

    default: Any
    accepts: Check
    says: str
    keys: tuple[str, ...] | None = None


def _one_of(default: object, *others: object) -> Switch:
    choices = (default, *others)
    names = ", ".join("null" if choice is None else str(choice) for choice in choices)
    return Switch(
        default,
        lambda value: any(value is c or (value == c and type(value) is type(c)) for c in choices),
        names,
    )


def _flag(*, default: bool) -> Switch:
    return Switch(default, lambda value: isinstance(value, bool), "true or false")


def _number(default: float | None, least: float | None = None, *, whole: bool = False) -> Switch:
    kinds = int if whole else (int, float)
    said = ("a whole number" if whole else "a number") + (
        f" from {least}" if least is not None else ""
    )

    def accepts(value: object) -> bool:
        if value is None:
            return default is None
        number = isinstance(value, kinds) and not isinstance(value, bool)
        return number and (least is None or value >= least)  # type: ignore[operator]

    return Switch(default, accepts, said + (" or null" if default is None else ""))


def _table(keys: tuple[str, ...], entry: Switch, **defaults: object) -> Switch:
    start = {key: defaults.get(key, entry.default) for key in keys}
    return Switch(start, entry.accepts, entry.says, keys)


def _texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


_REFUSAL = _one_of(None, 400, 422)
_RESOURCES = tuple(RESOURCES)

SWITCHES: Mapping[str, Switch] = {
    # Filters and parameters
    "updated_at_filter": _table(
        FILTERED,
        _one_of(
            "honoured", "400", "422", "ignored", "none", "equals", "created_at", "local_time",
            "local_time_east", "whole_days", "whole_days_from", "gt", "refused_with_cursor",
        ),
    ),
    "filtered_total": _one_of("filtered", "all"),
    "unknown_filters": _one_of("ignored", "400", "422"),
    "refuse_fields": _REFUSAL,
    "unknown_fields": _one_of("ignored", "400", "422"),
    "refuse_include": _table(INCLUDES, _one_of(None, 400, 422, "ignored")),
    "include_scope": _table(INCLUDES, _one_of(None, 403)),
    "fields_drop_includes": _flag(default=False),
    "limit_out_of_range": _one_of("422", "400", "clamp"),
    # Pages
    "pagination_total": _flag(default=True),
    "cursor_echo": _flag(default=True),
    "pagination_shape": _table(
        LISTS, _one_of(None, "cursor", "offset", "page", "none", "empty", "absent")
    ),
    "pagination_dialect": _table(
        LISTS,
        _one_of(None, "total_count", "total_pages", "has_next", "next_url", "next_url_foreign"),
    ),
    "total_says": _table(LISTS, _number(None, whole=True)),
    "largest_page": _table((*LISTS, "index_facts"), _number(None, 1, whole=True)),
    "list_order": _table(LISTS, _one_of("id", "updated_at", "shuffled")),
    "ignores_offset": _table(LISTS, _flag(default=False)),
    "ignores_page": _table(LISTS, _flag(default=False)),
    "empty_page_every": _number(None, 1, whole=True),
    "lost_row_every": _number(None, 1, whole=True),
    "broken_cursor": _table(LISTS, _one_of(None, "repeat", "cycle", "null", "alternate")),
    "cursor_lifetime_requests": _number(None, 0, whole=True),
    "cursor_lifetime_seconds": _number(None, 0),
    "refused_cursor_status": _one_of(400, 422),
    # Envelope, errors and headers
    "envelope_timestamp": _flag(default=True),
    "error_form": _one_of("A", "B", "C"),
    "rate_limit_form": _one_of("A", "B", "C", "bare", "html", "empty"),
    "retry_after": _one_of("off", "seconds", "date"),
    "gzip": _flag(default=True),
    "origin_app_required": _flag(default=True),
    "accept_jwt": _flag(default=False),
    "missing_scopes": Switch(
        (), lambda value: _texts(value) and set(value) <= set(SCOPES),
        "a list of scopes out of " + ", ".join(SCOPES),
    ),
    # Time
    "timestamp_fractions": _flag(default=False),
    "timestamp_offset": _one_of("Z", "+00:00"),
    "clock_skew": _number(0),
    "date_header_skew": _number(0),
    "envelope_skew": _number(0),
    "timestamp_zone": _one_of("Z", "none", "local"),
    "latency": _number(0, 0),
    "latency_jitter": _number(0, 0),
    "archive_moves_updated_at": _flag(default=True),
    "child_moves_parent": _flag(default=False),
    # Shapes and fields
    "extra_fields": _table(
        _RESOURCES,
        Switch(
            {},
            lambda value: _texts(value) or isinstance(value, dict),
            "names, or names with values",
        ),
    ),
    "dropped_fields": _table(_RESOURCES, Switch((), _texts, "a list of names")),
    "legacy_values": _flag(default=False),
    "missing_blocks": _table(
        INCLUDES, _one_of(None, "empty", "all", "some", "page", "everywhere")
    ),
    "embedded_financials": _one_of("reduced", "whole", "whole_but_values", "whole_some_fields"),
    "missing_financials": _one_of("null", "empty", "404"),
    "term_sheet_list": _one_of("reduced", "whole"),
    "archived_placements": _one_of("listed", "hidden"),
    "children_of_archived": _one_of("listed", "404"),
    "account_team_key": _one_of("user_id", "id"),
    "data_shape": _table(
        ("base_rates", "asset_types", "pipelines", "my_accounts"), _one_of("array", "object")
    ),
    "sub_types_shape": _one_of("array", "string", "object"),
    "validate_key_shape": _one_of("enveloped", "bare"),
    "invalid_key_status": _one_of(200, 401),
    "me_account": _one_of("whole", "no_id", "absent"),
    "me_user_id": _number(None, whole=True),
    "me_account_id": _number(None, whole=True),
    "me_rate_limits": _one_of("empty", "flat", "nested", "absent"),
}  # fmt: skip


class Switches(dict[str, Any]):
    """The values of all switches."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Set every switch to its default."""
        for name, switch in SWITCHES.items():
            self[name] = dict(switch.default) if switch.keys else switch.default

    def set(self, changes: Mapping[str, Any]) -> None:
        """Set some switches; a table takes one value for all its entries, or entries to change.

        Raises:
            ValueError: A name or a value is unknown; then nothing was changed.
        """
        checked = {name: self._checked(name, value) for name, value in changes.items()}
        self.update(checked)

    def _checked(self, name: str, value: object) -> object:
        switch = SWITCHES.get(name)
        if switch is None:
            raise ValueError(f"There is no switch {name!r}; there are: {', '.join(SWITCHES)}.")
        if switch.keys is None:
            self._check(name, switch, value)
            return value
        if isinstance(value, dict):
            for key, entry in value.items():
                if key not in switch.keys:
                    raise ValueError(
                        f"Switch {name!r} has no entry {key!r}; it has: {', '.join(switch.keys)}."
                    )
                self._check(f"{name}.{key}", switch, entry)
            return {**self[name], **value}
        self._check(name, switch, value)
        return dict.fromkeys(switch.keys, value)

    def _check(self, name: str, switch: Switch, value: object) -> None:
        if not switch.accepts(value):
            raise ValueError(f"Switch {name!r} cannot be {value!r}; it can be: {switch.says}.")
