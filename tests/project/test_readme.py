"""What is written about the tap is what the tap is."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from devtools import tables
from tap_lev.config.settings import SETTINGS, SHARED
from tap_lev.streams import STREAMS
from tap_lev.tap import TapLev
from tests.support.process import run_tap

ROOT = Path(__file__).parents[2]
KINDS = {kind: kind for kind in ("integer", "object", "string")}
# Of what comes from the environment, Meltano cannot hand a number on as such, makes false of
# "true" in quotes, and a list of letters of a text.
KINDS |= dict.fromkeys(("array", "boolean", "number"), "string")


EXPECTED = {
    "deals": ("INCREMENTAL by `updated_at`", "yes", "1 / 200"),
    "lenders": ("INCREMENTAL by `updated_at`", "", "1 / 200"),
    "pipelines": ("FULL_TABLE", "yes", "1"),
    "current_user": ("FULL_TABLE", "", "1"),
    "deal_pipelines": ("follows `deals`", "yes", "0"),
    "deal_financials": ("follows `deals`", "", "1 / deal, or 0"),
    "term_sheets": ("follows `deals`", "", "1 / deal"),
    "checklist_task_notes": ("follows `deals`", "", "1 / checklist task"),
    "company_notes": ("follows `companies`", "", "1 / company"),
    "index_facts": ("follows `deals`", "", "1 / deal / query"),
    "index_observations": ("follows `deals`", "", "1 / deal / metric"),
    "lender_programs": ("follows `lenders`", "", "1 / lender"),
}
"""One stream of each kind: replication, on by default, requests."""


@pytest.fixture(scope="module")
def plugin() -> dict[str, Any]:
    """The tap in meltano.yml."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    (tap,) = project["plugins"]["extractors"]
    return dict(tap)


def test_the_docs_have_the_tables_of_the_code() -> None:
    for page in tables.PAGES:
        text = page.read_text(encoding="utf-8")
        assert tables.replace_tables(text) == text, "run: python -m devtools.tables"
    filled = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in filled for name in SETTINGS["properties"] | SHARED)
    assert all(f"| `{stream.name}` |" in filled for stream in STREAMS)


def kind_of(setting: dict[str, Any]) -> str:
    """Meltano's kind of a setting."""
    if setting.get("format") == "date-time":
        return "date_iso8601"
    if "enum" in setting:
        return "options"
    return KINDS[next(kind for kind in setting["type"] if kind != "null")]


def test_meltano_has_the_settings_of_the_code(plugin: dict[str, Any]) -> None:
    found = {
        setting["name"]: (
            setting["label"],
            setting["kind"],
            setting["description"],
            setting.get("sensitive", False),
            [option["value"] for option in setting.get("options", [])],
        )
        for setting in plugin["settings"]
    }
    config = copy.deepcopy(SETTINGS)
    TapLev.append_builtin_config(config)
    expected = {
        name: (
            setting["title"],
            kind_of(setting),
            setting["description"],
            bool(setting.get("secret")),
            setting.get("enum", []),
        )
        for name, setting in config["properties"].items()
    }
    assert expected.keys() - SETTINGS["properties"].keys() == SHARED.keys()
    assert found == expected
    assert list(found) == list(expected)


def test_meltano_selects_what_is_on_by_default(plugin: dict[str, Any]) -> None:
    assert plugin["select"] == [f"{s.name}.*" for s in STREAMS if s.selected_by_default]


def test_the_table_of_streams_says_what_each_costs() -> None:
    head, _, *lines = (line.strip("| ").split(" | ") for line in tables.streams().splitlines())
    rows = {line[0].strip("`"): dict(zip(head[1:], line[1:], strict=True)) for line in lines}
    found = {
        name: (rows[name]["replication"], rows[name]["on by default"], rows[name]["requests"])
        for name in EXPECTED
    }
    assert found == EXPECTED


def test_meltano_requires_what_the_code_requires(plugin: dict[str, Any]) -> None:
    assert plugin["settings_group_validation"] == [SETTINGS["required"]]


def test_meltano_has_the_capabilities_of_the_code(plugin: dict[str, Any]) -> None:
    assert sorted(plugin["capabilities"]) == sorted(c.value for c in TapLev.capabilities)


def test_about_knows_every_setting_and_the_key_is_a_secret() -> None:
    run = run_tap(args=["--about", "--format=json"])
    about = json.loads("".join(run.lines))
    properties = about["settings"]["properties"]
    assert SETTINGS["properties"].keys() <= properties.keys()
    assert properties["api_key"]["secret"] is True


def test_about_as_markdown_has_every_setting_with_its_default_and_meaning() -> None:
    run = run_tap(args=["--about", "--format=markdown"])
    page = "".join(run.lines)
    assert run.exit_code == 0
    about = TapLev._get_about_info()
    for name, setting in about.settings["properties"].items():
        required, default = name in SETTINGS["required"], setting.get("default")
        row = f"\n| {name} | {required} | {default} | {setting['description']} |\n"
        assert page.count(row) == 1, name
    assert all(f"`{capability.value}`" in page for capability in about.capabilities)
