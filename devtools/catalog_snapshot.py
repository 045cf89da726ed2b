"""Write the catalog's snapshot, and find what changed since the last release.

``python -m devtools.catalog_snapshot`` writes the current catalog to ``tests/catalog.json``.
With a version, ``python -m devtools.catalog_snapshot 0.2.0`` also writes the snapshot that later
changes are compared with, ``tests/catalog-0.2.0.json``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tap_lev.tap import TapLev

TESTS = Path(__file__).parents[1] / "tests"
SNAPSHOT = TESTS / "catalog.json"
WIDTH = 100

Catalog = dict[str, Any]


def discovered() -> Catalog:
    """Build the catalog of the code."""
    tap = TapLev(config={}, validate_config=False, setup_mapper=False)
    return dict(json.loads(tap.catalog_json_text))


def rendered(catalog: Catalog) -> str:
    """Render a catalog so that a changed column is one line of a diff."""
    streams = sorted(catalog["streams"], key=lambda stream: stream["tap_stream_id"])
    for stream in streams:
        stream["metadata"].sort(key=lambda metadata: metadata["breadcrumb"])
    return _lines({**catalog, "streams": streams}, 0) + "\n"


def _lines(value: Any, depth: int) -> str:  # noqa: ANN401
    flat = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or (depth > 0 and len(flat) <= WIDTH):
        return flat
    inside, outside = "  " * (depth + 1), "  " * depth
    if isinstance(value, list):
        items = [_lines(item, depth + 1) for item in value]
        opening, closing = "[]"
    else:
        items = [f"{json.dumps(name)}: {_lines(value[name], depth + 1)}" for name in sorted(value)]
        opening, closing = "{}"
    return f"{opening}\n{inside}" + f",\n{inside}".join(items) + f"\n{outside}{closing}"


def released(changelog: str) -> Path | None:
    """Return the file with the catalog of the last release, or None before the first one.

    A version is released when its section of the changelog has a date.
    """
    dated = re.search(r"^## \[(\d[^\]]*)\] - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    return TESTS / f"catalog-{dated[1]}.json" if dated else None


def changes(before: Catalog, now: Catalog) -> dict[str, str]:
    """Compare two catalogs as a destination does: what changed, and how.

    The columns of an added or removed stream are not listed. Descriptions are not compared,
    because no table depends on them.
    """
    old, new = _parts(before), _parts(now)
    changed = {
        name: "removed" if name not in new else "changed" if name in old else "added"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }
    streams = {name for name, what in changed.items() if what != "changed" and "." not in name}
    return {
        name: what
        for name, what in changed.items()
        if name in streams or name.partition(".")[0] not in streams
    }


def _parts(catalog: Catalog) -> dict[str, Any]:
    """Index a catalog: streams by name, columns by ``stream.column``."""
    parts: dict[str, Any] = {}
    for stream in catalog["streams"]:
        name, properties = stream["tap_stream_id"], stream["schema"]["properties"]
        defaults = next(m["metadata"] for m in stream["metadata"] if not m["breadcrumb"])
        parts[name] = [
            stream["key_properties"],
            stream.get("replication_method"),
            stream.get("replication_key"),
            defaults["selected-by-default"],
        ]
        parts |= {f"{name}.{column}": _plain(schema) for column, schema in properties.items()}
    return parts


def _plain(schema: Any) -> Any:  # noqa: ANN401
    """Remove the descriptions from a column's schema, but no column that is named so."""
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(value) for name, value in schema.items() if name != "description"}
    if "properties" in schema:
        plain["properties"] = {n: _plain(value) for n, value in schema["properties"].items()}
    return plain


def unreleased(changelog: str) -> set[str]:
    """Collect the names in backticks in a changelog's section Unreleased."""
    section = re.search(
        r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE
    )
    return set(re.findall(r"`([^`]+)`", section[1])) if section else set()


def unnamed(before: Catalog, now: Catalog, changelog: str) -> list[str]:
    """List the changes that the section Unreleased does not name."""
    named = unreleased(changelog)
    return [f"{name} ({what})" for name, what in changes(before, now).items() if name not in named]


def main(version: str | None = None) -> None:
    """Write the snapshot, and with a version also that of the release."""
    text = rendered(discovered())
    SNAPSHOT.write_text(text, encoding="utf-8")
    if version is not None:
        for old in TESTS.glob("catalog-*.json"):
            old.unlink()
        (TESTS / f"catalog-{version}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
