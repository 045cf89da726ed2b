"""The catalog and the state that a user hands over: read, and checked against the streams."""

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
        ConfigError: It is not there, or holds no JSON object.
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
    """Read a JSON file, such as the state. An empty one counts as not given.

    Raises:
        ConfigError: It is not JSON.
    """
    if file is None:
        return None
    try:
        # Not as text: only of bytes does JSON find out whether they have a byte order mark.
        raw = file.buffer.read() if isinstance(file, io.TextIOWrapper) else file.read().encode()
        return json.loads(raw) if raw.strip() else None
    except RecursionError:
        raise ConfigError(f"The {what} file {file.name!r} is nested too deeply.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"The {what} file {file.name!r} is not JSON: {error}.") from None


def check_catalog(catalog: Any, streams: Mapping[str, type[StreamSpec]]) -> Catalog:  # noqa: ANN401
    """Turn a catalog into the SDK's form.

    Raises:
        ConfigError: It is no catalog, or not one of this tap.
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
            del parsed[name]  # it is not selected, and no reason to refuse the others
            continue
        _check_entry(name, streams[name], entry)
        # The SDK takes what a catalog leaves out for something that the stream does not have.
        entry.key_properties = streams[name].primary_keys
        entry.replication_key = _replication_key(streams[name])
    return parsed


def _take_over(
    entries: Mapping[str, Any], parsed: Catalog, streams: Mapping[str, type[StreamSpec]]
) -> None:
    """Take the selection from where it was before catalogs had metadata.

    That is beside a stream or in its schema, and in the schema of a column.

    Raises:
        ConfigError: It is neither true nor false, or not what the metadata says.
    """
    old = {name: _beside(entry) for name, entry in entries.items()}
    is_old = any(said is not None for said in old.values())
    for name, entry in parsed.items():
        # In such a catalog, a stream without a word was not selected.
        said = False if is_old and old[name] is None and not entry.metadata else old[name]
        if said is not None:
            root = entry.metadata.setdefault((), StreamMetadata())
            if root.selected not in (None, said):
                raise ConfigError(
                    f'The catalog says "selected": {json.dumps(root.selected)} in the metadata of '
                    f"{quoted(name)}, but {json.dumps(said)} beside it: leave the one in the "
                    "metadata."
                )
            root.selected = said
        for column, selected in _in_columns(entries[name]).items():
            if column not in streams[name].primary_keys:
                entry.metadata.setdefault(("properties", column), Metadata(selected=selected))
        for breadcrumb, metadata in entry.metadata.items():
            if metadata.selected is not None and not isinstance(metadata.selected, bool):
                raise ConfigError(
                    f'The catalog\'s "selected" of {quoted(".".join((name, *breadcrumb[1::2])))} '
                    f"must be true or false, not {shown(metadata.selected)}."
                )


def _beside(entry: Mapping[str, Any]) -> Any:  # noqa: ANN401 - it may be given as anything
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
    """Return whether an entry is of a release in which the stream had another key.

    Raises:
        ConfigError: It is, and it is selected: its table may still have that key.
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
    """Refuse what the catalog of a stream cannot choose."""
    # Without it the SDK selects the stream and none of its columns, its key neither.
    root = entry.metadata.setdefault((), StreamMetadata(selected=True))
    assert isinstance(root, StreamMetadata)  # noqa: S101
    key = _replication_key(stream)
    for what, possible, *asked in (
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
        for value in asked:
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
    """Return the list that a tuple is: a catalog that did not come out of JSON has its keys so."""
    return list(value) if isinstance(value, tuple) else value


def _replication_key(stream: type[StreamSpec]) -> str | None:
    """Find a stream class's replication key. Where there is none, the SDK has a property."""
    key: object = stream.replication_key
    return key if isinstance(key, str) else None


def check_state(state: Any, streams: Mapping[str, type[StreamSpec]]) -> None:  # noqa: ANN401
    """Make sure that a state is one of this tap.

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
        ConfigError: It names another: a gap would be thought accepted that is not.
    """
    for name in gaps:
        if name not in streams:
            close = difflib.get_close_matches(name, streams, n=1)
            hint = f": is it {close[0]!r}?" if close else "."
            raise ConfigError(
                f"The setting accepted_gaps names {shown(name)}, which is no stream{hint}"
            )


def check_encodable(given: Any, what: str, advice: str = "") -> None:  # noqa: ANN401
    """Refuse what could be read but not be copied or written again, as half a character.

    Raises:
        ConfigError: It is something like that.
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
