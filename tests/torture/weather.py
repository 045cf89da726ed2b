"""How Lev behaves in a round: switches, switches that hold for a while, faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lev_sandbox import SWITCHES
from tests.torture.streams import LISTS, NEW_FIELDS

if TYPE_CHECKING:
    import random

ANSWERS = ("honoured", "honoured", "ignored", "400", "422")
TABLES = (
    "account_team", "api_keys", "asset_types", "base_rates", "checklists", "deal_properties",
    "deal_team", "documents", "index_entities", "lender_programs", "memos", "my_accounts",
    "pipelines", "term_sheets", "vaults", "deal_notes", "contact_notes", "company_notes",
    "placement_notes", "checklist_task_notes",
)  # fmt: skip
DROPPED = {
    "contacts": "city", "companies": "website", "deals": "description", "placements": "score",
    "term_sheets": "title", "memos": "memo_url", "lenders": "about",
}  # fmt: skip
CHILD_ROUTES = (
    "/deals/{deal_id}/notes", "/deals/{deal_id}/term-sheets", "/deals/{deal_id}/documents",
    "/contacts/{contact_id}/notes", "/placements/{placement_id}/notes",
    "/lenders/{org_id}/programs", "/deals/{deal_id}/checklists",
)  # fmt: skip
LIST_ROUTES = ("/deals", "/contacts", "/companies", "/placements", "/lenders/directory")
SCOPES = ("deals:read", "contacts:read", "documents:read", "market:read", "billing:read")
SOON = {"Retry-After": "0.05"}
"""Keeps most waits short; some faults come without it, and the tap chooses the wait."""
WRONG_DATA = ("a text", [1, 2], 7)
"""What no endpoint can mean. Null and an empty list could be meant."""
ELSEWHERE = "/elsewhere"


def switches(chance: random.Random, *, real_time: bool) -> dict[str, Any]:
    """Draw the switches that hold for the whole round.

    Args:
        chance: What to draw from.
        real_time: Whether the server's clock is that of this machine.
    """
    pick, often = chance.choice, chance.random
    chosen: dict[str, Any] = {
        name: pick((False, True))
        for name in (
            "fields_drop_includes", "pagination_total", "cursor_echo", "envelope_timestamp", "gzip",
            "timestamp_fractions", "archive_moves_updated_at", "child_moves_parent",
            "legacy_values",
        )
    }  # fmt: skip
    chosen |= {
        "updated_at_filter": {name: pick(ANSWERS) for name in LISTS},
        "unknown_filters": pick(("ignored", "400", "422")),
        "refuse_fields": pick((None, None, 400, 422)),
        "unknown_fields": pick(("ignored", "400", "422")),
        "refuse_include": {
            block: pick((None, None, None, 400, 422))
            for block in ("financials", "properties", "team")
        },
        "limit_out_of_range": pick(("422", "400", "clamp")),
        "pagination_shape": {
            **{name: pick((None, "cursor", "offset", "none", "empty")) for name in TABLES},
            **{name: pick((None, None, None, "none", "empty")) for name in LISTS},
        },
        "empty_page_every": pick((None, None, 2, 3, 5)),
        "refused_cursor_status": pick((400, 422)),
        "error_form": pick(("A", "B", "C")),
        "rate_limit_form": pick(("A", "B", "C", "bare", "html", "empty")),
        "retry_after": pick(("off", "seconds", "date")),
        "timestamp_offset": pick(("Z", "+00:00")),
        "clock_skew": 0 if real_time else pick((0, 0, -86_400, -7, 7, 86_400)),
        "latency_jitter": pick((0, 0, 0, 0.004)),
        "extra_fields": {
            name: dict(NEW_FIELDS)
            for name in SWITCHES["extra_fields"].default
            if often() < 0.1 and not name.startswith("checklist_")
        },
        "dropped_fields": {name: (field,) for name, field in DROPPED.items() if often() < 0.1},
        "embedded_financials": pick(("reduced", "whole")),
        "missing_financials": pick(("null", "empty", "404")),
        "term_sheet_list": pick(("reduced", "whole")),
        "archived_placements": pick(("listed", "hidden")),
        "account_team_key": pick(("user_id", "id")),
        "data_shape": {
            name: pick(("array", "object"))
            for name in ("base_rates", "asset_types", "pipelines", "my_accounts")
        },
        "sub_types_shape": pick(("array", "string", "object")),
        "validate_key_shape": pick(("enveloped", "bare")),
        "invalid_key_status": pick((200, 401)),
        "me_rate_limits": pick(("empty", "flat", "nested", "absent")),
    }
    return chosen


def storm(chance: random.Random) -> dict[str, Any]:
    """Draw the switches that no run can complete with, or few; they hold until the calm."""
    storms: tuple[dict[str, Any], ...] = (
        {"cursor_lifetime_requests": chance.choice((1, 2, 5))},
        {"cursor_lifetime_seconds": chance.choice((1, 20, 100))},
        {"missing_scopes": chance.sample(SCOPES, 2)},
        {"broken_cursor": {chance.choice(LISTS): chance.choice(("repeat", "cycle", "null"))}},
        {"pagination_shape": {chance.choice(LISTS): "offset"}},
        {"refuse_include": {"pipelines": chance.choice((400, 422))}},
    )
    return chance.choice(storms) if chance.random() < 0.4 else {}


def faults(
    chance: random.Random, streams: tuple[str, ...], scope: str
) -> tuple[dict[str, Any], ...]:
    """Draw what goes wrong until the calm.

    Args:
        chance: What to draw from.
        streams: The selected streams.
        scope: Which parents are visited. Where only changed ones are, one that Lev says to be gone
            is not asked for again.
    """
    drawn = []
    for _ in range(chance.choice((0, 0, 1, 2, 4))):
        fault = _fault(chance, gone=scope == "all" and len(streams) > 1)
        drawn.append(
            {
                "at": int(80 ** chance.random()),
                "rate": chance.choice((None, 0.05, 0.3)),
                "seed": chance.randrange(1 << 30),
                **fault,
            }
        )
    return tuple(drawn)


def _fault(chance: random.Random, *, gone: bool) -> dict[str, Any]:
    kind = chance.choice(_KINDS)
    if kind == "gone" and not gone:
        kind = "busy"
    fault = {"kind": "status", **_FAULTS.get(kind, {"kind": kind})}
    if fault["kind"] == "status":
        fault["form"] = chance.choice(("A", "B", "C", "html", "empty"))
    fault = {name: chance.choice(v) if type(v) is tuple else v for name, v in fault.items()}
    if kind == "limited" or (kind == "busy" and chance.random() < 0.85):
        fault["headers"] = SOON
    return fault


_ANY = (None, None, *LIST_ROUTES)
_FAULTS: dict[str, dict[str, Any]] = {
    "busy": {"status": (500, 502, 503, 504), "times": 3, "route": _ANY},
    "limited": {"status": 429, "times": 3},
    "refused": {"status": (400, 422), "route": _ANY},
    "forbidden": {"status": 403, "route": _ANY},
    "unauthorized": {"status": 401},
    "gone": {"status": 404, "times": 2, "route": CHILD_ROUTES},
    "slow": {"kind": "hang", "seconds": 0.05, "times": 3},
    "hang": {"kind": "hang", "seconds": 3},
    "drip": {"kind": "drip", "chunk_bytes": 512, "seconds": 0.002, "times": 5},
    "wrong_shape": {"kind": "wrong_shape", "data": WRONG_DATA, "times": 2},
    "redirect": {"kind": "redirect", "location": ELSEWHERE},
}
"""What a fault of each kind is like; where there are several values, one is drawn."""
_KINDS = (
    *("busy",) * 4, *("limited",) * 3, *("reset", "cut", "not_json") * 2, "refused", "forbidden",
    "gone", "gone", "unauthorized", "slow", "slow", "drip", "drip", "wrong_shape", "redirect",
    "hang",
)  # fmt: skip
