"""What the tap tells of itself: ``tap-lev --about --format=markdown``, and the README's tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from singer_sdk.about import AboutFormatter, AboutInfo
from typing_extensions import override

from tap_lev.api.endpoints import READS
from tap_lev.config.settings import SETTINGS
from tap_lev.streams import STREAMS
from tap_lev.streams.child import ChildStream
from tap_lev.streams.lists import IncrementalStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_lev.streams.base import LevStream

EACH = {"index_facts": "query", "index_observations": "metric"}
"""What a stream makes more than one call for each parent for."""


class Markdown(AboutFormatter, format_name="markdown"):
    """In place of the SDK's, which tells neither what is secret nor which streams there are."""

    @override
    def format_about(self, about_info: AboutInfo) -> str:
        properties = about_info.settings["properties"]
        own = {name: setting for name, setting in properties.items() if name in _OWN}
        shared = {name: setting for name, setting in properties.items() if name not in _OWN}
        pythons = ", ".join(about_info.supported_python_versions or ())
        capabilities = ", ".join(f"`{each.value}`" for each in about_info.capabilities)
        return f"""# {about_info.name}

{about_info.description}

Release {about_info.version}, for Python {pythons}.
Built with the [Meltano Singer SDK](https://sdk.meltano.com), release {about_info.sdk_version}.

## Settings

{settings(own)}
Each is also an environment variable, `{about_info.env_var_prefix}` and the name in capitals.

## Settings of every SDK tap

{settings(shared)}
## Streams

{streams()}
## Capabilities

{capabilities}"""


_OWN = SETTINGS["properties"].keys()


def settings(properties: Mapping[str, Any] = SETTINGS["properties"]) -> str:
    """Build the table of settings."""
    return table(("setting", "default", "meaning"), _settings(properties))


def _settings(properties: Mapping[str, Any], above: str = "") -> Iterator[Sequence[str]]:
    for name, setting in properties.items():
        notes = []
        if (default := setting.get("default")) is not None:
            notes.append(f"`{str(default).lower() if isinstance(default, bool) else default}`")
        if name in SETTINGS["required"]:
            notes.append("required")
        if setting.get("secret"):
            notes.append("secret")
        yield f"`{above}{name}`", ", ".join(notes), setting["description"]
        yield from _settings(setting.get("properties", {}), f"{above}{name}.")


def streams() -> str:
    """Build the table of streams."""
    head = ("stream", "rows", "read from", "key", "replication", "on by default", "requests")
    rows = [
        (
            f"`{stream.name}`",
            (stream.__doc__ or "").partition("\n")[0],
            _place(stream),
            ", ".join(f"`{column}`" for column in stream.primary_keys),
            _replication(stream),
            "yes" if stream.selected_by_default else "",
            _cost(stream),
        )
        for stream in STREAMS
    ]
    return table(head, rows)


def _source(stream: type[LevStream]) -> type[LevStream]:
    return _source(stream.parent) if issubclass(stream, ChildStream) else stream


def _is_embedded(stream: type[LevStream]) -> bool:
    return issubclass(stream, ChildStream) and stream.embed is not None and not stream.verify_embed


def _place(stream: type[LevStream]) -> str:
    if _is_embedded(stream):
        return f"`{_source(stream).path}`, `include={stream.embed}`"
    method = "" if f"GET {stream.path}" in READS else "POST "
    return f"{method}`{stream.path}`"


def _replication(stream: type[LevStream]) -> str:
    if issubclass(stream, ChildStream) and not stream.deduplicate:
        return f"follows `{_source(stream).name}`"
    if issubclass(stream, IncrementalStream):
        return f"INCREMENTAL by `{stream.replication_key}`"
    return "FULL_TABLE"


def _cost(stream: type[LevStream]) -> str:
    if _is_embedded(stream):
        return "0"
    if issubclass(stream, ChildStream):
        parent = re.sub("ies$", "y", stream.parent.name).removesuffix("s").replace("_", " ")
        of_each = f" / {EACH[stream.name]}" if stream.requests is not ChildStream.requests else ""
        return f"1 / {parent}{of_each}" + (", or 0" if stream.verify_embed else "")
    return "1 / 200" if issubclass(stream, IncrementalStream) else "1"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Build a table in Markdown."""
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
