"""The commands of README.md, as a newcomer would come to them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from devtools.meltano import plugin_program
from tests.pipelines.shell import Shell, recipes
from tests.pipelines.tables import DEFAULT, in_lev, in_postgres

if TYPE_CHECKING:
    from pathlib import Path

    from devtools.postgres import Server
    from tests.conftest import StartLev

ENOUGH = {"deals": 102, "placements": 9, "contacts": 78, "companies": 5}
"""Rows for the ids that the page names."""
ELSEWHERE = {"make demo", "meltano install"}
"""What the workflow of GitHub runs, and what makes the environment that this runs in."""


def test_each_command_does_what_the_page_says(
    start_lev: StartLev, postgres: Server, tmp_path: Path
) -> None:
    lev, database = start_lev(**ENOUGH), postgres.create_database()
    shell = Shell(lev, database, tmp_path, "prod")
    page = recipes("README.md")
    checked, planned = map(shell.well, "".join(page.pop("See what it does")).splitlines())
    assert all(stream in checked and stream in planned for stream in DEFAULT)
    assert page.pop("Try it without a Lev account") == ["make demo\n"]

    install, run = "".join(page.pop("Use it with Meltano")).splitlines()
    assert install in ELSEWHERE
    shell.well(run)
    for stream in DEFAULT:
        assert in_postgres(database, stream) == in_lev(lev, stream), stream

    (refresh,) = page.pop("Streams")
    piped, meltano = refresh.splitlines()
    lev.sandbox.clock.advance(3600)
    lev.sandbox.touch("deals", ids=[101, 102])
    folder = plugin_program("loaders", "target-jsonl").parent
    (tmp_path / "state.json").touch()
    shell.well(f"PATH={folder}:$PATH\n{piped}")
    written = {
        (stream, json.loads(line)["id"])
        for stream in ("deals", "contacts")
        for file in shell.project.directory.glob(f"{stream}*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    }
    assert written == {("deals", 101), ("deals", 102), ("contacts", 78)}
    assert in_postgres(database, "deals") != in_lev(lev, "deals")
    shell.well(meltano)
    assert in_postgres(database, "deals") == in_lev(lev, "deals")

    (pipe,) = page.pop("Use it with any Singer target")
    lines = re.sub(r"lev_sk_\S+", lev.key, pipe)
    assert lev.key in lines
    shell.well(f"PATH={folder}:$PATH\n{lines}")
    lev.sandbox.clear_log()
    shell.well(f"PATH={folder}:$PATH\n{lines}")
    (asked,) = [entry for entry in lev.sandbox.requests if entry.path == "/contacts"]
    assert "filter[updated_at][gte]" in dict(asked.query)
    assert not page, "commands that no test runs"
