"""Find what is wrong with settings, in sentences that never repeat the key."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import requests
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR, extend_validator_with_defaults

from tap_lev import timestamps
from tap_lev.config import environment, stream_maps
from tap_lev.config.settings import DEFAULT_API_URL
from tap_lev.text import quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VALIDATOR = extend_validator_with_defaults(DEFAULT_JSONSCHEMA_VALIDATOR)
_ENVIRONMENT = environment.PREFIX
KEY_VARIABLE = f"{_ENVIRONMENT}API_KEY"
_TEXTS = frozenset({"boolean", "number", "array", "object"})
"""Types of settings that may also be given as a text in a config file."""
MAX_LABEL = 63
"""The most letters between two dots of a host name."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def tidy(config: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, str]:
    """Read settings that are given as a text, and remove those that are empty.

    A text of the environment is read for every type. A text in a file is read only for the types
    that Meltano passes on as they are: booleans, fractions, lists and objects.

    Args:
        config: The settings as given. They are changed.
        properties: The JSON schemas of all settings.

    Returns:
        A sentence for each text that cannot be read, by setting. None repeats the key.
    """
    wrong = {}
    for name, value in list(config.items()):
        schema = properties.get(name, {})
        types = schema.get("type", ())
        if value is None:
            del config[name]
        elif isinstance(value, float) and "integer" in types and value.is_integer():
            config[name] = int(value)
        elif isinstance(value, str):
            is_variable = environment.is_source(name, value)
            if is_variable and not environment.unquoted(value):
                del config[name]
            elif schema and (is_variable or _TEXTS.intersection(types)):
                try:
                    config[name] = environment.read(value, types, _item_types(schema))
                except ValueError as error:
                    wrong[name] = (
                        f"{_place(name, is_variable=is_variable)} must be {error}, not "
                        f"{shown(value)}."
                    )
    return wrong


def _item_types(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401
    return schema.get("items", {}).get("type", ())


def _place(name: str, *, is_variable: bool) -> str:
    if is_variable:
        return f"The environment variable {_ENVIRONMENT}{name.upper()}"
    return f"The setting {quoted(name)}"


def check(config: dict[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Read the texts, add the defaults and find what is wrong.

    Args:
        config: The settings as given. Defaults are added; a null counts as unset.
        schema: The JSON schema of all settings, including the SDK's.

    Returns:
        One sentence for each fault. None repeats the key.
    """
    wrong = tidy(config, schema["properties"])
    wrong |= dict(stream_maps.shape_faults(config.get("stream_maps")))
    # Without those that are wrong already, for the SDK's validator raises on what is no map.
    faulty = {name.partition(".")[0] for name in wrong}
    sound = {name: value for name, value in config.items() if name not in faulty}
    messages = {
        ".".join(map(str, error.path)): error.message
        for error in _VALIDATOR(schema).iter_errors(sound)
        if error.path and error.path[0] != "api_key"
    }
    # A NaN passes every minimum and maximum.
    messages |= {
        name: "nan is no number"
        for name, value in sound.items()
        if isinstance(value, float) and math.isnan(value) and name != "api_key"
    }
    wrong |= {
        name: f"The setting {quoted(name)} is wrong: {quoted(message)}."
        for name, message in messages.items()
    }
    config |= {name: value for name, value in sound.items() if name not in config}
    faulty = {name.partition(".")[0] for name in wrong} | wrong.keys()
    return [*wrong.values(), *_faults({n: v for n, v in sound.items() if n not in faulty})]


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
        yield (
            "The setting start_date must be a date such as 2026-01-31, or a date-time, not "
            f"{shown(start_date)}."
        )
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
    # The SDK rejects some depths without a sentence and with exit code 1, and 0 not at all.
    depth = config.get("flattening_max_depth", 0)
    if config.get("flattening_enabled") is True and isinstance(depth, int) and depth < 1:
        yield (
            "The setting flattening_enabled needs flattening_max_depth too: how many levels of "
            "objects become columns, such as 1."
        )


def unknown(config: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    """Find settings that the tap does not have, and what was probably meant."""
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
    return None if _is_requested(url, parts) else "has a host that no certificate could name"


def _is_requested(url: str, checked: SplitResult) -> bool:
    """Return whether a request goes to the host that was checked.

    ``requests`` and ``urllib`` do not split every URL in the same way. If they differ, the key
    could go to a host that nobody has checked.
    """
    try:
        sent = urlsplit(requests.Request("GET", url).prepare().url or "")
    except ValueError:
        return False
    if (sent.scheme, sent.hostname, sent.port) != (
        checked.scheme,
        checked.hostname,
        checked.port,
    ):
        return False
    return all(len(label) <= MAX_LABEL for label in (sent.hostname or "").split("."))
