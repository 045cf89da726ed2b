"""The catalog and the state that a user hands over: read, and checked against the streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from singer_sdk.singerlib import Catalog

from tap_lev import timestamps
from tap_lev.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_lev.stream import LevStream


def read_config(name: str) -> dict[str, Any]:
    """Read a config file.

    Raises:
        ConfigError: It is not there, or holds no JSON object.
    """
    try:
        config = json.loads(Path(name).read_bytes())
    except OSError as error:
        raise ConfigError(f"The config file {name!r} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"The config file {name!r} is not JSON: {error}.") from None
    if not isinstance(config, dict):
        raise ConfigError(f"The config file {name!r} does not hold a JSON object.")
    return config


def read_json(file: IO[str] | None, what: str) -> Any:  # noqa: ANN401 - JSON is anything
    """Read a JSON file, such as the state. An empty one counts as not given.

    Raises:
        ConfigError: It is not JSON.
    """
    if file is None:
        return None
    try:
        text = file.read()
        return json.loads(text) if text.strip() else None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"The {what} file {file.name!r} is not JSON: {error}.") from None


def check_catalog(catalog: Any, streams: Mapping[str, type[LevStream]]) -> Catalog:  # noqa: ANN401
    """Turn a catalog into the SDK's form.

    Raises:
        ConfigError: It is no catalog, or not one of this tap.
    """
    try:
        entries = {entry["tap_stream_id"]: entry for entry in catalog["streams"]}
        parsed = Catalog.from_dict(catalog)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"The catalog is not a Singer catalog ({type(error).__name__}: {error}): make one with "
            "tap-lev --discover."
        ) from None
    if unknown := sorted(str(name) for name in entries.keys() - streams.keys()):
        raise ConfigError(
            f"The catalog names streams that tap-lev does not have: {', '.join(unknown)}. "
            "It has: " + ", ".join(sorted(streams)) + "."
        )
    for name, entry in parsed.items():
        _check_replication(name, streams[name], entry.replication_method, entry.replication_key)
    return parsed


def _check_replication(
    name: str, stream: type[LevStream], method: str | None, key: str | None
) -> None:
    possible = ["FULL_TABLE"] + ["INCREMENTAL"] * isinstance(stream.replication_key, str)
    if method is not None and method not in possible:
        raise ConfigError(
            f"The catalog asks for {method} replication of {name}, which tap-lev reads as "
            + " or ".join(possible)
            + "."
        )
    if key is not None and key != str(stream.replication_key):
        raise ConfigError(
            f"The catalog asks for the replication key {key} of {name}, which is not one."
        )


def check_state(state: Any, streams: Mapping[str, type[LevStream]]) -> None:  # noqa: ANN401
    """Make sure that a state is one of this tap.

    Raises:
        ConfigError: It is not.
    """
    advice = "Give the state that tap-lev wrote last, or none to read everything."
    bookmarks = (
        state.get("bookmarks", {} if not state else None) if isinstance(state, dict) else None
    )
    if not isinstance(bookmarks, dict):
        raise ConfigError(f"The state is not a Singer state with bookmarks. {advice}")
    if bookmarks and not bookmarks.keys() & streams.keys():
        raise ConfigError(
            "The state is of another tap: it has bookmarks of "
            f"{', '.join(sorted(bookmarks))} and of no stream of tap-lev. {advice}"
        )
    for name, entry in bookmarks.items():
        if not isinstance(entry, dict):
            raise ConfigError(f"The state's bookmark of {name} is not an object. {advice}")
        if name in streams:
            _check_bookmark(name, entry, streams[name].replication_key, advice)


def _check_bookmark(name: str, entry: dict[str, Any], expected: object, advice: str) -> None:
    key, value = entry.get("replication_key"), entry.get("replication_key_value")
    if key is not None and key != expected:
        raise ConfigError(
            f"The state is of another tap: its bookmark of {name} is by {key!r}, not by "
            f"{expected!r}. {advice}"
        )
    if value is not None and timestamps.parse(value) is None:
        raise ConfigError(f"The state's bookmark of {name} is not a date-time: {value!r}. {advice}")
