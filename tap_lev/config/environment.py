"""Read settings that come as texts: from the environment, ``.env`` and Meltano."""

from __future__ import annotations

import codecs
import difflib
import io
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dotenv import dotenv_values

from tap_lev.errors import ConfigError
from tap_lev.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

T = TypeVar("T")

PREFIX = "TAP_LEV_"
DOTENV = ".env"
LOG_LEVEL = "LOGLEVEL"
MELTANO = "MELTANO_PROJECT_ROOT"
"""A variable that Meltano sets for each plugin that it runs."""
MELTANO_MAPS = "MELTANO_EXTRACT_STREAM_MAPS"
"""The stream maps as Meltano knows them, with names such as ``contacts.email``."""

TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
QUOTES = ("'", '"')

_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


# -- The file


def load_dotenv() -> None:
    """Add the variables of the working directory's ``.env`` to the environment.

    A variable of the environment takes precedence; an empty setting counts as unset.

    Raises:
        ConfigError: The file exists, but cannot be read.
    """
    for name, value in _dotenv().items():
        current = os.environ.get(name)
        is_set = (
            bool(current and current.strip()) if name.startswith(PREFIX) else current is not None
        )
        if value is not None and not is_set:
            os.environ[name] = value


def _dotenv() -> Mapping[str, str | None]:
    file = Path(DOTENV)
    try:
        raw = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        # A directory of that name is a virtual environment, or an empty mount of a container's.
        return {}
    except OSError as error:
        raise ConfigError(
            f"{_place()} cannot be read: {error.strerror}. Let the user who runs tap-lev read it, "
            "or run tap-lev in another directory."
        ) from None
    # Said apart, since it is what PowerShell writes, and "not UTF-8" would not help its users.
    if raw.startswith(_UTF_16):
        raise ConfigError(
            f"{_place()} is UTF-16, not UTF-8, as PowerShell's > writes it: save it as UTF-8 "
            "(PowerShell: Set-Content -Encoding utf8)."
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{_place()} is not UTF-8: line {line} holds the byte {raw[error.start]:#04x}. Save it "
            "as UTF-8."
        ) from None
    return dotenv_values(stream=io.StringIO(text))


def _place() -> str:
    return f"The file {shown(os.path.abspath(DOTENV))}"  # noqa: PTH100 - it exists, maybe in a loop


# -- The variables


def texts(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings in the environment, unread. An empty one counts as unset."""
    found = {name: os.environ.get(PREFIX + name.upper(), "") for name in properties}
    return {name: text for name, text in found.items() if text.strip()}


def not_read(properties: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Find settings in the environment that do not count, because a config file is given.

    Args:
        properties: The JSON schemas of all settings.
        config: The settings in the config file.

    Yields:
        The setting, and a sentence for the user.
    """
    for name in texts(properties):
        if name in config:
            continue
        kind = next(kind for kind in properties[name]["type"] if kind != "null")
        reason = (
            "Meltano does not hand it on, as its definition of tap-lev lacks the setting: add "
            f"{{name: {name}, kind: {kind}}} to the plugin's settings in meltano.yml."
            if MELTANO in os.environ
            else "--config names a file: add --config=ENV."
        )
        yield name, f"The environment variable {PREFIX}{name.upper()} is not read: {reason}"


def is_source(name: str, value: object) -> bool:
    """Return whether a text comes from the environment, by the tap or by Meltano."""
    return isinstance(value, str) and os.environ.get(PREFIX + name.upper()) == value


def unknown(properties: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Find variables that look like settings but are none, and what was probably meant.

    Args:
        properties: The JSON schemas of all settings.
        config: The settings that are given. Unknown ones are reported elsewhere.

    Yields:
        A sentence for the user.
    """
    known = [*map(str.upper, properties), LOG_LEVEL]
    for variable in sorted(os.environ):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in known or name.lower() in config:
            continue
        # Meltano's extras, such as TAP_LEV__SELECT, also those of a plugin that inherits. Parts of
        # stream maps are a fault of their own: stream_maps.variable_faults.
        if not name or "__" in f"_{name}" or name.startswith("STREAM_MAPS_"):
            continue
        if MELTANO in os.environ and _is_meltanos(name, known):
            continue
        close = difflib.get_close_matches(name, known, n=1)
        yield f"There is no setting for the environment variable {shown(variable)}" + (
            f": is it {PREFIX}{close[0]}?" if close else "."
        )


def _is_meltanos(name: str, known: Iterable[str]) -> bool:
    """Return whether Meltano may set it: for a plugin that inherits, or a part of an object."""
    return any(name.endswith(f"_{setting}") or name.startswith(f"{setting}_") for setting in known)


# -- Reading


def read(text: str, types: Any, items: Any = ()) -> Any:  # noqa: ANN401
    """Read a text as people write it: in quotes, between blanks, as ``on`` or as JSON.

    Args:
        text: The text.
        types: The types of the setting, as in its JSON schema.
        items: The types of a list's items.

    Returns:
        The value.

    Raises:
        ValueError: The text is not of the type. The message says what it must be.
    """
    plain = unquoted(text)
    if "boolean" in types:
        if plain.lower() not in TRUE | FALSE:
            raise ValueError("true or false")
        return plain.lower() in TRUE
    if "integer" in types:
        if not _WHOLE.fullmatch(plain):
            raise ValueError("a whole number")
        return int(plain)
    if "number" in types:
        try:
            return float(plain)
        except ValueError:
            raise ValueError("a number") from None
    if "array" in types:
        return _list(plain, items)
    return _object(plain) if "object" in types else plain


def unquoted(text: str) -> str:
    """Remove blanks and one pair of quotes, which ``docker run --env-file`` leaves in."""
    plain = text.strip()
    if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in QUOTES:
        if plain[0] not in plain[1:-1]:
            return plain[1:-1].strip()
        # Quotes within quotes are a JSON text, or not quotes around the whole.
        try:
            inner = json.loads(plain)
        except ValueError:
            return plain
        return str(inner).strip()
    return plain


def _list(plain: str, items: Any) -> list[Any]:  # noqa: ANN401
    numbers = "integer" in items
    example = "[7, 3]" if numbers else '["rent", "noi"]'
    wanted = f"a JSON list such as {example}, or values with commas between them"
    if plain.startswith(("[", "{", *QUOTES)):
        return _json(plain, list, wanted)
    values = [value.strip() for value in plain.split(",")]
    if not all(values) or (numbers and not all(map(_WHOLE.fullmatch, values))):
        raise ValueError(wanted)
    return list(map(int, values)) if numbers else list(values)


def _object(plain: str) -> dict[str, Any]:
    return _json(plain, dict, 'a JSON object such as {"contacts": …}')


def _json(plain: str, kind: type[T], wanted: str) -> T:
    try:
        value = json.loads(plain)
    except (ValueError, RecursionError):
        raise ValueError(wanted) from None
    if not isinstance(value, kind):
        raise ValueError(wanted)  # noqa: TRY004 - whatever it is, the text is wrong
    return value
