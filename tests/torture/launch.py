"""Starting a tap: a fork of a process that has it imported, or a process that is truly fresh."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PIPE = 4096
"""How far the tap can be ahead of the target: as little as a pipe can hold."""
ROOT = Path(__file__).parents[2]
KEPT = ("PATH", "TMPDIR")


class Process(Protocol):
    """A tap that runs."""

    def signal(self, signum: int) -> None:
        """Send it a signal."""

    def wait(self) -> int:
        """Wait for its end and return its exit code; negative when a signal ended it."""


class Launcher(Protocol):
    """Starts taps, one at a time.

    Attributes:
        interval: Seconds between two of their states; None is the taps' own choice.
    """

    interval: float | None

    def start(self, args: Sequence[str], cwd: Path, out: int, err: int, seed: int) -> Process:
        """Start one."""


class Fresh:
    """Starts ``python -m tap_lev``."""

    interval: float | None = None

    def start(self, args: Sequence[str], cwd: Path, out: int, err: int, seed: int) -> Process:  # noqa: ARG002
        """Start one."""
        command = [sys.executable, "-m", "tap_lev", *args]
        popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd,
            env=_environment(cwd),
        )  # fmt: skip
        return _Whole(popen)


class _Whole:
    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen

    def signal(self, signum: int) -> None:
        self._popen.send_signal(signum)

    def wait(self) -> int:
        return self._popen.wait()


class ForkServer:
    """A process that has the tap imported. Use it in a ``with`` statement."""

    def __enter__(self) -> Self:
        """Start it."""
        self._directory = tempfile.TemporaryDirectory()
        self._path = str(Path(self._directory.name) / "s")
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.forkserver", self._path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            env=_environment(Path(self._directory.name)), start_new_session=True,
        )  # fmt: skip
        assert self._popen.stdout is not None
        try:
            assert self._popen.stdout.readline() == b"ready\n"
        except BaseException:
            self.kill()
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._popen.communicate()
        self._directory.cleanup()

    def kill(self) -> None:
        """End it at once, and all taps that it has started."""
        os.killpg(self._popen.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def launcher(self) -> Iterator[Forked]:
        """Get one's own line to it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(self._path)
            yield Forked(connection)


class Forked:
    """Starts forks of a fork server."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.interval: float | None = None
        """Seconds between two states of the taps that it starts; None is the taps' own choice."""

    def start(  # noqa: PLR0913, PLR0917
        self,
        args: Sequence[str],
        cwd: Path,
        out: int,
        err: int,
        seed: int,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start one, with further environment variables if given."""
        environment = _environment(cwd) | dict(env or {})
        order = {
            "args": [*args], "cwd": str(cwd), "env": environment, "seed": seed,
            "interval": self.interval,
        }  # fmt: skip
        socket.send_fds(self._connection, [json.dumps(order).encode()], [out, err])
        return _Fork(self._connection, int(self._connection.recv(64)))


class _Fork:
    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self._pid = pid
        self._exit_code: int | None = None

    def signal(self, signum: int) -> None:
        if self._exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signum)

    def wait(self) -> int:
        if self._exit_code is None:
            self._connection.send(b"reap")
            self._exit_code = int(self._connection.recv(64))
        return self._exit_code


def discover(launcher: Launcher, config: dict[str, Any]) -> dict[str, Any]:
    """Have a tap tell its catalog."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as out:
        cwd = Path(name)
        (cwd / "config.json").write_text(json.dumps(config))
        with (cwd / "stderr").open("w") as err:
            args = ["--config", "config.json", "--discover"]
            process = launcher.start(args, cwd, out.fileno(), err.fileno(), 0)
            exit_code = process.wait()
        assert exit_code == 0, (cwd / "stderr").read_text()
        out.seek(0)
        catalog: dict[str, Any] = json.load(out)
        return catalog


def _environment(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith("COVERAGE_")
    }
    return kept | {"HOME": str(home), "LC_ALL": "C.UTF-8"}


SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
