"""Draw how Lev behaves in a round: switches, switches that hold for a while, faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lev_sandbox import SWITCHES
from tests.torture.streams import LISTS, NEW_FIELDS

if TYPE_CHECKING:
    import random

ANSWERS = (
    *("honoured",) * 5, "ignored", "400", "422", "none", "equals", "created_at", "local_time",
    "local_time_east", "whole_days", "whole_days_from", "gt", "refused_with_cursor",
)  # fmt: skip
PAGED = ("cursor", "offset")
"""Shapes whose pages say where they end."""
LOSSES = {"early_end", "repeat_page", "no_pagination"}
"""Faults that lose rows, as nothing but a count tells."""
COUNTED: dict[str, Any] = {
    "pagination_total": True, "filtered_total": "filtered", "empty_page_every": None,
    "largest_page": {}, "list_order": {}, "total_says": {},
}  # fmt: skip
"""Switches of a Lev that counts what it has."""
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
NO_WAY = ("next_url_foreign", "total_pages")
"""Ways in which a list leads nowhere that can be followed."""
FOREIGN = ("html", "empty", "gateway", "fastapi")
"""Bodies that are not Lev's."""
SOON = {"Retry-After": "0.05"}
"""Keeps most waits short; some faults come without it, and the tap chooses the wait."""
WRONG_DATA = ("a text", [1, 2], 7)
"""What no endpoint can mean. Null and an empty list could be meant."""
ELSEWHERE = "/elsewhere"


def draw_switches(chance: random.Random, *, real_time: bool) -> dict[str, Any]:
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
            block: pick((None, None, None, None, 400, 422, "ignored"))
            for block in ("financials", "properties", "team")
        },
        "include_scope": {
            block: pick((None,) * 9 + (403,)) for block in ("financials", "properties", "team")
        },
        "missing_blocks": {
            block: pick((None,) * 8 + ("empty", "empty", "all", "some", "page", *more))
            for block, more in (
                ("financials", ("everywhere",)),
                ("properties", ("everywhere",)),
                ("team", ("everywhere",)),
                ("pipelines", ()),
            )
        },
        "filtered_total": pick(("filtered", "filtered", "all")),
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
        "embedded_financials": pick(
            ("reduced", "whole", "whole", "whole_but_values", "whole_some_fields")
        ),
        "children_of_archived": pick(("listed", "listed", "404")),
        "me_account": pick(("whole", "whole", "whole", "whole", "no_id", "absent")),
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
    if chosen["empty_page_every"]:
        # Of an empty object nobody knows whether it is a list.
        chosen["data_shape"] = {}
    return chosen | _pages(chance, chosen) | _clocks(chance)


def _pages(chance: random.Random, chosen: dict[str, Any]) -> dict[str, Any]:
    """Draw how pages differ from Lev's own."""
    pick, often, shapes = chance.choice, chance.random, chosen["pagination_shape"]
    paged = [name for name in LISTS if shapes[name] is None]
    below = [name for name in TABLES if shapes[name] in PAGED]
    found: dict[str, Any] = {
        "pagination_dialect": {
            **{name: pick(("total_count", "has_next", "next_url"))
               for name in paged if often() < 0.2},
            **{name: pick(("total_count", "total_pages", "has_next", "next_url"))
               for name in below if often() < 0.3},
        },
        "largest_page": {name: pick((1, 2, 3, 5)) for name in paged + below if often() < 0.15},
        "list_order": {name: pick(("updated_at", "shuffled")) for name in paged if often() < 0.3},
        "total_says": {},
    }  # fmt: skip
    if often() < 0.1 and chosen["pagination_total"]:
        among = paged + below if often() < 0.2 else paged
        found["total_says"] = {pick(among): pick((-2, 1, 2, 5))} if among else {}
    return found


def _clocks(chance: random.Random) -> dict[str, Any]:
    """Draw how one of Lev's clocks differs from the others: the earliest one must be right."""
    pick = chance.choice
    match pick(("same",) * 6 + ("envelope", "header", "zone")):
        case "envelope":
            return {"envelope_timestamp": True, "envelope_skew": pick((-7200, -300, 300, 7200))}
        case "header":
            return {"envelope_timestamp": True, "date_header_skew": pick((-7200, -300, 300, 7200))}
        case "zone":
            return {"envelope_timestamp": True, "timestamp_zone": pick(("none", "local"))}
    return {}


def draw_outage(chance: random.Random) -> dict[str, Any]:
    """Draw the switches that no run can complete with, or few; they hold until the clean runs."""
    outages: tuple[dict[str, Any], ...] = (
        {"cursor_lifetime_requests": chance.choice((1, 2, 5))},
        {"cursor_lifetime_seconds": chance.choice((1, 20, 100))},
        {"missing_scopes": chance.sample(SCOPES, 2)},
        {"broken_cursor": {chance.choice(LISTS): chance.choice(("repeat", "cycle", "null"))}},
        {"broken_cursor": {chance.choice(LISTS): "alternate"}},
        {"pagination_shape": {chance.choice(LISTS): "offset"}},
        {"pagination_dialect": {chance.choice(LISTS): chance.choice(NO_WAY)}},
        {"refuse_include": {"pipelines": chance.choice((400, 422, "ignored"))}},
        {"include_scope": {"pipelines": 403}},
        {"missing_blocks": {"pipelines": "everywhere"}},
    )
    return chance.choice(outages) if chance.random() < 0.4 else {}


def draw_faults(
    chance: random.Random, streams: tuple[str, ...], scope: str
) -> tuple[dict[str, Any], ...]:
    """Draw what goes wrong until the clean runs.

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
        fault.setdefault("form", ("A", "B", "C", *FOREIGN))
    fault = {name: chance.choice(v) if type(v) is tuple else v for name, v in fault.items()}
    if kind == "limited" or (kind == "busy" and chance.random() < 0.85):
        fault["headers"] = SOON
    return fault


TIMESTAMPS = (
    "1970-01-01T00:00:00Z", "2021-05-01T00:00:00Z", "2038-01-01T00:00:00Z", "soon",
    "2026-11-02T03:00:00", "",
)  # fmt: skip
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
    "foreign": {"status": (400, 401, 403, 404, 422, 500, 502), "form": FOREIGN, "times": (1, 3)},
    "me": {
        "status": (400, 403, 404, 500, 502),
        "route": "/me",
        "at": 1,
        "times": (1, 3, None),
        "headers": SOON,
    },
    "me_gone": {
        "kind": ("reset", "redirect", "not_json", "hang", "null_data"),
        "route": "/me",
        "location": ELSEWHERE,
        "seconds": 2,
        "at": 1,
        "times": (1, 3, None),
    },
    "error_200": {
        "kind": "error_200",
        "variant": ("error", "success", "ok"),
        "times": (1, 3, 9),
        "route": _ANY,
    },
    "null_data": {"kind": "null_data", "route": (*LIST_ROUTES, *CHILD_ROUTES)},
    "early_end": {"kind": "early_end", "route": LIST_ROUTES},
    "no_pagination": {"kind": "no_pagination", "route": LIST_ROUTES},
    "repeat_page": {"kind": "repeat_page", "route": LIST_ROUTES, "variant": ("skip", "again")},
    "timestamp": {"kind": "timestamp", "times": (1, 3), "timestamp": TIMESTAMPS},
}
"""What a fault of each kind is like; where there are several values, one is drawn."""
_KINDS = (
    *("busy",) * 4, *("limited",) * 3, *("reset", "cut", "not_json") * 2, "refused", "forbidden",
    "gone", "gone", "unauthorized", "slow", "slow", "drip", "drip", "wrong_shape", "redirect",
    "hang", "foreign", "foreign", "foreign", "me", "me_gone", "error_200", "error_200",
    "null_data", "early_end", "no_pagination", "repeat_page", "timestamp",
)  # fmt: skip
