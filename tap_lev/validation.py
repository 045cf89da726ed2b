"""What is wrong with settings, in sentences that never repeat the key."""

from __future__ import annotations

import contextlib
import difflib
import math
import os
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import requests
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR, extend_validator_with_defaults

from tap_lev import timestamps
from tap_lev.errors import quoted, shown
from tap_lev.settings import DEFAULT_API_URL, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VALIDATOR = extend_validator_with_defaults(DEFAULT_JSONSCHEMA_VALIDATOR)
_ENVIRONMENT = "TAP_LEV_"
KEY_VARIABLE = f"{_ENVIRONMENT}API_KEY"
_NUMBERS = {"integer": (int, "a whole number"), "number": (float, "a number")}
MAX_LABEL = 63
"""The most letters between two dots of a host."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


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
    yield from _gap_faults(config)
    yield from _flattening_faults(config)
    for name in ("fact_queries", "observation_metric_ids"):
        values = config.get(name) or []
        if any(isinstance(value, str) and not value.strip() for value in values):
            yield f"The setting {name} holds a blank text, for which Lev searches nothing."
        twice = next((value for value, times in Counter(values).items() if times > 1), None)
        if twice is not None:
            yield f"The setting {name} holds {shown(twice)} twice, so its rows would come twice."


def _gap_faults(config: Mapping[str, Any]) -> Iterator[str]:
    for name, gap in (config.get("accepted_gaps") or {}).items():
        if isinstance(gap, str) and gap != "total":
            yield (
                f"The setting accepted_gaps of {quoted(name)} must be a list of ids or 'total', "
                f"not {shown(gap)}."
            )


def _flattening_faults(config: Mapping[str, Any]) -> Iterator[str]:
    # The SDK would refuse it as well, but with neither a sentence nor the exit code of bad input.
    depth = config.get("flattening_max_depth", -1)
    if config.get("flattening_enabled") is True and depth == -1:
        yield (
            "The setting flattening_enabled needs flattening_max_depth too: how many levels of "
            "objects become columns, such as 1."
        )


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
