"""A target is named with the same install line everywhere, and with the one that works."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
LOADERS = {loader["name"]: loader["pip_url"] for loader in PROJECT["plugins"]["loaders"]}
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def needed(loader: str) -> set[str]:
    """What a target needs: its package, and bounds on others."""
    requirements = map(Requirement, GROUPS[loader])
    return {f"{requirement.name}{requirement.specifier}" for requirement in requirements}


LINES = {loader: needed(loader) for loader in LOADERS}


def installed(page: Path) -> list[set[str]]:
    """What the install lines of a page install, of those that install a target."""
    lines = re.findall(r"pip install ([^\n`]+)", page.read_text(encoding="utf-8"))
    found = [set(shlex.split(line)) for line in lines]
    return [line for line in found if any("target" in word for word in line)]


def test_targets_are_needed_by_their_exact_names() -> None:
    assert {
        "target-postgres": {"meltanolabs-target-postgres"},
        "target-jsonl": {"target-jsonl"},
        "target-duckdb": {"target-duckdb", "duckdb<1.3"},
        "target-csv": {"meltanolabs-target-csv"},
    } == LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_installs_a_target_as_it_works(page: Path) -> None:
    for line in installed(page):
        assert line in LINES.values(), line


@pytest.mark.parametrize("name", ["README.md", "docs/targets.md"])
def test_the_pages_that_lead_to_targets_install_each(name: str) -> None:
    found = installed(ROOT / name)
    assert sorted(map(sorted, found)) == sorted(map(sorted, LINES.values()))


def test_a_project_of_its_own_is_given_the_same_lines() -> None:
    page = (ROOT / "docs" / "meltano.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\| `(target-\w+)` \| `([^`]+)` \|$", page, re.MULTILINE))
    assert {loader: set(line.split()) for loader, line in found.items()} == LINES


@pytest.mark.parametrize("loader", LOADERS)
def test_the_project_installs_pinned_versions_within_the_bounds(loader: str) -> None:
    assert LOADERS[loader] == f"--no-deps -r requirements/{loader}.txt"
    text = (ROOT / "requirements" / f"{loader}.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
    for need in map(Requirement, LINES[loader]):
        assert Version(pinned[need.name]) in need.specifier
