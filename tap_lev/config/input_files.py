"""Read the config, catalog and state files, and check them against the streams."""

from __future__ import annotations

import difflib
import io
import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec
from singer_sdk.singerlib import Catalog, Metadata, StreamMetadata

from tap_lev import timestamps
from tap_lev.errors import ConfigError
from tap_lev.text import quoted, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from singer_sdk.singerlib import CatalogEntry


STACK_RESERVE = 100
"""Levels of Python's stack that a run needs beyond those in use when its input is checked."""


class StreamSpec(Protocol):
    """What a stream declares that catalogs and states are checked against."""

    primary_keys: ClassVar[tuple[str, ...]]
    """The columns of the key."""
    former_key: ClassVar[Sequence[str]]
    """The columns of the key in earlier releases, where they were others."""

    @property
    def replication_key(self) -> str | None:
        """The column of the bookmark."""


def read_config(name: str) -> dict[str, Any]:
    """Read a config file.

    Raises:
        ConfigError: It cannot be read, or holds no JSON object.
    """
    try:
        config = json.loads(Path(name).read_bytes())
    except OSError as error:
        raise ConfigError(f"The config file {name!r} cannot be read: {error.strerror}.") from None
    except RecursionError:
        raise ConfigError(f"The config file {name!r} is nested too deeply.") from None
    except ValueError as error:
        raise ConfigError(f"The config file {name!r} is not JSON: {error}.") from None
    if not isinstance(config, dict):
        raise ConfigError(f"The config file {name!r} does not hold a JSON object.")
    check_encodable(config, f"The config file {name!r}")
    return config


def read_json(file: IO[str] | None, what: str) -> Any:  # noqa: ANN401 - JSON is anything
    """Read a JSON file, such as the state. An empty one counts as none.

    Raises:
        ConfigError: It is not JSON, or nested too deeply.
    """
    if file is None:
        return None
    try:
        # As bytes, not as text: json.loads detects a byte order mark only in bytes.
        raw = file.buffer.read() if isinstance(file, io.TextIOWrapper) else file.read().encode()
        return json.loads(raw) if raw.strip() else None
    except RecursionError:
        raise ConfigError(f"The {what} file {file.name!r} is nested too deeply.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"The {what} file {file.name!r} is not JSON: {error}.") from None


def check_catalog(catalog: Any, streams: Mapping[str, type[StreamSpec]]) -> Catalog:  # noqa: ANN401
    """Check a catalog and convert it to the SDK's form.

    Raises:
        ConfigError: It is no catalog, or the catalog of another tap or release.
    """
    try:
        entries = {entry["tap_stream_id"]: entry for entry in catalog["streams"]}
        twice = len(catalog["streams"]) > len(entries)
        parsed = Catalog.from_dict(catalog)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"The catalog is not a Singer catalog ({type(error).__name__}: "
            f"{quoted(error)}): make one with tap-lev --discover."
        ) from None
    if unknown := sorted(str(name) for name in entries.keys() - streams.keys()):
        raise ConfigError(
            "The catalog names streams that tap-lev does not have: "
            f"{quoted(', '.join(unknown))}. "
            "It has: " + ", ".join(sorted(streams)) + "."
        )
    if twice:
        raise ConfigError("The catalog has several entries for one stream: leave one of them.")
    check_encodable(catalog, "The catalog")
    _take_over(entries, parsed, streams)
    for name, entry in list(parsed.items()):
        if _has_former_key(name, streams[name], entry):
            del parsed[name]  # not selected: no reason to reject the others
            continue
        _check_entry(name, streams[name], entry)
        # Complete the entry: the SDK assumes that the stream has no key if the catalog names none.
        entry.key_properties = streams[name].primary_keys
        entry.replication_key = _replication_key(streams[name])
    return parsed


def _take_over(
    entries: Mapping[str, Any], parsed: Catalog, streams: Mapping[str, type[StreamSpec]]
) -> None:
    """Take over the selection of catalogs that are older than metadata.

    There it is beside the stream or in its schema, and in the schema of a column.

    Raises:
        ConfigError: It is not a boolean, or contradicts the metadata.
    """
    beside = {name: _beside(entry) for name, entry in entries.items()}
    is_old = any(value is not None for value in beside.values())
    for name, entry in parsed.items():
        # An old catalog selects only the streams that it marks as selected.
        is_left_out = is_old and beside[name] is None and not entry.metadata
        selected = False if is_left_out else beside[name]
        if selected is not None:
            root = entry.metadata.setdefault((), StreamMetadata())
            if root.selected not in (None, selected):
                raise ConfigError(
                    f'The catalog says "selected": {json.dumps(root.selected)} in the metadata of '
                    f"{quoted(name)}, but {json.dumps(selected)} beside it: leave the one in the "
                    "metadata."
                )
            root.selected = selected
        for column, is_selected in _in_columns(entries[name]).items():
            if column not in streams[name].primary_keys:
                entry.metadata.setdefault(("properties", column), Metadata(selected=is_selected))
        for breadcrumb, metadata in entry.metadata.items():
            if metadata.selected is not None and not isinstance(metadata.selected, bool):
                raise ConfigError(
                    f'The catalog\'s "selected" of {quoted(".".join((name, *breadcrumb[1::2])))} '
                    f"must be true or false, not {shown(metadata.selected)}."
                )


def _beside(entry: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON is anything
    schema = entry.get("schema")
    in_schema = schema.get("selected") if isinstance(schema, dict) else None
    return entry.get("selected", in_schema)


def _in_columns(entry: Mapping[str, Any]) -> dict[str, Any]:
    columns = (entry.get("schema") or {}).get("properties") or {}
    return {
        name: column["selected"]
        for name, column in columns.items()
        if isinstance(column, dict) and "selected" in column
    }


def _has_former_key(name: str, stream: type[StreamSpec], entry: CatalogEntry) -> bool:
    """Return whether an entry is from a release in which the stream had another key.

    Raises:
        ConfigError: It is, and it is selected: the target's table may still have that key.
    """
    root, former = entry.metadata.get(()), list(stream.former_key)
    keys = [entry.key_properties, getattr(root, "table_key_properties", None)]
    if not former or former not in map(_listed, keys):
        return False
    if getattr(root, "selected", True) is False:
        return True
    raise ConfigError(
        f"The catalog selects {name} with the key of an earlier release, {', '.join(former)}. The "
        f"key is {', '.join(stream.primary_keys)} now: change the table first (see 'Keys that "
        "changed' in docs/schema-changes.md), then make the catalog again with tap-lev --discover."
    )


def _check_entry(name: str, stream: type[StreamSpec], entry: CatalogEntry) -> None:
    """Reject names, keys and methods that a catalog cannot choose."""
    # Without it the SDK selects the stream, but none of its columns, not even its key.
    root = entry.metadata.setdefault((), StreamMetadata(selected=True))
    assert isinstance(root, StreamMetadata)  # noqa: S101
    key = _replication_key(stream)
    for what, possible, *values in (
        ("name", [name], entry.stream, entry.stream_alias),
        ("key", [list(stream.primary_keys)], entry.key_properties, root.table_key_properties),
        ("replication key", [key] if key else [], entry.replication_key, root.replication_key),
        (
            "replication method",
            ["FULL_TABLE", "INCREMENTAL"] if key else ["FULL_TABLE"],
            entry.replication_method,
            root.forced_replication_method,
        ),
    ):
        for value in values:
            if value and _listed(value) not in possible:
                raise ConfigError(
                    f"The catalog asks for the {what} {shown(value)} of {name}, which can be read "
                    f"by {' or '.join(map(repr, possible)) or 'none'} only."
                )
    missing = set(stream.primary_keys) - set(entry.schema.properties or ())
    if missing:
        raise ConfigError(
            f"The catalog's schema of {name} lacks the key: {', '.join(sorted(missing))}."
        )


def _listed(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Return a tuple as a list: a catalog from code, not from JSON, has its keys as tuples."""
    return list(value) if isinstance(value, tuple) else value


def _replication_key(stream: type[StreamSpec]) -> str | None:
    """Return a stream class's replication key. If it has none, the class has a property."""
    key: object = stream.replication_key
    return key if isinstance(key, str) else None


def check_state(state: Any, streams: Mapping[str, type[StreamSpec]]) -> None:  # noqa: ANN401
    """Make sure that a state comes from this tap.

    Raises:
        ConfigError: It is not.
    """
    advice = "Give the state that tap-lev wrote last, or none to read everything."
    check_encodable(state, "The state", advice)
    bookmarks = (
        state.get("bookmarks", {} if not state else None) if isinstance(state, dict) else None
    )
    if not isinstance(bookmarks, dict):
        raise ConfigError(f"The state is not a Singer state with bookmarks. {advice}")
    if bookmarks and not bookmarks.keys() & streams.keys():
        raise ConfigError(
            "The state is of another tap: it has bookmarks of "
            f"{quoted(', '.join(sorted(bookmarks)))} and of no stream of tap-lev. {advice}"
        )
    for name, entry in bookmarks.items():
        if not isinstance(entry, dict):
            raise ConfigError(f"The state's bookmark of {quoted(name)} is not an object. {advice}")
        if name in streams:
            _check_bookmark(name, entry, _replication_key(streams[name]), advice)


def check_gaps(gaps: Mapping[str, Any], streams: Mapping[str, Any]) -> None:
    """Make sure that the setting accepted_gaps names streams of this tap.

    Raises:
        ConfigError: It names another, so that the user would rely on a gap that is not accepted.
    """
    for name in gaps:
        if name not in streams:
            close = difflib.get_close_matches(name, streams, n=1)
            hint = f": is it {close[0]!r}?" if close else "."
            raise ConfigError(
                f"The setting accepted_gaps names {shown(name)}, which is no stream{hint}"
            )


def check_encodable(given: Any, what: str, advice: str = "") -> None:  # noqa: ANN401
    """Make sure that input can be copied and written again.

    Args:
        given: The input, decoded.
        what: The beginning of the sentence, such as "The state".
        advice: The end of the sentence.

    Raises:
        ConfigError: It is nested too deeply, or holds a lone surrogate.
    """
    # Each list takes one level, as the calls do from which the run writes a state.
    for _ in range(STACK_RESERVE):
        given = [given]
    try:
        msgspec.json.encode(given)
    except RecursionError:
        reason = "is nested too deeply"
    except UnicodeEncodeError:
        reason = r"holds half a character, such as \ud800"
    else:
        return
    raise ConfigError(f"{what} {reason}. {advice}".rstrip())


def _check_bookmark(name: str, entry: dict[str, Any], expected: str | None, advice: str) -> None:
    key, value = entry.get("replication_key"), entry.get("replication_key_value")
    if key is not None and key != expected:
        raise ConfigError(
            f"The state is of another tap: its bookmark of {name} is by {shown(key)}, not by "
            f"{expected or 'any column'}. {advice}"
        )
    if value is not None and timestamps.parse(value) is None:
        raise ConfigError(
            f"The state's bookmark of {name} is not a date-time: {shown(value)}. {advice}"
        )
