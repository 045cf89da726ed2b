"""The real targets at the other end of a pipe, and what they have written."""

from __future__ import annotations

import ast
import contextlib
import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from devtools.meltano import plugin_program
from tap_lev import timestamps
from tests.pipelines.tables import SCHEMA, SCHEMAS, in_postgres, whole
from tests.support.expected_rows import key_of
from tests.support.process import KEPT_VARIABLES, TAP, start_tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import IO

    from devtools.postgres import Server
    from tests.pipelines.tables import Row, Table
    from tests.support.process import TapProcess

PROJECT = yaml.safe_load((Path(__file__).parents[2] / "meltano.yml").read_text(encoding="utf-8"))
SETTINGS = {
    loader["name"]: {s["name"]: s["value"] for s in loader["settings"] if "value" in s}
    for loader in PROJECT["plugins"]["loaders"]
}
"""What the project tells each target where a user says nothing."""

NO_DUCKDB = sys.version_info >= (3, 14)
TARGETS = sorted(SETTINGS.keys() - ({"target-duckdb"} if NO_DUCKDB else set()))
needs_duckdb = pytest.mark.skipif(
    NO_DUCKDB, reason="the DuckDB that the target works with has no wheels for this Python"
)

READ_DUCKDB = """
import json, sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for stream in sys.argv[3:]:
    rows = connection.execute(f'SELECT * FROM "{sys.argv[2]}"."{stream}"')
    names = [column[0] for column in rows.description]
    print(json.dumps([dict(zip(names, row)) for row in rows.fetchall()], default=str))
"""


@dataclass(frozen=True)
class Target:
    """A target with a place of its own to write to.

    Attributes:
        name: The loader's name in the project.
        directory: Where it runs.
        settings: Its settings.
        tables: Reads what it has written of some streams.
        through: A program that is started in its place, and starts it.
    """

    name: str
    directory: Path
    settings: dict[str, Any]
    tables: Callable[[Iterable[str]], dict[str, Table]]
    through: tuple[str | Path, ...] = ()

    @property
    def log(self) -> str:
        """What it has told so far."""
        return (self.directory / "log").read_text(encoding="utf-8")

    @property
    def states(self) -> list[dict[str, Any]]:
        """What it has given back for the next run to go on from."""
        given = self.directory / "states.jsonl"
        return [json.loads(line) for line in given.read_text(encoding="utf-8").splitlines()]

    @property
    def state(self) -> dict[str, Any] | None:
        """The last of it."""
        return self.states[-1] if self.states else None

    @property
    def is_at_work(self) -> bool:
        """Whether it has written some rows by now, and given back a state if it does that early."""
        match self.name:
            case "target-jsonl":
                return (self.directory / "contacts.jsonl").exists()
            case "target-duckdb":
                return bool(self.states)
            case _:
                return "'contacts' is full" in self.log

    @contextlib.contextmanager
    def started(self, messages: int | IO[str]) -> Iterator[subprocess.Popen[str]]:
        """Start it; kill it at the end if it still runs.

        Args:
            messages: What it reads.
        """
        config = self.directory / "config.json"
        config.write_text(json.dumps(self.settings), encoding="utf-8")
        with (
            (self.directory / "states.jsonl").open("a") as states,
            (self.directory / "log").open("a") as log,
            subprocess.Popen(
                [*self.through, plugin_program("loaders", self.name), "--config", config],
                stdin=messages,
                stdout=states,
                stderr=log,
                cwd=self.directory,
                env=_environment(self.directory),
                text=True,
            ) as popen,
        ):
            try:
                yield popen
            finally:
                popen.kill()

    def load(self, lines: Iterable[str]) -> None:
        """Have it load a whole run."""
        messages = self.directory / "messages.jsonl"
        messages.write_text("".join(lines), encoding="utf-8")
        with messages.open() as source, self.started(source) as popen:
            assert popen.wait(60) == 0, self.log[-2000:]


@contextlib.contextmanager
def pipeline(
    config: dict[str, Any],
    target: Target,
    catalog: dict[str, Any],
    program: Sequence[str] = TAP,
) -> Iterator[tuple[TapProcess, subprocess.Popen[str]]]:
    """The tap with a pipe into a target, from the state that the target gave back last."""
    reader, writer = os.pipe()
    with contextlib.ExitStack() as ends:
        for end in (reader, writer):
            ends.callback(os.close, end)
        with (
            start_tap(
                config, state=target.state, catalog=catalog, stdout=writer, program=program
            ) as tap,
            target.started(reader) as loader,
        ):
            ends.close()
            yield tap, loader


def new_target(name: str, directory: Path, server: Server, **settings: object) -> Target:
    """A target as the project has it, which has written nothing so far.

    Args:
        name: The loader's name in the project.
        directory: Where it may write.
        server: Where target-postgres gets a database.
        **settings: What it is told beside the project's settings.
    """
    settings = SETTINGS[name] | settings
    for file in ("states.jsonl", "log"):
        (directory / file).touch()
    match name:
        case "target-jsonl":
            settings["destination_path"] = ""

            def read(streams: Iterable[str]) -> dict[str, Table]:
                return {stream: _in_lines(directory, stream) for stream in streams}

        case "target-duckdb":
            settings["default_target_schema"] = SCHEMA

            def read(streams: Iterable[str]) -> dict[str, Table]:
                return in_duckdb(directory / str(settings["path"]), SCHEMA, streams)

        case "target-csv":
            settings["output_path"] = ""

            def read(streams: Iterable[str]) -> dict[str, Table]:
                return {stream: _in_files(directory, stream) for stream in streams}

        case _:
            database = server.create_database()
            settings |= {
                "host": database.host,
                "port": database.port,
                "user": database.user,
                "password": database.password,
                "database": database.name,
                "default_target_schema": SCHEMA,
            }

            def read(streams: Iterable[str]) -> dict[str, Table]:
                return {stream: in_postgres(database, stream) for stream in streams}

    return Target(name, directory, settings, read)


def _in_lines(directory: Path, stream: str) -> Table:
    """The rows of a file, which knows no keys: of those with one key the last counts."""
    lines = (directory / f"{stream}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [whole(stream, json.loads(line)) for line in lines]
    return {key_of(stream, row): row for row in rows}


def _in_files(directory: Path, stream: str) -> Table:
    """The rows of the files of all runs: of those with one key the last counts."""
    table: Table = {}
    for file in sorted(directory.glob(f"{stream}-2*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [_from_csv(stream, row) for row in csv.DictReader(lines)]
        table |= {key_of(stream, row): row for row in rows}
    return table


def _from_csv(stream: str, row: dict[str, str]) -> Row:
    def plain(name: str, text: str) -> object:
        column = SCHEMAS[stream][name]
        (kind,) = set(column["type"]) - {"null"}
        match kind:
            case _ if not text:
                return None
            case "array" | "object":
                # They are written as Python writes them.
                return ast.literal_eval(re.sub(r"Decimal\('(.*?)'\)", r"\1", text))
            case "boolean":
                return {"True": True, "False": False}[text]
            case "integer" | "number":
                return json.loads(text)
        if column.get("format") == "date-time":
            return timestamps.render(datetime.fromisoformat(text))
        return text

    return whole(stream, {name: plain(name, text) for name, text in row.items()})


def in_duckdb(file: Path, schema: str, streams: Iterable[str]) -> dict[str, Table]:
    """The rows of tables in DuckDB, read by the version of it that wrote them."""
    python = plugin_program("loaders", "target-duckdb").parent / "python"
    done = subprocess.run(
        [python, "-c", READ_DUCKDB, file, schema, *streams],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    tables: dict[str, Table] = {}
    for stream, line in zip(streams, done.stdout.splitlines(), strict=True):
        rows = [_from_duckdb(stream, row) for row in json.loads(line)]
        tables[stream] = {key_of(stream, row): row for row in rows}
        assert len(tables[stream]) == len(rows), f"{stream} has a key twice"
    return tables


def _from_duckdb(stream: str, row: Row) -> Row:
    def plain(name: str, value: str | None) -> object:
        column = SCHEMAS[stream][name]
        if value is None:
            return None
        if {"array", "object"} & set(column["type"]):
            return json.loads(value)
        if column.get("format") == "date-time":
            return timestamps.render(datetime.fromisoformat(value).replace(tzinfo=UTC))
        return value

    return whole(stream, {name: plain(name, value) for name, value in row.items()})


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES}
    return kept | {"HOME": str(home), "LC_ALL": "C.UTF-8"}
