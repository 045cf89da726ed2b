"""The commands of the docs: each is run by some test, or is one that a test run is made of."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.project.test_targets import LINES

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT)
    for folder in (".", "docs", "sandbox")
    for path in (ROOT / folder).glob("*.md")
)
RUN = {
    "README.md": "pipelines/test_usage.py",
    "docs/container.md": "pipelines/test_container.py",
    "docs/deletes.md": "pipelines/test_deletes.py",
    "docs/meltano.md": "pipelines/test_meltano.py",
    "docs/operations.md": "pipelines/test_operations.py",
}
"""Pages whose commands are run as they stand, and where."""
PROGRAMS = {
    "crashes": "tests.pipelines.crashes",
    "fuzz": "tests.hostile",
    "lev-sandbox": "lev_sandbox",
    "torture": "tests.torture",
}
"""What runs for too long here: its arguments must be understood."""
HERE = {".venv/bin/python -m devtools.catalog_snapshot", ".venv/bin/python -m devtools.tables"}
"""What tests/project/test_schemas.py and tests/project/test_readme.py run."""


def commands(page: Path) -> list[str]:
    """The command lines of a page that no other test runs."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    prompts = [line[2:] for line in lines if line.startswith("$ ")]
    return [line.partition("  #")[0].strip() for line in prompts or lines]


OTHERS = [
    command
    for page in PAGES
    if str(page) not in RUN
    for command in commands(page)
    if command not in {line for done in RUN for line in commands(Path(done))}
]


class UnderstoodError(Exception):
    """The arguments were understood."""


@pytest.mark.parametrize("command", sorted(set(OTHERS)))
def test_a_command_that_is_not_run_can_be(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(
            ["make", "--dry-run", "--always-make", *words[1:]],  # noqa: S607
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        words = [words[1], *(word for more in words[2:] for word in more.split("=", 1)[1].split())]
    if words[:2] == ["pip", "install"]:
        assert set(words[2:]) in LINES.values()
        return
    if words[0] not in PROGRAMS:
        assert command.startswith("make ") or " ".join(words[:3]) in HERE
        return

    understand: Any = argparse.ArgumentParser.parse_args

    def parse_args(*given: Any, **more: Any) -> None:  # noqa: ANN401
        understand(*given, **more)
        raise UnderstoodError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.delitem(sys.modules, PROGRAMS[words[0]], raising=False)
    with pytest.raises(UnderstoodError):
        runpy.run_module(PROGRAMS[words[0]], run_name="__main__")


@pytest.mark.parametrize(("page", "test"), RUN.items())
def test_where_the_commands_of_a_page_are_run(page: str, test: str) -> None:
    assert Path(page) in PAGES
    assert Path(page).name in (ROOT / "tests" / test).read_text(encoding="utf-8")
