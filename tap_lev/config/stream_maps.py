"""Check the setting stream_maps: what the SDK fails on, or silently ignores."""

from __future__ import annotations

import difflib
import fnmatch
import json
import os
import re
from typing import TYPE_CHECKING, Any

from tap_lev.config.environment import MELTANO_MAPS, PREFIX
from tap_lev.text import quoted, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_VARIABLE = f"{PREFIX}STREAM_MAPS"
ELSE, SOURCE = "__else__", "__source__"
NOTHING = (None, "__NULL__")
"""The values that leave out a stream, a column, or all others."""
_EXPRESSION: tuple[type, str] = (str, "an expression, or null to leave it out")
_OPTIONS: dict[str, tuple[type, str]] = {
    "__alias__": (str, "a name"),
    "__filter__": (str, "an expression"),
    "__key_properties__": (list, "a list of columns"),
    SOURCE: (str, "the name of a stream"),
}
_EMPTY = (
    "The setting stream_maps is empty. Where it maps to null in meltano.yml, write __NULL__ in the "
    "place of null, which Meltano may leave out. Where nothing is to be mapped, leave stream_maps "
    "out."
)


def restore(config: dict[str, Any]) -> None:
    """Restore what a Meltano project maps to null.

    Meltano drops nulls from the config that it writes, but not from the environment.

    Args:
        config: The settings in that config. They are changed.
    """
    try:
        known = json.loads(os.environ.get(MELTANO_MAPS, ""))
    except (ValueError, RecursionError):
        return
    for name, value in (known if isinstance(known, dict) else {}).items():
        maps = config.setdefault("stream_maps", {}) if value is None else None
        if not isinstance(maps, dict):
            continue
        # A name is a stream, or a stream and a column, as in contacts.email.
        stream, _, column = name.partition(".")
        columns = maps.setdefault(stream, {} if column else None)
        if column and isinstance(columns, dict):
            columns.setdefault(column, None)


def shape_faults(maps: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Find values of the setting that are no maps.

    Args:
        maps: The setting.

    Yields:
        The part of the setting, and a sentence for the user.
    """
    if not isinstance(maps, dict):
        return
    if not maps:
        yield "stream_maps", _EMPTY
    for name, value in maps.items():
        where = f"stream_maps.{name}"
        the = f"The setting {quoted(where)}"
        if name == ELSE:
            yield from _else_fault(where, value)
        elif name.startswith("__"):
            yield where, f"{the} is no option of the stream maps."
        elif isinstance(value, dict):
            yield from _column_faults(where, value)
        elif value not in NOTHING:
            must = "must be an object that maps the stream, or null to leave the stream out"
            yield where, f"{the} {must}, not {shown(value)}."


def _else_fault(where: str, value: object) -> Iterator[tuple[str, str]]:
    if value not in NOTHING:
        must = "must be null or '__NULL__', which leaves all others out"
        yield where, f"The setting {quoted(where)} {must}, not {shown(value)}."


def _column_faults(stream: str, columns: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in columns.items():
        kind, what = _OPTIONS.get(name, _EXPRESSION)
        if name == ELSE:
            yield from _else_fault(f"{stream}.{name}", value)
        elif (name in _OPTIONS or value is not None) and (
            not isinstance(value, kind) or value == ""
        ):
            must = f"{quoted(name)} must be {what}, not {shown(value)}"
            yield f"{stream}.{name}", f"The setting {quoted(stream)} is wrong: {must}."


def name_faults(maps: Any, columns: Mapping[str, Collection[str]]) -> Iterator[str]:  # noqa: ANN401
    """Find maps of unknown streams, and unknown columns that are to be left out.

    Otherwise a misspelt map would hide nothing, and the rows would be written.

    Args:
        maps: The setting.
        columns: The columns of each stream.

    Yields:
        A sentence for the user.
    """
    for name, value in (maps if isinstance(maps, dict) else {}).items():
        source = value.get(SOURCE, name) if isinstance(value, dict) else name
        if name.startswith("__") or not isinstance(source, str):
            continue
        if not fnmatch.filter(columns, source):
            no_stream = f"which is no stream{_hint(source, columns)}"
            yield f"The setting stream_maps names {shown(source)}, {no_stream}"
        left_out = (
            [column for column, expression in value.items() if expression in NOTHING]
            if source in columns and isinstance(value, dict)
            else []
        )
        for column in left_out:
            if column not in columns[source] and not column.startswith("__"):
                no_column = f"which is no column{_hint(column, columns[source])}"
                yield (
                    f"The setting stream_maps leaves out {shown(column)} of {source}, {no_column}"
                )


def variable_faults(maps: Any) -> Iterator[str]:  # noqa: ANN401
    """Find environment variables of single maps that nothing reads.

    Meltano sets such a variable for each map of a project, but reads no others.

    Args:
        maps: The setting.

    Yields:
        A sentence for the user.
    """
    read = set()
    for name, value in (maps if isinstance(maps, dict) else {}).items():
        columns = value if isinstance(value, dict) else ()
        read |= {_variable(name), *(_variable(name, column) for column in columns)}
    for variable in sorted(os.environ):
        part = variable.removeprefix(f"{_VARIABLE}_")
        if part != variable and "__" not in f"_{part}" and variable not in read:
            yield (
                f"The environment variable {quoted(variable)} is not read: give all maps as JSON "
                f"in {_VARIABLE}, or in the config. What it should hide would be written."
            )


def _variable(*names: str) -> str:
    return "_".join((_VARIABLE, *(re.sub(r"\W", "_", name).upper() for name in names)))


def _hint(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f": is it {close[0]!r}?" if close else "."
