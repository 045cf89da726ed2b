"""Run commands that end with the program that started them, even after `kill -9`.

The command runs under a keeper, which is this file as a script. The keeper reads from a pipe of
the starter: when the write end closes, it ends the command and its process group.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PATIENCE_SECONDS = 20


@contextlib.contextmanager
def kept(  # noqa: PLR0913
    command: Sequence[str | Path],
    *,
    output: IO[bytes] | int | None = None,
    errors: IO[bytes] | int | None = subprocess.STDOUT,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop: signal.Signals = signal.SIGTERM,
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the context is left.

    Args:
        command: The command and its arguments.
        output: Where its output goes.
        errors: Where its errors go, by default where the output goes.
        env: Its environment, by default this program's.
        cwd: Its working directory.
        stop: The signal to end it with. SIGKILL follows after PATIENCE_SECONDS.
        user: The user to run it as, for root only.

    Yields:
        The keeper, which ends with the command's exit code.
    """
    options = ["--stop", stop.name, *(["--user", user] if user else [])]
    with subprocess.Popen(
        [sys.executable, "-IS", __file__, *options, "--", *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        env=env,
        cwd=cwd,
        start_new_session=True,
    ) as keeper:
        try:
            yield keeper
        finally:
            if keeper.stdin:
                keeper.stdin.close()
            keeper.wait()


def _keep(command: list[str], stop: signal.Signals, user: str | None) -> int:
    identity = {"user": user, "group": _group(user), "extra_groups": []} if user else {}
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, **identity)  # type: ignore[call-overload]

    def end() -> None:
        for how in (stop, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(PATIENCE_SECONDS)
                return

    def wait_for_starter() -> None:
        os.read(sys.stdin.fileno(), 1)
        end()

    signal.signal(signal.SIGTERM, lambda *_: end())
    threading.Thread(target=wait_for_starter, daemon=True).start()
    code: int = child.wait()
    return code if code >= 0 else 128 - code


def _group(user: str) -> int:
    import pwd  # noqa: PLC0415 - POSIX only

    return pwd.getpwnam(user).pw_gid


def _main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stop", type=signal.Signals.__getitem__)
    parser.add_argument("--user")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    return _keep(options.command, options.stop, options.user)


if __name__ == "__main__":
    sys.exit(_main())
