"""Those who are compared, each a command in a process of its own, and what a run of one took."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from benchmarks.lev import Lev

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
TAP_LEV = "tap-lev"
PLAIN_TAP = "plain SDK tap"
DLT = "dlt extract"
DLT_UNCOMPRESSED = "dlt extract, not compressed"
CLIENT_LOOP = "client loop"
NO_LIMIT = 1_000_000_000
UNPACED = {
    "requests_per_minute": NO_LIMIT,
    "requests_per_minute_per_endpoint": NO_LIMIT,
}
"""Settings of tap-lev for a Lev without limits."""
QUERY, METRIC = "net operating income", 1
"""What the streams index_facts and index_observations ask for."""

Streams = Container[str] | None
"""Which streams to read; None: those of the default selection."""


class Everything:
    """Holds whatever there is."""

    def __contains__(self, name: object) -> bool:
        """Hold it."""
        return True


EVERYTHING = Everything()


@dataclass(frozen=True)
class Command:
    """What to run.

    Attributes:
        arguments: The command line.
        environment: Variables to set for it.
    """

    arguments: list[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Taken:
    """What a run took.

    Attributes:
        wall: Seconds from start to end.
        cpu: Seconds of all its threads on a processor.
        memory: The most bytes that it had in memory.
        exit_code: Its exit code; negative when it was killed.
    """

    wall: float
    cpu: float
    memory: int
    exit_code: int


class _Record(msgspec.Struct):
    id: int | str | None = None


class _Message(msgspec.Struct):
    type: str
    stream: str | None = None
    record: _Record | None = None


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        taken: What it took.
        output: The file with its stdout.
        log: The file with its stderr.
    """

    taken: Taken
    output: Path
    log: Path

    def rows(self) -> Counter[str]:
        """Count the rows of each stream that came."""
        counts: Counter[str] = Counter()
        with self.output.open("rb") as lines:
            for line in lines:
                if line.startswith(b'{"rows":'):  # of a program that is no tap
                    counts["contacts"] += json.loads(line)["rows"]
                elif line.startswith((b'{"type":"RECORD"', b'{"type": "RECORD"')):
                    counts[_DECODER.decode(line).stream or ""] += 1
        return counts

    def ids(self, stream: str = "contacts") -> list[Any]:
        """Collect the ids of the rows of a stream."""
        found: list[Any] = []
        for line in self.output.read_bytes().splitlines():
            if line.startswith(b'{"rows":'):
                found += json.loads(line)["ids"]
            else:
                message = _DECODER.decode(line)
                if message.record is not None and message.stream == stream:
                    found.append(message.record.id)
        return found


_DECODER = msgspec.json.Decoder(_Message)


class Workplace:
    """A directory for the files of runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._count = 0

    def path(self, name: str) -> Path:
        """Name a new file."""
        self._count += 1
        return self.directory / f"{self._count}-{name}"

    def file(self, name: str, content: object) -> str:
        """Write a JSON file."""
        path = self.path(name)
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    def environment(self, command: Command) -> dict[str, str]:
        """Make the environment that a command runs in."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            **{k: v for k, v in os.environ.items() if k.startswith("COVERAGE_")},
            **command.environment,
        }

    def run(self, command: Command, *, patience: int = 0) -> Run:
        """Run a command to its end.

        Args:
            command: The command.
            patience: Seconds after which it is killed; 0: never.
        """
        output, log = self.path("stdout"), self.path("stderr")
        timed = [sys.executable, "-IS", str(Path(__file__).with_name("timed.py"))]
        timed += ["--output", str(output), "--errors", str(log), "--patience", str(patience)]
        told = subprocess.run(
            [*timed, "--", *command.arguments],
            env=self.environment(command),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        return Run(Taken(**json.loads(told)), output, log)

    def finish(self, command: Command) -> Run:
        """Run a command that must not fail.

        Raises:
            RuntimeError: It did.
        """
        run = self.run(command)
        if run.taken.exit_code:
            raise RuntimeError(
                f"{' '.join(command.arguments)} ended with {run.taken.exit_code}:\n"
                f"{run.log.read_text(encoding='utf-8')[-2000:]}"
            )
        return run

    def clear(self) -> None:
        """Remove the files of the runs so far."""
        for path in self.directory.iterdir():
            if path.is_file():
                path.unlink()


Maker = Callable[["Lev", Workplace, Streams, Mapping[str, Any]], Command]


def tap_lev(lev: Lev, place: Workplace, streams: Streams, settings: Mapping[str, Any]) -> Command:
    """Make the command of this tap."""
    config = {"api_url": lev.url, "api_key": lev.key, **settings}
    arguments = [str(BIN / "tap-lev"), "--config", place.file("config.json", config)]
    if streams is not None:
        catalog = _selected(str(BIN / "tap-lev"), streams=streams)
        arguments += ["--catalog", place.file("catalog.json", catalog)]
    return Command(arguments, {})


def plain_tap(lev: Lev, place: Workplace, streams: Streams, settings: Mapping[str, Any]) -> Command:
    """Make the command of the plain tap. Its default selection is that of tap-lev."""
    config = {"api_url": lev.url, "api_key": lev.key, **settings}
    program = [sys.executable, "-m", "benchmarks.plain_tap"]
    chosen = DEFAULT_LISTS if streams is None else streams
    catalog = _selected(*program, streams=chosen)
    files = ["--config", place.file("config.json", config)]
    return Command([*program, *files, "--catalog", place.file("catalog.json", catalog)], {})


def dlt(lev: Lev, _place: Workplace, _streams: Streams, _settings: Mapping[str, Any]) -> Command:
    """Make the command that has dlt extract all contacts, with its defaults."""
    # It reports to its makers unless told not to.
    environment = {**_access(lev), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    return Command([sys.executable, "-m", "benchmarks.dlt_source"], environment)


def dlt_uncompressed(
    lev: Lev, place: Workplace, streams: Streams, settings: Mapping[str, Any]
) -> Command:
    """Make the command that has dlt extract all contacts into a plain file, as a tap writes."""
    command = dlt(lev, place, streams, settings)
    plain = {"DATA_WRITER__DISABLE_COMPRESSION": "true"}
    return Command(command.arguments, {**command.environment, **plain})


def client_loop(
    lev: Lev, _place: Workplace, _streams: Streams, _settings: Mapping[str, Any]
) -> Command:
    """Make the command that reads all contacts and does nothing with them."""
    return Command([sys.executable, "-m", "benchmarks.client_loop"], _access(lev))


MAKERS: Mapping[str, Maker] = {
    TAP_LEV: tap_lev,
    PLAIN_TAP: plain_tap,
    DLT: dlt,
    DLT_UNCOMPRESSED: dlt_uncompressed,
    CLIENT_LOOP: client_loop,
}

DEFAULT_LISTS = (
    "deals", "placements", "contacts", "companies", "pipelines", "asset_types", "base_rates",
    "account_team_members",
)  # fmt: skip
"""Streams of the plain tap that ask for what tap-lev asks for by default."""


def _access(lev: Lev) -> dict[str, str]:
    return {"LEV_URL": lev.url, "LEV_KEY": lev.key}


@functools.cache
def _discovered(*command: str) -> str:
    with tempfile.TemporaryDirectory() as empty:
        return subprocess.run(
            [*command, "--discover"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=empty,
            check=True,
            capture_output=True,
            text=True,
        ).stdout


def _selected(*program: str, streams: Container[str]) -> Any:  # noqa: ANN401
    catalog = json.loads(_discovered(*program))
    for entry in catalog["streams"]:
        for metadata in entry["metadata"]:
            if not metadata["breadcrumb"]:
                metadata["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return catalog
