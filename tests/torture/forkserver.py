"""Taps at the price of a fork: ``python -m tests.torture.forkserver SOCKET`` has the tap imported.

Each connection gets a process of its own. For each start that this one is asked for it forks a
child, which takes over the given stdout and stderr, runs the command as a fresh process would, and
can be killed at any moment. The server reaps a child only when it is told to, so its id stays its
own until then. Everything ends with the process that started it.
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
import sys
import threading
from typing import Any, NoReturn

from tap_lev import tap
from tap_lev.sync import state_writer

WORD = 1 << 16


def main(path: str) -> dict[str, Any] | None:
    """Serve until stdin is closed.

    Returns:
        What to run, in a child that is a tap now; None in the server.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        try:
            listener.bind(path)
        except FileNotFoundError:
            return None  # whoever started it is gone by now, and the directory with it
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
    """Start taps for one customer, one at a time.

    Returns:
        What to run, in a child that is a tap now; None when the customer is gone.
    """
    while True:
        message, fds, _, _ = socket.recv_fds(connection, WORD, 3)
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
        connection.recv(WORD)  # it may be reaped
        _, status = os.waitpid(pid, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def become(order: dict[str, Any], stdout: int, stderr: int) -> None:
    """Take on what a process of its own would have been given."""
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, number in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["tap-lev", *order["args"]]
    random.seed(order["seed"])
    if order["interval"] is not None:
        state_writer.STATE_INTERVAL = order["interval"]


def leave(code: object) -> NoReturn:
    """End as Python does after ``sys.exit``, but leave the memory to the system.

    To take apart what a fork shares with its server costs more than a whole short run.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    if main(sys.argv[1]) is not None:
        try:
            tap.TapLev.cli()
        except SystemExit as end:
            leave(end.code)
