"""Run taps at the cost of a fork: ``python -m tests.torture.forkserver SOCKET`` serves them.

The server imports the tap once. Each connection gets a process of its own, which forks a child for
every start that it is sent. The child takes over the given stdout and stderr and runs the command
as a fresh process would. The server reaps a child only when it is sent ``reap``, so the child's
process id stays valid until then, and it can be killed at any moment. When the process that
started the server ends, everything ends.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tests.support.process import Run, files
from tests.torture.launch import ROOT, SIGNALS, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MESSAGE_SIZE = 1 << 16
LONGEST = 60
"""Seconds after which a run to the end is killed."""

# -- The client


class ForkServer:
    """A server process. Use it in a ``with`` statement."""

    def __enter__(self) -> Self:
        """Start it."""
        self._directory = tempfile.TemporaryDirectory()
        self._path = str(Path(self._directory.name) / "s")
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.forkserver", self._path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            env=environment(Path(self._directory.name)), start_new_session=True,
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
    def launcher(self, interval: float | None = None) -> Iterator[ForkLauncher]:
        """Connect to it.

        Args:
            interval: Seconds between two states of the taps; None is the taps' own choice.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(self._path)
            yield ForkLauncher(connection, interval)


class ForkLauncher:
    """Starts forks of a server, one at a time.

    Attributes:
        interval: Seconds between two states of the taps; None is the taps' own choice.
    """

    def __init__(self, connection: socket.socket, interval: float | None = None) -> None:
        self._connection = connection
        self.interval = interval

    def start(  # noqa: PLR0913, PLR0917
        self,
        args: Sequence[str],
        cwd: Path,
        out: int,
        err: int,
        seed: int,
        env: Mapping[str, str] | None = None,
    ) -> _Fork:
        """Start one, with further environment variables if given."""
        order = {
            "args": [*args], "cwd": str(cwd), "env": environment(cwd) | dict(env or {}),
            "seed": seed, "interval": self.interval,
        }  # fmt: skip
        socket.send_fds(self._connection, [json.dumps(order).encode()], [out, err])
        return _Fork(self._connection, int(self._connection.recv(64)))

    def run(
        self,
        config: object = None,
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        **options: object,
    ) -> Run:
        """Run a tap to its end.

        Args:
            config: As for ``start_tap``.
            args: Further arguments.
            env: Further environment variables.
            **options: The state and the catalog, as for ``start_tap``.
        """
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            work, out, err = (directory / part for part in ("work", "stdout", "stderr"))
            work.mkdir()
            command = [*args, *files(directory, config=config, **options)]
            with out.open("wb") as stdout, err.open("wb") as stderr:
                process = self.start(
                    command, work, stdout.fileno(), stderr.fileno(), seed=0, env=env
                )
            watchdog = threading.Timer(LONGEST, process.signal, (SIGNALS["kill"],))
            watchdog.start()
            try:
                exit_code = process.wait()
            finally:
                watchdog.cancel()
            lines = out.read_text(encoding="utf-8").splitlines(keepends=True)
            return Run(exit_code, lines, err.read_text(encoding="utf-8"))


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


# -- The server


def main(path: str) -> dict[str, Any] | None:
    """Serve until stdin is closed.

    Returns:
        The order, in a child that is to be a tap; None in the server.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        try:
            listener.bind(path)
        except FileNotFoundError:
            return None  # the process that started it is gone, and the directory with it
        listener.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return None
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                return serve(connection)
            connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Start taps for one client, one at a time.

    Returns:
        The order, in a child that is to be a tap; None when the client is gone.
    """
    while True:
        message, fds, _, _ = socket.recv_fds(connection, MESSAGE_SIZE, 3)
        if not message:
            return None
        order = json.loads(message)
        pid = os.fork()
        if pid == 0:
            connection.close()
            become(order, *fds)
            return dict(order)
        for fd in fds:
            os.close(fd)
        connection.send(str(pid).encode())
        connection.recv(MESSAGE_SIZE)  # reap
        _, status = os.waitpid(pid, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def become(order: dict[str, Any], stdout: int, stderr: int) -> None:
    """Take over files, directory, environment and arguments, as a fresh process has them."""
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, number in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["tap-lev", *order["args"]]
    random.seed(order["seed"])


def leave(code: object) -> NoReturn:
    """End as Python does after ``sys.exit``, but leave the memory to the system.

    Freeing the objects that a fork shares with its server copies their pages, which costs more than
    a whole short run.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    from tap_lev import tap
    from tap_lev.sync import state_writer

    # Objects that the collector never touches stay on pages that all forks share.
    gc.collect()
    gc.freeze()
    order = main(sys.argv[1])
    if order is not None:
        if order["interval"] is not None:
            state_writer.STATE_INTERVAL = order["interval"]
        try:
            tap.TapLev.cli()
        except SystemExit as error:
            leave(error.code)
