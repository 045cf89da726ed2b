"""A real tap process and a small target, for every test that looks at the tap from outside."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

KEPT_VARIABLES = ("PATH", "SYSTEMROOT", "TMPDIR")
"""What a tap process is given of this process's environment, beside what coverage needs."""

UNLIMITED = {
    "requests_per_minute": 1_000_000_000,
    "requests_per_minute_per_endpoint": 1_000_000_000,
}
"""Settings for a Lev without limits: nothing is waited for."""

TAP = ("-m", "tap_lev")
"""The program of a tap process."""

EAGER_STATES = (str(Path(__file__).with_name("eager_states.py")),)
"""The program of a tap process that writes a STATE after each page."""

LOG_LINE = re.compile(r"[-\d]+ [:,\d]+ \| (?P<level>[A-Z]+) +\| \S+ +\| (?P<message>.*)")

Message = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What a tap process did.

    Attributes:
        exit_code: Its exit code; negative when a signal ended it.
        lines: The lines of stdout as they came. The last may be half a line after a kill.
        stderr: The log.
    """

    exit_code: int
    lines: list[str]
    stderr: str

    @functools.cached_property
    def messages(self) -> list[Message]:
        """The Singer messages. A complete line that is none is an error."""
        return [json.loads(line) for line in self.lines if line.endswith("\n")]

    def of(self, kind: str, stream: str | None = None) -> list[Message]:
        """The messages of one type, and of one stream if named."""
        return [m for m in self.messages if m["type"] == kind and stream in {None, m.get("stream")}]

    def records(self, stream: str) -> list[dict[str, Any]]:
        """The rows of one stream."""
        return [message["record"] for message in self.of("RECORD", stream)]

    def log(self, level: str) -> list[str]:
        """The log's messages of one level. A line that is no log line is an error."""
        lines = [LOG_LINE.fullmatch(line) for line in self.stderr.splitlines()]
        assert None not in lines, self.stderr
        return [line["message"] for line in lines if line and line["level"] == level]

    @property
    def state(self) -> dict[str, Any] | None:
        """The last state, None where none was written."""
        states = self.of("STATE")
        return states[-1]["value"] if states else None


@dataclass
class TapProcess:
    """A tap process that may still run."""

    popen: subprocess.Popen[str]
    log: Path

    @property
    def stderr(self) -> str:
        """The log so far."""
        return self.log.read_text()

    def finish(self, lines: Iterable[str] = (), timeout: float = 60) -> Run:
        """Read to the end.

        Args:
            lines: What was read of stdout before.
            timeout: Seconds after which it is killed.
        """
        # Not communicate(): that reads past what a reader of lines has in its buffer.
        watchdog = threading.Timer(timeout, self.popen.kill)
        watchdog.start()
        try:
            rest = list(self.popen.stdout) if self.popen.stdout else []
            exit_code = self.popen.wait()
        finally:
            watchdog.cancel()
        return Run(exit_code, [*lines, *rest], self.stderr)


@contextlib.contextmanager
def start_tap(  # noqa: PLR0913
    config: object = None,
    *,
    state: object = None,
    catalog: object = None,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    dotenv: str | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int | None = None,
    program: Sequence[str] = TAP,
) -> Iterator[TapProcess]:
    """Start a tap in an empty directory; kill it at the end if it still runs.

    Args:
        config: Written to a JSON file, given as ``--config``. A ``bytes`` is written as it is, a
            ``Path`` is given as it is, and None is no ``--config``. So are the next two.
        state: Given as ``--state``.
        catalog: Given as ``--catalog``.
        args: Further arguments.
        env: Further environment variables.
        dotenv: The text of a ``.env`` file beside the tap.
        stdout: A file descriptor to write to.
        stderr: A file descriptor for the log; a file by default.
        program: What Python runs.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        command = [sys.executable, *program, *args]
        command += files(directory, config=config, state=state, catalog=catalog)
        work = directory / "work"
        work.mkdir()
        if dotenv is not None:
            (work / ".env").write_text(dotenv)
        log = directory / "stderr"
        with (
            log.open("w") as file,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=file if stderr is None else stderr,
                env=_environment(directory) | dict(env or {}),
                cwd=work,
                text=True,
                encoding="utf-8",
            ) as popen,
        ):
            try:
                yield TapProcess(popen, log)
            finally:
                popen.kill()


def run_tap(
    config: object = None,
    *,
    kill_after: int | None = None,
    timeout: float = 60,
    **given: Any,  # noqa: ANN401 - start_tap says what
) -> Run:
    """Run a tap to its end.

    Args:
        config: As for ``start_tap``.
        kill_after: Kill it (SIGKILL) when so many lines were read. What it had written by then
            comes through, as from a pipe to a target.
        timeout: Seconds after which the test fails.
        **given: As for ``start_tap``.
    """
    with start_tap(config, **given) as tap:
        if kill_after is None:
            return tap.finish(timeout=timeout)
        assert tap.popen.stdout is not None
        lines = [line for _, line in zip(range(kill_after), tap.popen.stdout, strict=False)]
        tap.popen.kill()
        return tap.finish(lines, timeout=timeout)


def files(directory: Path, **given: object) -> list[str]:
    """Write what a tap is given to files, and find the arguments that name them.

    Args:
        directory: Where to write.
        **given: What ``start_tap`` is given, by option.
    """
    return [
        argument
        for option, value in given.items()
        if value is not None
        for argument in (f"--{option}", str(_file(directory / f"{option}.json", value)))
    ]


def _file(path: Path, given: object) -> Path:
    if isinstance(given, Path):
        return given
    path.write_bytes(given if isinstance(given, bytes) else json.dumps(given).encode())
    return path


def _environment(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or name.startswith("COVERAGE_")
    }
    return kept | {"HOME": str(home), "LC_ALL": "C.UTF-8"}


def in_docs(name: str) -> str:
    """What docs/running.md shows of a command's output, between the markers of that name."""
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text(encoding="utf-8")
    shown = re.search(rf"<!-- {name} -->\n```text\n((?:.*\n)*?)```\n", page)
    assert shown is not None
    return shown[1]


def merged(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a state into an older one, as Meltano's stores do with a partial state.

    It fails, as Meltano does, where a key is an object in one state and null in the other.
    """
    result = copy.deepcopy(dict(old))
    for key, value in new.items():
        if isinstance(value, dict):
            result[key] = merged(value, result.get(key, {}))
        else:
            result[key] = value
    return result


@dataclass
class Target:
    """A target that writes with each STATE, as Singer targets do.

    Attributes:
        tables: The rows by stream and key, as far as they are written.
        state: The last STATE's value.
        received: How many records came, by stream, those included that were lost.
        drops_older_only: Whether ACTIVATE_VERSION drops rows of older versions only, as the SDK's
            SQL sinks do, and not those of any other version.
    """

    tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)
    state: dict[str, Any] | None = None
    received: Counter[str] = field(default_factory=Counter)
    drops_older_only: bool = False
    _keys: dict[str, list[str]] = field(default_factory=dict)
    _versions: dict[tuple[str, tuple[Any, ...]], int | None] = field(default_factory=dict)

    def load(self, messages: Iterable[Message], *, crash: bool = False) -> None:
        """Apply the messages of a run.

        Args:
            messages: All messages, or the first of them.
            crash: Forget whatever came after the last STATE.
        """
        pending: list[Message] = []
        for message in messages:
            self.received[message.get("stream", "")] += message["type"] == "RECORD"
            if message["type"] == "STATE":
                self._write(pending)
                pending = []
                self.state = message["value"]
            else:
                pending.append(message)
        if not crash:
            self._write(pending)

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """The written rows of one stream, by key."""
        table = self.tables.get(stream, {})
        return [table[key] for key in sorted(table)]

    def _write(self, messages: Iterable[Message]) -> None:
        for message in messages:
            stream = message["stream"]
            table = self.tables.setdefault(stream, {})
            match message["type"]:
                case "SCHEMA":
                    self._keys[stream] = message["key_properties"]
                case "RECORD":
                    record = message["record"]
                    key = tuple(record[name] for name in self._keys[stream])
                    table[key] = table.get(key, {}) | record
                    self._versions[stream, key] = message.get("version")
                case "ACTIVATE_VERSION":
                    for key in [
                        k for k in table if self._is_dropped(self._versions[stream, k], message)
                    ]:
                        del table[key]

    def _is_dropped(self, version: int | None, message: Message) -> bool:
        if self.drops_older_only:
            return version is not None and version < message["version"]
        return bool(version != message["version"])
