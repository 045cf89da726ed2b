"""The settings of the tap, once: their schema, their defaults and what makes them wrong."""

from __future__ import annotations

import contextlib
import difflib
import math
import os
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import requests
from singer_sdk import typing as th
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR, extend_validator_with_defaults

from tap_lev import timestamps
from tap_lev.budget import TIERS
from tap_lev.errors import quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_API_URL = "https://api.levcapital.com/api/external/v2"
_VALIDATOR = extend_validator_with_defaults(DEFAULT_JSONSCHEMA_VALIDATOR)
_ENVIRONMENT = "TAP_LEV_"
KEY_VARIABLE = f"{_ENVIRONMENT}API_KEY"
_NUMBERS = {"integer": (int, "a whole number"), "number": (float, "a number")}
MAX_LABEL = 63
"""The most letters between two dots of a host."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})

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
            "Base URL of the API. Lev's newer pages name https://api.lev.com/api/external/v2. "
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
            "What a stream is that the key may not read: fail (the others are finished, then the "
            "run fails) or skip (a warning)."
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


def check(config: dict[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Fill the defaults in and find what is wrong.

    Args:
        config: The settings as given. Defaults are added; a null counts as not given.
        schema: The settings' JSON schema, with the SDK's own.

    Returns:
        One sentence for each fault. None repeats the key.
    """
    _tidy(config)
    wrong = {
        ".".join(map(str, error.path)): error.message
        for error in _VALIDATOR(schema).iter_errors(config)
        if error.path and error.path[0] != "api_key"
    }
    # No bound refuses a NaN.
    wrong |= {
        name: "nan is no number"
        for name, value in config.items()
        if isinstance(value, float) and math.isnan(value) and name != "api_key"
    }
    sentences = [
        _variable_fault(_ENVIRONMENT + name.upper(), name, config.get(name))
        or f"The setting {quoted(name)} is wrong: {quoted(message)}."
        for name, message in wrong.items()
    ]
    return sentences or list(_faults(config))


def _tidy(config: dict[str, Any]) -> None:
    for name, value in list(config.items()):
        types = SETTINGS["properties"].get(name, {}).get("type", ())
        if value is None:
            del config[name]
        elif isinstance(value, str) and "number" in types:
            # As text it comes from the environment: neither the SDK nor Meltano reads it there.
            with contextlib.suppress(ValueError):
                config[name] = float(value)
        elif isinstance(value, float) and "integer" in types and value.is_integer():
            config[name] = int(value)


def _faults(config: Mapping[str, Any]) -> Iterator[str]:
    key = config.get("api_key")
    if not isinstance(key, str) or not key.strip():
        yield (
            "The setting api_key is missing: create an API key in Lev (the read_only preset is "
            "enough) and give it as api_key in the config, or as TAP_LEV_API_KEY."
        )
    elif not _fits_a_header(key):
        yield "The setting api_key holds a space, a line break or a character no key has."
    for name in ("origin_app", "active_account"):
        value = config.get(name)
        if isinstance(value, str) and value and not _fits_a_header(value):
            yield f"The setting {name} must be one word of printable ASCII, not {shown(value)}."
    if isinstance(url := config.get("api_url"), str) and (fault := _url_fault(url)):
        yield f"The setting api_url {fault}."
    start_date = config.get("start_date")
    if isinstance(start_date, str) and timestamps.parse(start_date) is None:
        yield f"The setting start_date must be a date or a date-time, not {shown(start_date)}."
    for name in ("fact_queries", "observation_metric_ids"):
        values = config.get(name) or []
        if any(isinstance(value, str) and not value.strip() for value in values):
            yield f"The setting {name} holds a blank text, for which Lev searches nothing."
        twice = next((value for value, times in Counter(values).items() if times > 1), None)
        if twice is not None:
            yield f"The setting {name} holds {shown(twice)} twice, so its rows would come twice."


def environment_fault(prefix: str, error: ValueError) -> str:
    """Say which environment variable the SDK could not read."""
    for name in SETTINGS["properties"]:
        variable = prefix + name.upper()
        if fault := _variable_fault(variable, name, os.environ.get(variable)):
            return fault
    return f"A setting in the environment cannot be read: {quoted(error)}."


def _variable_fault(variable: str, name: str, value: object) -> str | None:
    """Say that a setting's value is no number, when the environment is where it comes from."""
    if not isinstance(value, str) or os.environ.get(variable) != value:
        return None
    for kind, (read, what) in _NUMBERS.items():
        if kind in SETTINGS["properties"].get(name, {}).get("type", ()):
            try:
                read(value)
            except ValueError:
                return f"The environment variable {variable} must be {what}, not {shown(value)}."
    return None


def unknown(config: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    """Name settings that the tap does not have, with what was probably meant."""
    for name in sorted(config.keys() - known.keys()):
        close = difflib.get_close_matches(name, known, n=1)
        yield f"There is no setting {shown(name)}" + (f": is it {close[0]!r}?" if close else ".")


def _fits_a_header(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


def _url_fault(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"http", "https"} or not host:
        return "must be a URL such as " + DEFAULT_API_URL
    if parts.username or parts.password:
        return "must not hold a user or a password: the key is the setting api_key"
    if parts.query or parts.fragment:
        return "must end with the path, without ? or #"
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        return f"must be https: over http the key could be read on its way to {quoted(host)}"
    return None if _is_asked(url, parts) else "has a host that no certificate could name"


def _is_asked(url: str, checked: SplitResult) -> bool:
    """Say whether a request would go where the URL was found to lead.

    Not all take a URL apart in the same way, and the key must not depend on it.
    """
    try:
        asked = urlsplit(requests.Request("GET", url).prepare().url or "")
    except ValueError:
        return False
    if (asked.scheme, asked.hostname, asked.port) != (
        checked.scheme,
        checked.hostname,
        checked.port,
    ):
        return False
    return all(len(label) <= MAX_LABEL for label in (asked.hostname or "").split("."))
