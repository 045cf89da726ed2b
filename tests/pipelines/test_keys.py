"""Keys that changed: the SQL of the docs makes an older table one of this release."""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from devtools.meltano import plugin_program
from tests.pipelines.tables import SCHEMA, UNPACED, in_lev
from tests.pipelines.targets import needs_duckdb, new_target
from tests.support.expected_rows import FACT_QUERIES
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import run_tap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devtools.postgres import Server
    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev

STREAMS = ("documents", "index_facts")
FORMER = {"documents": ["id"], "index_facts": ["deal_id", "query", "id"]}


def commands(database: str) -> str:
    """The SQL in the docs for a database."""
    page = Path(__file__).parents[2] / "docs" / "schema-changes.md"
    _, section = page.read_text(encoding="utf-8").split("\n## Keys that changed\n")
    shown = re.search(rf"^{database}.*?```sql\n(.*?)```", section, re.DOTALL | re.MULTILINE)
    assert shown is not None
    return shown[1].replace("lev.", f"{SCHEMA}.")


def lines_of(lev: SandboxServer, **settings: Any) -> list[str]:  # noqa: ANN401
    """Run the tap."""
    config = config_of(lev, **{"fact_queries": FACT_QUERIES, **UNPACED, **settings})
    run = run_tap(config, catalog=catalog_of(*STREAMS))
    assert run.exit_code == 0, run.stderr
    return run.lines


def as_before(line: str) -> str:
    """A message as the earlier release wrote it."""
    message = json.loads(line)
    if message["type"] == "SCHEMA":
        message["key_properties"] = key = FORMER[message["stream"]]
        properties = message["schema"]["properties"]
        properties.pop("query_hash", None)
        message["schema"]["required"] = key
        for name in key:
            properties[name]["type"] = [kind for kind in properties[name]["type"] if kind != "null"]
    message.get("record", {}).pop("query_hash", None)
    return json.dumps(message) + "\n"


def in_several_deals(lines: list[str]) -> list[str]:
    """The messages, with one more: a file that is in another deal, too."""
    records = (m for m in map(json.loads, lines) if m["type"] == "RECORD")
    message = next(m for m in records if m["stream"] == "documents")
    message["record"]["deal_id"] = 999
    return [*lines[:-1], json.dumps(message) + "\n", lines[-1]]


def in_psql(settings: Mapping[str, Any], script: str) -> None:
    names = "host", "port", "user", "password"
    access = {name: settings[name] for name in names} | {"dbname": settings["database"]}
    with psycopg.connect(**access, autocommit=True) as connection:
        connection.execute(script.encode())


def in_duckdb_shell(file: Path, script: str) -> None:
    python = plugin_program("loaders", "target-duckdb").parent / "python"
    code = "import sys, duckdb; duckdb.connect(sys.argv[1]).execute(sys.argv[2])"
    subprocess.run([python, "-c", code, file, script], check=True)


@pytest.mark.parametrize(
    "name", ["target-postgres", pytest.param("target-duckdb", marks=needs_duckdb)]
)
def test_a_table_of_an_earlier_release_goes_on_after_the_sql_of_the_docs(
    start_lev: StartLev, name: str, tmp_path: Path, postgres: Server
) -> None:
    lev = start_lev(deals=4)
    lines = lines_of(lev)
    target = new_target(name, tmp_path, postgres)
    target.load(map(as_before, lines))

    if name == "target-postgres":
        in_psql(target.settings, commands("PostgreSQL"))
    else:
        in_duckdb_shell(tmp_path / str(target.settings["path"]), commands("DuckDB"))
    tables = {stream: in_lev(lev, stream) for stream in STREAMS}
    # The hashes of the SQL are those of the tap.
    assert {stream: target.tables(STREAMS)[stream] for stream in STREAMS} == tables

    target.load(in_several_deals(lines))
    landed = target.tables(STREAMS)
    assert landed["index_facts"] == tables["index_facts"]
    assert len(landed["documents"]) == len(tables["documents"]) + 1


@pytest.mark.parametrize("length", [2_600, 3_900])
def test_a_query_that_no_index_of_postgresql_holds_lands(
    start_lev: StartLev, length: int, tmp_path: Path, postgres: Server
) -> None:
    lev = start_lev(deals=2)
    letters = random.Random(1).choices("abcdefghijklmnopqrstuvwxyz ", k=length)
    query = "".join(letters).strip()
    target = new_target("target-postgres", tmp_path, postgres)
    lines = lines_of(lev, fact_queries=[query])
    target.load(lines)
    landed = target.tables(["index_facts"])["index_facts"]
    sent = [m for m in map(json.loads, lines) if m["type"] == "RECORD"]
    assert len(landed) == sum(m["stream"] == "index_facts" for m in sent) > 0
    assert {row["query"] for row in landed.values()} == {query}
    digest = hashlib.sha256(query.encode()).hexdigest()[:32]
    assert {row["query_hash"] for row in landed.values()} == {digest}
