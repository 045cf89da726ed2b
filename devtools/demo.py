"""Load a sandbox account into PostgreSQL, change it, load again, and compare: ``make demo``."""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psycopg
import requests

from devtools.meltano import MeltanoError, MeltanoProject, Run
from devtools.postgres import Database, PostgresError, running_postgres
from devtools.sandbox import Sandbox, SandboxError, running_sandbox
from tap_lev.streams import STREAMS
from tap_lev.streams.lists import IncrementalStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_lev.streams.base import LevStream

SCHEMA = "lev_sandbox"
DEFAULT = [stream for stream in STREAMS if stream.selected_by_default]
Keys = set[tuple[object, ...]]


class DemoError(Exception):
    """The demo did not show what it promises."""


@dataclass
class Line:
    """One line of the table that the demo prints: one stream.

    Attributes:
        stream: Its name.
        in_lev: Rows in the sandbox after both runs.
        landed: Rows in PostgreSQL.
        sent: Records that each run sent to the target.
        requests: Requests of each run to its endpoint.
        faults: Sentences about what disagrees.
    """

    stream: str
    in_lev: int
    landed: int
    sent: tuple[int, int]
    requests: tuple[int, int]
    faults: list[str]

    HEAD = ("stream", "rows in Lev", "rows landed", "sent by run 1", "sent by run 2", "requests")

    def cells(self) -> tuple[str, ...]:
        """Return the cell for each column of HEAD."""
        requests = " + ".join(map(str, self.requests))
        return (self.stream, *(f"{n:,}" for n in (self.in_lev, self.landed, *self.sent)), requests)


class Stopwatch:
    """Prints each step and how long it takes."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Print a step, and its seconds when it ends."""
        started = time.monotonic()
        print(f"{text} ".ljust(72, "."), end=" ", flush=True)
        try:
            yield
        except BaseException:
            print("stopped", flush=True)
            raise
        print(f"{time.monotonic() - started:5.1f} s", flush=True)

    def total(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started


@dataclass(frozen=True)
class Snapshot:
    """The sandbox at one moment: its rows by stream, and its requests by endpoint."""

    keys: dict[str, Keys]
    requests: dict[str, int]

    @classmethod
    def of(cls, sandbox: Sandbox) -> Self:
        """Take a snapshot of a sandbox."""
        keys = {
            stream.name: {
                tuple(row[column] for column in stream.primary_keys)
                for row in sandbox.rows(stream.name)
            }
            for stream in DEFAULT
        }
        return cls(keys, sandbox.requests())


def _load(project: MeltanoProject) -> Run:
    run = project.run("tap-lev", "target-postgres")
    if run.code:
        raise DemoError(
            f"meltano run ended with exit code {run.code}. The end of its log:\n{run.tail()}"
        )
    return run


def _landed(database: Database) -> dict[str, list[tuple[object, ...]]]:
    query = psycopg.sql.SQL("SELECT {} FROM {}")
    with database.connect() as connection:
        return {
            stream.name: connection.execute(
                query.format(
                    psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, stream.primary_keys)),
                    psycopg.sql.Identifier(SCHEMA, stream.name),
                )
            ).fetchall()
            for stream in DEFAULT
        }


def _line(
    stream: type[LevStream],
    snapshots: tuple[Snapshot, Snapshot, Snapshot],
    runs: tuple[Run, Run],
    changed: dict[str, set[object]],
    landed: list[tuple[object, ...]],
) -> Line:
    name, route = stream.name, f"GET {stream.path}"
    start, middle, end = (snapshot.requests.get(route, 0) for snapshot in snapshots)
    sent = tuple(run.records("target-postgres")[name] for run in runs)
    in_lev = snapshots[2].keys[name]
    expected = (
        len(snapshots[0].keys[name]),
        len(changed.get(name, ())) if issubclass(stream, IncrementalStream) else len(in_lev),
    )
    faults = [
        f"run {number} sent {count} rows of {name}, not {wanted}"
        for number, count, wanted in zip((1, 2), sent, expected, strict=True)
        if count != wanted
    ]
    if sorted(map(str, landed)) != sorted(map(str, in_lev)):
        faults.append(f"the table {name} does not hold the rows that Lev has")
    return Line(
        name, len(in_lev), len(landed), (sent[0], sent[1]), (middle - start, end - middle), faults
    )


def _print_table(lines: list[Line]) -> None:
    table = [Line.HEAD, *(line.cells() for line in lines)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print()
    for number, cells in enumerate(table):
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        )
        print("  ".join([first, *others]))
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print()


def _demo() -> None:
    watch = Stopwatch()
    with contextlib.ExitStack() as services:
        with watch.step("Starting a local Lev"):
            sandbox = services.enter_context(running_sandbox())
        with watch.step("Starting PostgreSQL"):
            database = services.enter_context(running_postgres()).create_database()
        directory = Path(services.enter_context(tempfile.TemporaryDirectory(prefix="lev-demo-")))
        project = MeltanoProject(directory, {**sandbox.environment, **database.environment()})

        before = Snapshot.of(sandbox)
        with watch.step("Run 1: meltano run tap-lev target-postgres"):
            first = _load(project)
        with watch.step("Changing, adding, archiving and removing rows in Lev"):
            loaded = Snapshot.of(sandbox)
            changed = sandbox.change()
        with watch.step("Run 2: the same command, from the state that Meltano kept"):
            second = _load(project)
        after = Snapshot.of(sandbox)
        with watch.step("Comparing PostgreSQL with Lev"):
            landed = _landed(database)

        lines = [
            _line(stream, (before, loaded, after), (first, second), changed, landed[stream.name])
            for stream in DEFAULT
        ]
        _print_table(lines)
    faults = [fault for line in lines for fault in line.faults]
    if faults:
        raise DemoError(f"The numbers disagree: {'; '.join(faults)}.")
    print(f"Every row of Lev is in PostgreSQL. Done in {watch.total():.0f} s, everything stopped.")


def _terminated(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def main() -> int:
    """Run the demo.

    Returns:
        The exit code: 0 only if everything landed.
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        _demo()
    except (
        DemoError,
        SandboxError,
        MeltanoError,
        PostgresError,
        psycopg.Error,
        requests.RequestException,
    ) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; everything is stopped.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
