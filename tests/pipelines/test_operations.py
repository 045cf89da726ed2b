"""The recipes of docs/operations.md, one after the other, as an operator would come to them."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tap_lev import timestamps
from tests.pipelines.shell import Shell, recipes
from tests.pipelines.tables import CORE, DEFAULT, in_lev, in_postgres

if TYPE_CHECKING:
    from pathlib import Path

    from devtools.postgres import Database, Server
    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev

FEW = {"deals": 8, "placements": 9, "contacts": 30, "companies": 8}
HOUR, OVERLAP = 3600, 300
FILTER = "filter[updated_at][gte]"


class Operator:
    """Follows the page, and keeps an account of what was not followed yet."""

    def __init__(self, lev: SandboxServer, database: Database, directory: Path) -> None:
        self.lev = lev
        self.database = database
        self.shell = Shell(lev, database, directory, "prod")
        self.directory = directory
        self.left = recipes("docs/operations.md")

    def take(self, heading: str) -> list[str]:
        """Take the commands of a section."""
        return self.left.pop(heading)

    def follow(self, heading: str, **more: str) -> list[str]:
        """Run the commands of a section, which end well, and return what each printed."""
        return [self.shell.well(command, **more) for command in self.take(heading)]

    def later(self) -> None:
        """Let an hour pass."""
        self.lev.sandbox.clock.advance(HOUR)
        self.lev.sandbox.clear_log()

    def asked(self, path: str) -> list[dict[str, str]]:
        """The parameters of the requests to a path."""
        return [dict(entry.query) for entry in self.lev.sandbox.requests if entry.path == path]

    def bookmarks(self, suffix: str = "") -> dict[str, Any]:
        """What the state holds."""
        found: dict[str, Any] = self.shell.project.state(suffix=suffix)["singer_state"]["bookmarks"]
        return found

    def assert_equal(self) -> None:
        """Hold the tables against Lev."""
        for stream in DEFAULT:
            assert in_postgres(self.database, stream) == in_lev(self.lev, stream), stream


@pytest.fixture
def operator(start_lev: StartLev, postgres: Server, tmp_path: Path) -> Operator:
    """An operator of a small account."""
    return Operator(start_lev(**FEW), postgres.create_database(), tmp_path)


def test_every_recipe_does_what_it_says(operator: Operator) -> None:
    (both,) = operator.take("Before the first run")
    checked, planned = map(operator.shell.well, both.splitlines())
    assert all(stream in checked and stream in planned for stream in DEFAULT)
    operator.follow("Run it every hour")
    operator.assert_equal()

    _tell_of_a_failure(operator)
    _finish_what_failed(operator)
    _read_again(operator)
    _move(operator)
    _read_apart(operator)
    _accept_a_gap(operator)
    assert not operator.left, "a recipe that no test follows"


def _tell_of_a_failure(operator: Operator) -> None:
    box = operator.lev.sandbox
    operator.later()
    box.touch("contacts", 30)
    box.fault("status", route="/contacts", status=403, at=3, times=None)
    run, alert = operator.take("Know that it failed")
    assert operator.shell(run).returncode == 1
    said = operator.shell.well(alert)
    (request_id,) = json.loads(said.splitlines()[1].removeprefix("failed: ")).values()
    assert request_id
    assert "429s: 0" in said
    assert operator.follow("Ask Lev about a failure") == [f"request_id {request_id}\n"]
    (fresh,) = operator.follow("Know that it is fresh")
    lines = {line.split()[0]: line for line in fresh.splitlines()}
    assert lines.keys() == set(DEFAULT)
    assert [stream for stream in lines if "in a walk" in lines[stream]] == ["contacts"]
    assert operator.bookmarks()["contacts"]["replication_key_value"] in lines["contacts"]


def _finish_what_failed(operator: Operator) -> None:
    """The stream is still forbidden; then it is not, but the key is another."""
    box = operator.lev.sandbox
    box.fault("status", route="/contacts", status=403)
    operator.follow("A stream is forbidden")
    assert in_postgres(operator.database, "contacts") != in_lev(operator.lev, "contacts")
    assert in_postgres(operator.database, "deals") == in_lev(operator.lev, "deals")

    box.clear_faults()
    box.key = "lev_sk_new"
    (operator.directory / ".env").write_text("TAP_LEV_API_KEY=lev_sk_old\n", encoding="utf-8")
    del operator.shell.project.environment["TAP_LEV_API_KEY"]
    assert operator.shell("meltano run tap-lev target-postgres").returncode == 1
    operator.follow("Lev refuses the key")
    operator.assert_equal()
    operator.later()
    operator.follow("Lev answers 429 again and again")
    operator.assert_equal()


def _read_again(operator: Operator) -> None:
    """Once more: a row, what is dated back, a stream, everything since an earlier state."""
    box, shell = operator.lev.sandbox, operator.shell
    operator.later()
    one, further = operator.take("Rows are missing or old")
    box.touch("contacts", ids=[7])
    shell.well(one)
    assert [entry.path for entry in box.requests if "contact" in entry.path] == ["/contacts/7"]
    operator.assert_equal()

    moment = timestamps.parse(box.timestamp())
    assert moment is not None
    earlier = timestamps.render(moment - dt.timedelta(hours=9))
    box.update("contacts", 9, first_name="Imported", updated_at=earlier)
    shell.well("meltano run tap-lev target-postgres")
    assert in_postgres(operator.database, "contacts") != in_lev(operator.lev, "contacts")
    shell.well(further)
    operator.assert_equal()

    operator.later()
    operator.follow("Read one stream from the start")
    assert not any(FILTER in query for query in operator.asked("/contacts"))
    assert all(FILTER in query for query in operator.asked("/companies"))
    operator.assert_equal()

    keep, run, restore, again = operator.take("Go back to an earlier state")[0].splitlines()
    shell.well(keep)
    before = operator.bookmarks()
    operator.later()
    box.touch("contacts", 4)
    shell.well(run)
    operator.assert_equal()
    assert operator.bookmarks() != before
    shell.well(restore)
    assert operator.bookmarks() == before
    operator.later()
    shell.well(again)
    # A row that proves the filter may move the bound back, never forward.
    latest = bound_after(before["companies"])
    assert all(query[FILTER] <= latest for query in operator.asked("/companies"))
    operator.assert_equal()


def _move(operator: Operator) -> None:
    """To another machine, and to another address."""
    away, there = operator.take("Move to another machine")
    operator.shell.well(away)
    moved = operator.bookmarks()
    second = operator.directory / "another"
    second.mkdir()
    (second / "state.json").write_bytes((operator.directory / "state.json").read_bytes())
    other = Shell(operator.lev, operator.database, second, "prod")
    other.well(there)
    operator.later()
    other.well("meltano run tap-lev target-postgres")
    latest = bound_after(moved["contacts"])
    assert all(query[FILTER] <= latest for query in operator.asked("/contacts"))

    (command,) = operator.take("Move to another address of Lev")
    address = re.compile(r"https://\S+")
    assert address.search(command)
    said = other.well(address.sub(operator.lev.url, command))
    assert all(stream in said for stream in DEFAULT)


def _read_apart(operator: Operator) -> None:
    """What has a run of its own."""
    box = operator.lev.sandbox
    usual = operator.bookmarks()
    operator.follow("Backfill what is large")
    assert operator.bookmarks("notes").keys() == {"deal_notes"}
    assert operator.bookmarks() == usual
    notes = in_lev(operator.lev, "deal_notes")
    assert in_postgres(operator.database, "deal_notes") == notes

    operator.later()
    for stream in CORE:
        box.remove(stream, 2)
    operator.follow("Add a column")
    assert (2,) in in_postgres(operator.database, "contacts")
    operator.follow("Remove what Lev no longer has")
    operator.assert_equal()


def _accept_a_gap(operator: Operator) -> None:
    """One deal's documents are refused, run after run."""
    documents = {"TAP_LEV__SELECT": '["documents.*"]'}
    operator.later()
    operator.lev.sandbox.poison("deals", 5, "no_children", 403)
    assert operator.shell("meltano run tap-lev target-postgres", **documents).returncode == 1
    operator.follow("A row cannot be read", **documents)
    operator.lev.sandbox.cure()


def bound_after(entry: dict[str, Any]) -> str:
    """The lower bound of the run that goes on from a state."""
    bookmark = timestamps.parse(entry["replication_key_value"])
    assert bookmark is not None
    return timestamps.render(bookmark - dt.timedelta(seconds=OVERLAP))
