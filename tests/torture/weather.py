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
            name: pick((None, None, None, 400, 422)) for name in ("financials", "properties", "team")
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
        # Not as a date: time goes by in leaps here, and the tap would wait for it to catch up.
        "retry_after": pick(("off", "seconds")),
        "timestamp_offset": pick(("Z", "+00:00")),
        "clock_skew": 0 if real_time else pick((0, 0, -86_400, -7, 7, 86_400)),
        "latency_jitter": pick((0, 0, 0, 0.004)),
        "extra_fields": {
            name: dict(NEW_FIELDS)
            for name in SWITCHES["extra_fields"].default
            if often() < 0.1 and not name.startswith("checklist_")  # noqa: PLR2004
        },
        "dropped_fields": {
            name: (field,) for name, field in DROPPED.items() if often() < 0.1  # noqa: PLR2004
        },
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
    kind = chance.random()
    if kind < 0.1:  # noqa: PLR2004
        return {"cursor_lifetime_requests": chance.choice((1, 2, 5))}
    if kind < 0.2:  # noqa: PLR2004
        return {"cursor_lifetime_seconds": chance.choice((1, 20, 100))}
    if kind < 0.27:  # noqa: PLR2004
        scopes = ("deals:read", "contacts:read", "documents:read", "market:read", "billing:read")
        return {"missing_scopes": chance.sample(scopes, 2)}
    if kind < 0.34:  # noqa: PLR2004
        return {"broken_cursor": {chance.choice(LISTS): chance.choice(("repeat", "cycle", "null"))}}
    if kind < 0.38:  # noqa: PLR2004
        return {"pagination_shape": {chance.choice(LISTS): "offset"}}
    if kind < 0.42:  # noqa: PLR2004
        return {"refuse_include": {"pipelines": chance.choice((400, 422))}}
    return {}


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
    soon = {"headers": SOON} if chance.random() < 0.85 else {}  # noqa: PLR2004
    form = chance.choice(("A", "B", "C", "html", "empty"))
    route = chance.choice((None, None, *LIST_ROUTES))
    match chance.choice(_KINDS):
        case "busy":
            return {"kind": "status", "status": chance.choice((500, 502, 503, 504)), "form": form,
                    "times": 3, "route": route, **soon}  # fmt: skip
        case "limited":
            return {"kind": "status", "status": 429, "form": form, "times": 3, "headers": SOON}
        case "refused":
            return {"kind": "status", "status": chance.choice((400, 422)), "form": form,
                    "route": route}  # fmt: skip
        case "forbidden":
            return {"kind": "status", "status": 403, "form": form, "route": route}
        case "gone" if gone:
            return {"kind": "status", "status": 404, "form": form,
                    "route": chance.choice(CHILD_ROUTES), "times": 2}  # fmt: skip
        case "unauthorized":
            return {"kind": "status", "status": 401, "form": form}
        case "hang":
            return {"kind": "hang", "seconds": 3}
        case "slow":
            return {"kind": "hang", "seconds": 0.05, "times": 3}
        case "drip":
            return {"kind": "drip", "chunk_bytes": 512, "seconds": 0.002, "times": 5}
        case "wrong_shape":
            return {"kind": "wrong_shape", "data": chance.choice(WRONG_DATA), "times": 2}
        case "redirect":
            return {"kind": "redirect", "location": ELSEWHERE}
        case kind:
            return {"kind": kind if kind in {"reset", "cut", "not_json"} else "reset"}


_KINDS = (
    *("busy",) * 4, *("limited",) * 3, *("reset", "cut", "not_json") * 2, "refused", "forbidden",
    "gone", "gone", "unauthorized", "slow", "slow", "drip", "drip", "wrong_shape", "redirect",
    "redirect", "hang",
)  # fmt: skip
