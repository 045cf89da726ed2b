"""The whole way: a local Lev, the tap, real targets, a real PostgreSQL, a real Meltano."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg.rows
import pytest
from psycopg import sql

from demo.meltano import MeltanoProject, plugin_program
from demo.postgres import running_postgres
from tap_lev import timestamps
from tap_lev.stream import IncrementalStream
from tap_lev.streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.postgres import Database, Server
    from lev_sandbox import SandboxServer
    from tap_lev.stream import LevStream
    from tests.conftest import StartLev

SCHEMA = "lev_sandbox"
HOUR = 3600
CORE = [stream.name for stream in STREAMS if issubclass(stream, IncrementalStream)]

Table = dict[Any, dict[str, Any]]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server."""
    with running_postgres() as server:
        yield server


def in_lev(lev: SandboxServer, stream: type[LevStream]) -> Table:
    """The rows of a stream as Lev says them, by key."""
    name = {"account_team_members": "account_team"}.get(stream.name, stream.name)
    rows = lev.sandbox.rows(name, include=",".join(stream.includes))
    return {row[stream.primary_keys[0]]: row for row in rows}


def in_postgres(database: Database, stream: type[LevStream]) -> Table:
    """The rows of a stream in PostgreSQL, by key, in JSON's types."""
    query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(SCHEMA, stream.name))
    with database.connect(row_factory=psycopg.rows.dict_row) as connection:
        found = connection.execute(query).fetchall()
    rows = {row[stream.primary_keys[0]]: _plain(row) for row in found}
    assert len(rows) == len(found), f"{stream.name} has a key twice"
    return rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    def plain(value: object) -> object:
        match value:
            case dt.datetime():
                return timestamps.render(value.replace(tzinfo=value.tzinfo or dt.UTC))
            case decimal.Decimal():
                return float(value)
        return value

    return {n: plain(v) for n, v in row.items() if not n.startswith("_sdc_") and n != "as_of"}


def assert_equal(lev: SandboxServer, database: Database) -> None:
    """Hold every table against Lev, row by row."""
    for stream in STREAMS:
        expected = {
            key: dict.fromkeys(stream.schema["properties"].keys() - {"as_of"}) | row
            for key, row in in_lev(lev, stream).items()
        }
        assert in_postgres(database, stream) == expected, stream.name


def change(lev: SandboxServer) -> dict[str, int]:
    """Change, add and archive rows.

    Returns:
        How many rows of each stream are not what they were.
    """
    box = lev.sandbox
    changed = {stream: {row["id"] for row in box.touch(stream, 7)} for stream in CORE}
    for stream in ("deals", "contacts", "companies"):
        changed[stream].add(box.add(stream)["id"])
    changed["deals"].add(box.archive("deals", 3)["id"])
    changed["placements"].add(box.archive("placements", 5)["id"])
    return {stream: len(ids) for stream, ids in changed.items()}


def test_meltano_into_postgres_twice(start_lev: StartLev, postgres: Server, tmp_path: Path) -> None:
    lev = start_lev(contacts=450, null_updated_every=40)
    lev.sandbox.switch(updated_at_filter={"companies": "ignored", "placements": "422"})
    database = postgres.create_database()
    project = MeltanoProject(
        tmp_path,
        {
            "TAP_LEV_API_URL": lev.url,
            "TAP_LEV_API_KEY": lev.key,
            **database.environment(),
        },
    )
    first = project.run("tap-lev", "target-postgres")
    assert first.code == 0, first.tail()
    assert_equal(lev, database)
    bookmarks = project.state()["singer_state"]["bookmarks"]
    assert set(bookmarks) == {stream.name for stream in STREAMS}

    lev.sandbox.clock.advance(HOUR)
    changed = change(lev)
    dateless = {
        stream: sum(row["updated_at"] is None for row in lev.sandbox.rows(stream))
        for stream in ("companies", "placements")
    }
    lev.sandbox.clear_log()
    second = project.run("tap-lev", "target-postgres")

    assert second.code == 0, second.tail()
    assert_equal(lev, database)
    loaded = second.records("target-postgres")
    for stream in CORE:
        extra = dateless.get(stream, 0)  # where Lev does not filter, these come each time
        assert changed[stream] <= loaded[stream] <= changed[stream] + extra
    (contacts,) = [e for e in lev.sandbox.requests if e.path == "/contacts"]
    bound = timestamps.parse(dict(contacts.query)["filter[updated_at][gte]"])
    bookmark = timestamps.parse(bookmarks["contacts"]["replication_key_value"])
    assert bound is not None
    assert bookmark is not None
    assert bookmark - bound == dt.timedelta(seconds=300)

    assert lev.key not in second.log.read_text(encoding="utf-8")
    counters = lev.sandbox.counters()
    assert not any(counters[kind] for kind in ("violations", "unknown", "unsuitable"))


def test_meltano_goes_on_after_a_run_that_failed(
    start_lev: StartLev, postgres: Server, tmp_path: Path
) -> None:
    lev = start_lev(contacts=90)
    database = postgres.create_database()
    project = MeltanoProject(
        tmp_path,
        {
            "TAP_LEV_API_URL": lev.url,
            "TAP_LEV_API_KEY": lev.key,
            "TAP_LEV_PAGE_SIZE": "20",
            **database.environment(),
        },
    )
    lev.sandbox.fault("status", route="/contacts", status=403, at=4, times=None)
    first = project.run("tap-lev", "target-postgres")
    assert first.code != 0
    assert "The stream contacts is not complete" in first.log.read_text(encoding="utf-8")
    walk = project.state()["singer_state"]["bookmarks"]["contacts"]["walk"]
    lev.sandbox.clear_faults()
    lev.sandbox.clear_log()

    second = project.run("tap-lev", "target-postgres")

    assert second.code == 0, second.tail()
    assert_equal(lev, database)
    asked = [dict(e.query) for e in lev.sandbox.requests if e.path == "/contacts"]
    assert asked[0]["cursor"] == walk["cursor"]
    assert len(asked) == 2


def test_a_pipe_into_a_file_with_a_state_kept_by_hand(start_lev: StartLev, tmp_path: Path) -> None:
    lev = start_lev(contacts=450)
    target = plugin_program("loaders", "target-jsonl")
    state = tmp_path / "state.json"
    state.touch()
    (tmp_path / "target.json").write_text('{"do_timestamp_file": false}')
    script = (
        "set -o pipefail; "
        f"'{sys.executable}' -m tap_lev --state state.json "
        f"| '{target}' --config target.json >> states.jsonl && "
        "tail -n 1 states.jsonl > state.json"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TAP_LEV_API_URL": lev.url,
        "TAP_LEV_API_KEY": lev.key,
    }

    def run() -> dict[str, int]:
        before = {path.stem: len(path.read_text().splitlines()) for path in written()}
        subprocess.run(["/bin/bash", "-c", script], cwd=tmp_path, env=environment, check=True)
        after = {path.stem: len(path.read_text().splitlines()) for path in written()}
        return {stem: lines - before.get(stem, 0) for stem, lines in after.items()}

    def written() -> list[Path]:
        return [path for path in tmp_path.glob("*.jsonl") if path.stem != "states"]

    first = run()
    assert first == {stream.name: len(in_lev(lev, stream)) for stream in STREAMS}
    lev.sandbox.clock.advance(HOUR)
    changed = change(lev)
    second = run()
    assert {stream: second[stream] for stream in CORE} == changed
