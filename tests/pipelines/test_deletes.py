"""What Lev no longer has leaves PostgreSQL, and nothing else does. docs/deletes.md tells how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg.rows
import pytest
from psycopg import sql

from tap_lev.streams import STREAMS
from tap_lev.streams.lists import IncrementalStream
from tests.pipelines.shell import Shell, commands
from tests.pipelines.tables import CORE, SCHEMA, UNPACED, in_lev, in_postgres
from tests.pipelines.targets import new_target, pipeline
from tests.support.expected_rows import KEYS
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import EAGER_STATES

if TYPE_CHECKING:
    from devtools.postgres import Database, Server
    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev
    from tests.pipelines.targets import Target

PAGE = (Path(__file__).parents[2] / "docs" / "deletes.md").read_text(encoding="utf-8")
WHOLE, CATALOG, REFRESH, PIPED_REFRESH = commands("docs/deletes.md")
USUAL = "meltano run tap-lev target-postgres"
SECONDS = 60
MIRRORED = ("contacts", "deals", "deal_properties", "asset_types", "placement_notes")
FEW = {"deals": 14, "placements": 9, "contacts": 40, "companies": 8}


def whole_catalog() -> dict[str, Any]:
    """A catalog that reads everything as full tables."""
    catalog = catalog_of(*MIRRORED)
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    return catalog


def remove(lev: SandboxServer) -> None:
    """Remove rows in Lev, later than all that happened."""
    lev.sandbox.clock.advance(60)
    for stream in MIRRORED:
        table = lev.sandbox.store.table(stream)
        for number in table.listed()[1::9]:
            table.remove(number)


def marked(target: Target, stream: str) -> set[tuple[Any, ...]]:
    """The keys of rows that PostgreSQL has marked as deleted."""
    keys = sql.SQL(", ").join(map(sql.Identifier, KEYS[stream]))
    query = sql.SQL("SELECT {} FROM {} WHERE _sdc_deleted_at IS NOT NULL").format(
        keys, sql.Identifier(SCHEMA, stream)
    )
    names = {"user", "password", "host", "port"}
    options = {name: value for name, value in target.settings.items() if name in names}
    with psycopg.connect(**options, dbname=target.settings["database"]) as connection:
        return set(connection.execute(query).fetchall())


def run(lev: SandboxServer, target: Target) -> None:
    """Run a pipeline to its end."""
    lev.sandbox.clock.advance(60)
    with pipeline(settings(lev), target, whole_catalog()) as (tap, loader):
        assert tap.popen.wait(SECONDS) == 0, tap.stderr
        assert loader.wait(SECONDS) == 0, target.log[-2000:]


def settings(lev: SandboxServer) -> dict[str, Any]:
    """Settings that have lists end with ACTIVATE_VERSION, and small pages."""
    return config_of(lev, page_size=5, emit_activate_version_messages=True, **UNPACED)


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_a_full_run_that_is_killed_removes_nothing_that_exists_and_then_what_is_gone(
    start_lev: StartLev,
    postgres: Server,
    tmp_path: Path,
    hard: bool,  # noqa: FBT001
) -> None:
    lev = start_lev(**FEW)
    target = new_target("target-postgres", tmp_path, postgres, batch_size_rows=6, hard_delete=hard)
    run(lev, target)
    before = target.tables(MIRRORED)
    remove(lev)
    after = {stream: in_lev(lev, stream) for stream in MIRRORED}
    for stream in MIRRORED:
        assert after[stream].keys() < before[stream].keys(), stream

    for victim in ("tap", "target"):
        lev.sandbox.clock.advance(60)
        lev.sandbox.fault("hang", route="/contacts", at=2)
        lev.sandbox.fault("hang", route="/placements/{placement_id}/notes", at=4)
        lev.sandbox.clear_log()
        with pipeline(settings(lev), target, whole_catalog(), EAGER_STATES) as (tap, loader):
            while [entry.fault for entry in lev.sandbox.requests].count("hang") < 2:
                assert tap.popen.poll() is None, tap.stderr
            (tap.popen if victim == "tap" else loader).kill()
            tap.popen.kill()
            loader.wait(SECONDS)
        lev.sandbox.clear_faults()
        assert target.state is not None
        for stream, table in target.tables(MIRRORED).items():
            assert after[stream].keys() <= table.keys(), f"{stream} after the kill of the {victim}"
            if not hard:
                assert not marked(target, stream) & after[stream].keys()
        for stream in ("contacts", "placement_notes"):
            assert target.state["bookmarks"][stream]["walk"]["version"]
            assert target.tables([stream])[stream].keys() == before[stream].keys()

    assert target.state is not None
    versions = target.state["bookmarks"]["contacts"]["walk"]
    lev.sandbox.clear_log()
    run(lev, target)
    asked = next(entry for entry in lev.sandbox.requests if entry.path == "/contacts")
    assert dict(asked.query)["cursor"] == versions["cursor"]
    for stream, table in target.tables(MIRRORED).items():
        gone = before[stream].keys() - after[stream].keys()
        if hard:
            assert table == after[stream], stream
        else:
            assert {key: table[key] for key in after[stream]} == after[stream], stream
            assert marked(target, stream) == gone, stream


def test_a_row_that_returns_is_no_longer_marked(
    start_lev: StartLev, postgres: Server, tmp_path: Path
) -> None:
    lev = start_lev(**FEW)
    target = new_target("target-postgres", tmp_path, postgres, hard_delete=False)
    lev.sandbox.hide("contacts", 4)
    run(lev, target)
    lev.sandbox.show("contacts", 4)
    lev.sandbox.hide("contacts", 5)
    run(lev, target)
    assert marked(target, "contacts") == {(5,)}
    lev.sandbox.show("contacts", 5)
    run(lev, target)
    assert marked(target, "contacts") == set()
    assert target.tables(["contacts"])["contacts"] == in_lev(lev, "contacts")


@pytest.fixture
def lev(start_lev: StartLev) -> SandboxServer:
    """A small account."""
    return start_lev(**FEW)


@pytest.fixture
def database(postgres: Server) -> Database:
    """A database."""
    return postgres.create_database()


@pytest.fixture
def shell(lev: SandboxServer, database: Database, tmp_path: Path) -> Shell:
    """A shell."""
    return Shell(lev, database, tmp_path)


def contacts(database: Database) -> set[int]:
    """The ids in the table."""
    return {number for (number,) in in_postgres(database, "contacts")}


def test_the_full_run_of_the_page_removes_what_the_usual_run_leaves(
    lev: SandboxServer, database: Database, shell: Shell
) -> None:
    shell.well(USUAL)
    lev.sandbox.clock.advance(3600)
    for stream in CORE:
        lev.sandbox.remove(stream, 2)
    shell.well(USUAL)
    assert all((2,) in in_postgres(database, stream) for stream in CORE)

    # Broken off in the middle, and a usual run before it goes on.
    lev.sandbox.fault("status", route="/contacts", status=403, at=4, times=None)
    lev.sandbox.clock.advance(3600)
    assert shell(WHOLE).returncode != 0
    assert {4, 2} <= contacts(database)
    lev.sandbox.clear_faults()
    lev.sandbox.touch("contacts", ids=[4])
    shell.well(USUAL)
    lev.sandbox.clock.advance(3600)
    shell.well(WHOLE)
    for stream in CORE:
        assert in_postgres(database, stream) == in_lev(lev, stream), stream

    lev.sandbox.clear_log()
    shell.well(USUAL)
    (asked,) = [entry for entry in lev.sandbox.requests if entry.path == "/contacts"]
    assert "filter[updated_at][gte]" in dict(asked.query)


def test_a_catalog_for_a_full_run_without_meltano(
    lev: SandboxServer, database: Database, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "state.json").touch()
    (tmp_path / "target.json").write_text(json.dumps({
        "host": database.host, "port": database.port, "user": database.user,
        "password": database.password, "database": database.name,
        "default_target_schema": SCHEMA, "hard_delete": True,
    }))  # fmt: skip
    versions = {"TAP_LEV_EMIT_ACTIVATE_VERSION_MESSAGES": "true"}
    shell.well(CATALOG, **versions)
    assert contacts(database)
    lev.sandbox.clock.advance(3600)
    lev.sandbox.remove("contacts", 2)
    shell.well(CATALOG, **versions)
    assert in_postgres(database, "contacts") == in_lev(lev, "contacts")

    lev.sandbox.archive("deals", 2)
    shell.well(PIPED_REFRESH, **versions)
    for stream in ("deals", "deal_properties"):
        assert in_postgres(database, stream) == in_lev(lev, stream), stream


def test_a_refresh_brings_what_was_archived_silently_and_removes_nothing(
    lev: SandboxServer, database: Database, shell: Shell
) -> None:
    shell.well(USUAL)
    lev.sandbox.clock.advance(3600)
    lev.sandbox.switch(archive_moves_updated_at=False)
    lev.sandbox.archive("deals", 2)
    shell.well(USUAL)
    assert not in_postgres(database, "deals")[2,]["archived"]
    shell.well(REFRESH)
    assert in_postgres(database, "deals")[2,]["archived"]

    lev.sandbox.remove("deals", 2)
    assert shell(REFRESH).returncode != 0
    assert (2,) in in_postgres(database, "deals")


def test_the_page_names_the_incremental_streams() -> None:
    names = [f"`{stream.name}`" for stream in STREAMS if issubclass(stream, IncrementalStream)]
    assert f"({', '.join(names)})" in PAGE
