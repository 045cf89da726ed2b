"""Schemas change on purpose: what a destination will see change is told."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from devtools.catalog_snapshot import (
    SNAPSHOT,
    Catalog,
    changes,
    released,
    rendered,
    unnamed,
    unreleased,
)
from tests.support.process import run_tap

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"


@pytest.fixture
def now() -> Catalog:
    return dict(json.loads(SNAPSHOT.read_text(encoding="utf-8")))


@pytest.fixture
def before(now: Catalog) -> Catalog:
    return copy.deepcopy(now)


def stream(catalog: Catalog, name: str) -> dict[str, Any]:
    """An entry of a catalog."""
    return next(entry for entry in catalog["streams"] if entry["tap_stream_id"] == name)


def columns(catalog: Catalog, name: str) -> dict[str, Any]:
    """The columns of a stream."""
    return dict(stream(catalog, name)["schema"])["properties"]


def test_the_catalog_is_the_snapshot() -> None:
    run = run_tap(args=["--discover"])
    assert run.exit_code == 0
    assert rendered(json.loads("".join(run.lines))) == SNAPSHOT.read_text(encoding="utf-8"), (
        "The catalog is not tests/catalog.json: write it with python -m devtools.catalog_snapshot."
    )


def test_the_changelog_names_what_changed_since_the_last_release(now: Catalog) -> None:
    changelog = CHANGELOG.read_text(encoding="utf-8")
    release = released(changelog)
    # Before the first release nothing can have changed since it.
    before = now if release is None else json.loads(release.read_text(encoding="utf-8"))
    missing = unnamed(before, now, changelog)
    assert not missing, (
        "CHANGELOG.md must name in its section Unreleased, each in backticks, what is not as in "
        f"{release}: {', '.join(missing)}."
    )


def test_a_release_is_a_version_with_a_date() -> None:
    changelog = "## [Unreleased]\n\n## [0.2.0] - {}\n\n- a\n\n## [0.1.0] - {}\n"
    assert released(changelog.format("Unreleased", "Unreleased")) is None
    for date, version in (("Unreleased", "0.1.0"), ("2026-12-01", "0.2.0")):
        release = released(changelog.format(date, "2026-11-30"))
        assert release == SNAPSHOT.with_name(f"catalog-{version}.json")


def test_the_changelog_names_every_stream(now: Catalog) -> None:
    changelog = CHANGELOG.read_text(encoding="utf-8")
    names = [entry["tap_stream_id"] for entry in now["streams"]]
    assert [name for name in names if f"`{name}`" not in changelog] == []


def test_the_keys_and_nothing_else_are_required(now: Catalog) -> None:
    for entry in now["streams"]:
        assert entry["schema"]["required"] == entry["key_properties"]
        for name, column in columns(now, entry["tap_stream_id"]).items():
            assert ("null" in column["type"]) == (name not in entry["key_properties"]), name


def test_a_snapshot_is_the_same_in_whatever_order_it_is_discovered(now: Catalog) -> None:
    shuffled = copy.deepcopy(now)
    shuffled["streams"].reverse()
    for entry in shuffled["streams"]:
        entry["metadata"].reverse()
        entry["schema"]["properties"] = dict(
            reversed(columns(shuffled, entry["tap_stream_id"]).items())
        )
    assert rendered(shuffled) == rendered(now) == SNAPSHOT.read_text(encoding="utf-8")


def test_a_new_column_is_one_line_in_the_schema_and_one_in_the_metadata(
    before: Catalog, now: Catalog
) -> None:
    columns(now, "deals")["made_up"] = {"type": ["string", "null"]}
    added = {"breadcrumb": ["properties", "made_up"], "metadata": {"inclusion": "available"}}
    stream(now, "deals")["metadata"].append(added)
    assert len(set(rendered(now).splitlines()) - set(rendered(before).splitlines())) == 2


def test_a_changed_column_is_a_change(before: Catalog, now: Catalog) -> None:
    columns(now, "deals")["made_up"] = {"type": ["string", "null"]}
    del columns(now, "contacts")["title"]
    columns(now, "placements")["score"] = {"type": ["string", "null"]}
    columns(now, "memos")["created_by"]["properties"]["email"] = {"type": ["string", "null"]}
    assert changes(before, now) == {
        "contacts.title": "removed",
        "deals.made_up": "added",
        "memos.created_by": "changed",
        "placements.score": "changed",
    }


def test_a_changed_stream_is_a_change(before: Catalog, now: Catalog) -> None:
    now["streams"].remove(stream(now, "vaults"))
    before["streams"].remove(stream(before, "memos"))
    stream(now, "term_sheets")["key_properties"] = ["deal_id", "id"]
    stream(now, "companies")["replication_method"] = "FULL_TABLE"
    stream(now, "lenders")["metadata"][0]["metadata"]["selected-by-default"] = True
    assert changes(before, now) == {
        "companies": "changed",
        "lenders": "changed",
        "memos": "added",
        "term_sheets": "changed",
        "vaults": "removed",
    }


def test_a_description_is_no_change_but_a_column_of_that_name_is(
    before: Catalog, now: Catalog
) -> None:
    columns(now, "deals")["title"]["description"] = "As shown in Lev."
    stream(now, "deals")["schema"]["description"] = "Deals."
    assert changes(before, now) == {}
    columns(now, "deals")["description"] = {"type": ["object", "null"]}
    assert changes(before, now) == {"deals.description": "changed"}


def test_what_changed_must_be_named_in_the_section_of_what_is_unreleased(
    before: Catalog, now: Catalog
) -> None:
    columns(now, "deals")["made_up"] = {"type": ["string", "null"]}
    told = "# Changelog\n\n## [Unreleased]\n\n- {}\n\n## [0.1.0] - 2026-11-30\n\n- {}\n"
    assert unnamed(before, now, told.format("`deals.made_up`", "")) == []
    for changelog in (told.format("`made_up` of `deals`", ""), told.format("", "`deals.made_up`")):
        assert unnamed(before, now, changelog) == ["deals.made_up (added)"]
    assert unreleased("# Changelog\n") == set()
