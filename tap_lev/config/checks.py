"""Read and check all settings, in the order in which one check relies on another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tap_lev.config import environment, stream_maps, validation
from tap_lev.config.redaction import Redaction

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def check_config(
    config: dict[str, Any],
    schema: Mapping[str, Any],
    columns: Mapping[str, Collection[str]],
    *,
    from_environment: bool,
) -> tuple[list[str], list[str]]:
    """Read the settings, fill in the defaults, and find what is wrong.

    Args:
        config: The settings as given. Texts are read and defaults added in place.
        schema: The settings' JSON schema, with the SDK's own.
        columns: The columns of each stream.
        from_environment: Whether the environment is among the sources of the settings.

    Returns:
        Faults and warnings, a sentence each. None repeats the key.
    """
    properties = schema["properties"]
    validation.tidy(config, properties)
    # Before any sentence about a setting is logged: another setting may hold the key by mistake.
    Redaction.install(config.get("api_key"))
    faults, warnings = [], []
    if not from_environment:
        stream_maps.restore(config)
        for name, sentence in environment.not_read(properties, config):
            if name == "stream_maps":
                faults.append(f"{sentence} What it should hide would be written.")
            else:
                warnings.append(sentence)
    faults += validation.check(config, schema)
    maps = config.get("stream_maps")
    faults += stream_maps.name_faults(maps, columns)
    faults += stream_maps.variable_faults(maps)
    warnings += validation.unknown(config, properties)
    warnings += environment.unknown(properties, config)
    return faults, warnings


def hide_key(config: Mapping[str, Any]) -> None:
    """Keep the key out of the log from here on, before the settings are checked.

    Args:
        config: The settings as given; without a key in them, that of the environment counts.
    """
    key = config.get("api_key") or os.environ.get(validation.KEY_VARIABLE, "")
    Redaction.install(environment.unquoted(key) if isinstance(key, str) else None)
