"""Declare the settings of the tap: names, types, defaults and descriptions."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

from tap_lev.ratelimit.limits import TIERS

DEFAULT_API_URL = "https://api.levcapital.com/api/external/v2"
OTHER_API_URL = "https://api.lev.com/api/external/v2"
"""The address of the API on Lev's newer pages (lev-api.md §1.1)."""

SETTINGS: dict[str, Any] = th.PropertiesList(
    th.Property(
        "api_key",
        th.StringType(min_length=1),
        required=True,
        secret=True,
        title="API key",
        description="API key (lev_sk_...) or JWT. The read_only preset is enough.",
    ),
    th.Property(
        "api_url",
        th.StringType,
        default=DEFAULT_API_URL,
        title="API URL",
        description=(
            f"Base URL of the API. Lev's newer pages name {OTHER_API_URL}. "
            "Only https, except to this machine."
        ),
    ),
    th.Property(
        "origin_app",
        th.StringType(min_length=1),
        default="tap-lev",
        title="Origin app",
        description="How the tap names itself to Lev, in the header X-Origin-App.",
    ),
    th.Property(
        "active_account",
        th.StringType,
        title="Active account",
        description="Slug of the account to read, for a JWT of a user with several accounts.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="Rows last changed before this are left out of the first incremental run.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=200),
        default=200,
        title="Page size",
        description="Rows per request, 1 to 200.",
    ),
    th.Property(
        "overlap_seconds",
        th.IntegerType(minimum=0, maximum=3_153_600_000),
        default=300,
        title="Overlap",
        description="Seconds before the bookmark from which each incremental run reads again.",
    ),
    th.Property(
        "updated_at_filter",
        th.StringType(allowed_values=["auto", "server", "client"]),
        default="auto",
        title="Filter on updated_at",
        description=(
            "Who leaves out unchanged rows: server (a refusal is an error), client (the tap), "
            "or auto (the server where it can, else the tap)."
        ),
    ),
    th.Property(
        "per_parent_scope",
        th.StringType(allowed_values=["all", "changed"]),
        default="all",
        title="Scope of per-parent streams",
        description=(
            "Whose children are read: of all parents, or only of changed ones (fewer requests, "
            "but Lev does not promise that a child's change is one of its parent)."
        ),
    ),
    th.Property(
        "api_tier",
        th.StringType(allowed_values=["auto", *TIERS]),
        default="auto",
        title="API tier",
        description=(
            "The account's limits: free (30 requests a minute, 10 of them to one endpoint), "
            "standard (100, 20), enterprise (500, 60), or auto (Lev is asked)."
        ),
    ),
    th.Property(
        "requests_per_minute",
        th.IntegerType(minimum=1),
        title="Requests per minute",
        description="Requests that Lev allows the account, instead of the tier's number.",
    ),
    th.Property(
        "requests_per_minute_per_endpoint",
        th.IntegerType(minimum=1),
        title="Requests per minute and endpoint",
        description="Requests that Lev allows to one endpoint, instead of the tier's number.",
    ),
    th.Property(
        "rate_limit_share",
        th.DecimalType(exclusive_minimum=0, maximum=1),
        default=0.9,
        title="Share of the limits",
        description=(
            "Part of both limits that the tap may use, above 0 and up to 1. The rest is left to "
            "the account's other programs."
        ),
    ),
    th.Property(
        "rate_limit_window_seconds",
        th.DecimalType(exclusive_minimum=0, maximum=86400),
        default=60,
        title="Window of the limits",
        description="Length of the time in which Lev counts requests, in seconds.",
    ),
    th.Property(
        "max_parallel_streams",
        th.IntegerType(minimum=1, maximum=1000),
        default=8,
        title="Parallel streams",
        description=(
            "How many requests may be under way at the same time, of streams that are read side by "
            "side; 1 reads one stream after the other."
        ),
    ),
    th.Property(
        "request_timeout_seconds",
        th.IntegerType(minimum=1, maximum=86400),
        default=60,
        title="Request timeout",
        description=(
            "Seconds without any sign of an answer, after which a request is given up and retried. "
            "The whole of an answer may take five times as long."
        ),
    ),
    th.Property(
        "max_retries",
        th.IntegerType(minimum=0, maximum=1000),
        default=8,
        title="Retries",
        description="How often one request is repeated after a 429, a 5xx or a broken connection.",
    ),
    th.Property(
        "forbidden_streams",
        th.StringType(allowed_values=["fail", "skip"]),
        default="fail",
        title="Forbidden streams",
        description=(
            "What happens with a stream that the key may not read: fail (the others are finished, "
            "then the run fails) or skip (a warning)."
        ),
    ),
    th.Property(
        "unknown_fields",
        th.StringType(allowed_values=["warn", "collect"]),
        default="warn",
        title="Unknown fields",
        description=(
            "What becomes of fields that Lev has added since this release: warn (told and left "
            "out) or collect (kept in the column _unknown_fields)."
        ),
    ),
    th.Property(
        "fact_queries",
        th.ArrayType(th.StringType(min_length=1, max_length=4000)),
        title="Queries for facts",
        description="What to search each deal's index for, for the stream index_facts.",
    ),
    th.Property(
        "observation_metric_ids",
        th.ArrayType(th.IntegerType(minimum=1)),
        title="Metrics for observations",
        description="Ids of the metrics whose observations index_observations reads.",
    ),
    th.Property(
        "accepted_gaps",
        th.ObjectType(
            additional_properties=th.CustomType(
                {"type": ["array", "string"], "items": {"type": "integer"}}
            )
        ),
        title="Accepted gaps",
        description=(
            "Gaps that are known, by stream: ids of rows that cannot be read, or total for fewer "
            'rows than Lev counts, such as {"documents": [5], "contacts": "total"}. They are in '
            "each summary, and the run ends with 0."
        ),
    ),
    th.Property(
        "refresh",
        th.ObjectType(additional_properties=th.ArrayType(th.IntegerType(minimum=1))),
        title="Refresh",
        description=(
            'Ids of rows to read instead of a sync, such as {"deals": [101, 102]}; the state '
            "stays as it is."
        ),
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=False,
        title="Emit ACTIVATE_VERSION",
        description=(
            "End each full table with a message by which the target drops rows that Lev no "
            "longer has."
        ),
    ),
).to_dict()

SHARED: dict[str, dict[str, str]] = {
    "stream_maps": {
        "title": "Stream maps",
        "description": (
            "What leaves out, hashes or renames streams and columns, such as "
            '{"contacts": {"email": "md5(email) if email else None"}}: see '
            "https://sdk.meltano.com/en/latest/stream_maps.html."
        ),
    },
    "stream_map_config": {
        "title": "Values for stream maps",
        "description": "Values that the expressions of stream_maps find in config.",
    },
    "faker_config": {
        "title": "Values for Faker",
        "description": (
            "Seed and locale of fake in the expressions of stream_maps, where the package faker "
            "is installed beside the tap."
        ),
    },
    "flattening_enabled": {
        "title": "Flatten objects",
        "description": (
            "Whether the fields of objects become columns. Needs flattening_max_depth."
        ),
    },
    "flattening_max_depth": {
        "title": "Depth of flattening",
        "description": "How many levels of objects become columns, 1 or more.",
    },
    "flattening_max_key_length": {
        "title": "Length of flattened names",
        "description": "The most letters in the name of such a column.",
    },
    "flattening_separator": {
        "title": "Separator of flattened names",
        "description": (
            "What stands between the names of object and field in such a column; __ by default."
        ),
    },
}
"""Titles and descriptions for the settings of every SDK tap, instead of the SDK's."""


def ask_about(api_url: str) -> str:
    """Write a hint that an address may be wrong, with those that Lev's pages name."""
    others = [url for url in (DEFAULT_API_URL, OTHER_API_URL) if url != api_url]
    known = (
        f"Lev's other known address is {others[0]}"
        if len(others) == 1
        else f"Lev's known addresses are {' and '.join(others)}"
    )
    return f"Is api_url right? It is {api_url}. {known}."
