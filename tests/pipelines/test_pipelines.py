"""The whole way: a local Lev, the tap, real targets, a real PostgreSQL, a real Meltano."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devtools.meltano import MeltanoProject, plugin_program
from tap_lev import timestamps
from tests.pipelines.tables import (
    CORE,
    DEFAULT,
    SCHEMA,
    SCHEMAS,
    SMALL,
    UNPACED,
    in_lev,
    in_postgres,
)
from tests.pipelines.targets import in_duckdb, needs_duckdb
from tests.support.expected_rows import ALL, OTHER_NAMES, QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from devtools.postgres import Database, Server
    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev

HOUR = 3600
TYPES = {
    "string": "text",
    "integer": "int8",
    "number": "numeric",
    "boolean": "bool",
    "object": "jsonb",
}
"""What each type of a column is in PostgreSQL."""


def in_sql(column: dict[str, Any]) -> str:
    """What a column is in PostgreSQL: nested ones are JSON, or an array of it or of texts."""
    (kind,) = set(column["type"]) - {"null"}
    if kind == "array":
        texts = "string" in column["items"].get("type", ())
        return "_text" if texts else "_jsonb"
    return "timestamp" if column.get("format") == "date-time" else TYPES[kind]


def assert_equal(lev: SandboxServer, database: Database, streams: Iterable[str] = DEFAULT) -> None:
    """Hold every table against Lev, row by row."""
    for stream in streams:
        expected = in_lev(lev, stream)
        assert expected, f"there is nothing to compare of {stream}"
        assert in_postgres(database, stream) == expected, stream


def types_in_postgres(database: Database, stream: str) -> dict[str, str]:
    """The types of a table's columns."""
    query = (
        "SELECT column_name, udt_name FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s"
    )
    with database.connect() as connection:
        return dict(connection.execute(query, (SCHEMA, stream)).fetchall())


def access(lev: SandboxServer) -> dict[str, str]:
    """What the tap has to be told to get at a Lev."""
    return {
        "TAP_LEV_API_URL": lev.url,
        "TAP_LEV_API_KEY": lev.key,
        **{f"TAP_LEV_{name.upper()}": str(value) for name, value in UNPACED.items()},
    }


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
        {**access(lev), **database.environment()},
    )
    first = project.run("tap-lev", "target-postgres")
    assert first.code == 0, first.tail()
    assert_equal(lev, database)
    bookmarks = project.state()["singer_state"]["bookmarks"]
    assert set(bookmarks) == set(DEFAULT)

    newest = max(
        moment
        for row in lev.sandbox.rows("contacts")
        if (moment := timestamps.parse(row["updated_at"])) is not None
    )
    lev.sandbox.clock.advance(HOUR)
    changed = change(lev)
    lev.sandbox.touch("deal_properties", 3)
    dateless = {
        stream: sum(row["updated_at"] is None for row in lev.sandbox.rows(stream))
        for stream in ("companies", "placements", "deals")
    }
    lev.sandbox.clear_log()
    second = project.run("tap-lev", "target-postgres")

    assert second.code == 0, second.tail()
    assert_equal(lev, database)
    loaded = second.records("target-postgres")
    for stream in CORE:
        # Where Lev does not filter, or is not asked to, these come each time.
        extra = dateless.get(stream, 0)
        assert changed[stream] <= loaded[stream] <= changed[stream] + extra
    for stream in ("deal_properties", "deal_team_members", "deal_pipelines"):
        assert loaded[stream] == len(in_lev(lev, stream))
    (contacts,) = [e for e in lev.sandbox.requests if e.path == "/contacts"]
    bound = timestamps.parse(dict(contacts.query)["filter[updated_at][gte]"])
    bookmark = timestamps.parse(bookmarks["contacts"]["replication_key_value"])
    assert bound is not None
    assert bookmark is not None
    # The bound covers the overlap window, and a row of the first run, which proves the filter.
    assert bound <= min(bookmark - dt.timedelta(seconds=300), newest - dt.timedelta(seconds=1))

    assert lev.key not in second.log.read_text(encoding="utf-8")
    counters = lev.sandbox.counters()
    assert not any(counters[kind] for kind in ("violations", "unknown", "unsuitable"))


def test_every_stream_through_meltano(
    start_lev: StartLev, postgres: Server, tmp_path: Path
) -> None:
    lev = start_lev(**SMALL)
    database = postgres.create_database()
    environment = {
        **access(lev),
        **database.environment(),
        "TAP_LEV__SELECT": json.dumps([f"{stream}.*" for stream in ALL]),
        "TAP_LEV_PAGE_SIZE": "5",
        **{f"TAP_LEV_{name.upper()}": json.dumps(values) for name, values in QUERIES.items()},
    }
    project = MeltanoProject(tmp_path, environment)
    first = project.run("tap-lev", "target-postgres")

    assert first.code == 0, first.tail()
    assert_equal(lev, database, ALL)
    assert set(project.state()["singer_state"]["bookmarks"]) == set(ALL)
    for stream in ALL:
        kinds = types_in_postgres(database, stream)
        for name, column in SCHEMAS[stream].items():
            assert kinds[name] == in_sql(column), f"{stream}.{name}"

    lev.sandbox.clock.advance(HOUR)
    for stream in (*CORE, "term_sheets", "checklist_tasks", "company_notes", "lender_programs"):
        lev.sandbox.touch(stream, 2)
    second = project.run("tap-lev", "target-postgres")

    assert second.code == 0, second.tail()
    assert_equal(lev, database, ALL)
    counters = lev.sandbox.counters()
    assert not any(counters[kind] for kind in ("violations", "unknown", "unsuitable"))


def test_a_refresh_through_meltano_brings_its_rows_only(
    start_lev: StartLev, postgres: Server, tmp_path: Path
) -> None:
    lev = start_lev(**SMALL)
    database = postgres.create_database()
    environment = {
        **access(lev),
        **database.environment(),
        "TAP_LEV__SELECT": json.dumps(
            [f"{stream}.*" for stream in (*DEFAULT, "term_sheets", "contact_notes")]
        ),
    }
    children = ("deal_properties", "deal_team_members", "deal_pipelines", "term_sheets")
    project = MeltanoProject(tmp_path, environment)
    assert project.run("tap-lev", "target-postgres").code == 0
    state = project.state()
    tables = {stream: in_postgres(database, stream) for stream in (*CORE, *children)}

    lev.sandbox.clock.advance(HOUR)
    for stream in (OTHER_NAMES.get(stream, stream) for stream in tables):
        lev.sandbox.touch(stream, lev.sandbox.count(stream))
    lev.sandbox.clear_log()
    refresh = MeltanoProject(
        tmp_path, environment | {"TAP_LEV_REFRESH": '{"deals": [2, 5], "companies": [3]}'}
    ).run("tap-lev", "target-postgres")

    assert refresh.code == 0, refresh.tail()
    named = {"deals": {2, 5}, "companies": {3}}
    for stream, before in tables.items():
        now = in_lev(lev, stream)
        expected = {
            key: now[key]
            if (stream in named and row["id"] in named[stream])
            or (stream in children and row["deal_id"] in named["deals"])
            else row
            for key, row in before.items()
        }
        assert in_postgres(database, stream) == expected, stream
        assert (expected != before) == (stream in {*named, *children}), stream
    assert {entry.path for entry in lev.sandbox.requests} == {
        "/me", "/companies/3", "/deals/2", "/deals/5",
        "/deals/2/term-sheets", "/deals/5/term-sheets",
    }  # fmt: skip
    assert project.state() == state

    assert project.run("tap-lev", "target-postgres").code == 0
    assert_equal(lev, database, tables)


def test_meltano_goes_on_after_a_run_that_failed(
    start_lev: StartLev, postgres: Server, tmp_path: Path
) -> None:
    lev = start_lev(contacts=90)
    database = postgres.create_database()
    project = MeltanoProject(
        tmp_path,
        {
            **access(lev),
            **database.environment(),
            "TAP_LEV_PAGE_SIZE": "20",
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


@needs_duckdb
def test_meltano_into_duckdb(start_lev: StartLev, tmp_path: Path) -> None:
    lev = start_lev(**SMALL)
    run = MeltanoProject(tmp_path, access(lev), name="prod").run("tap-lev", "target-duckdb")
    assert run.code == 0, run.tail()
    landed = in_duckdb(tmp_path / "warehouse.duckdb", "lev", DEFAULT)
    assert landed == {stream: in_lev(lev, stream) for stream in DEFAULT}


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
        **access(lev),
    }

    def run() -> dict[str, int]:
        before = {path.stem: len(path.read_text().splitlines()) for path in written()}
        subprocess.run(["/bin/bash", "-c", script], cwd=tmp_path, env=environment, check=True)
        after = {path.stem: len(path.read_text().splitlines()) for path in written()}
        return {stem: lines - before.get(stem, 0) for stem, lines in after.items()}

    def written() -> list[Path]:
        return [path for path in tmp_path.glob("*.jsonl") if path.stem != "states"]

    first = run()
    assert first == {stream: len(in_lev(lev, stream)) for stream in DEFAULT}
    lev.sandbox.clock.advance(HOUR)
    changed = change(lev)
    second = run()
    assert {stream: second[stream] for stream in CORE} == changed
