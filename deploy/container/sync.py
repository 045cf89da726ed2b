#!/usr/bin/env python3
"""tap-lev into a target, with the state kept in a file: what the container runs.

sync.py TARGET [ARGUMENT]... runs the two in a pipe. The directory STATE_DIRECTORY holds
``state.json`` and, where streams or columns are chosen, ``catalog.json``. Each state that the
target gives back takes the place of the one before it. It ends with the target's exit code, or
with the tap's where that is 0. With ``tap-lev`` for the target it runs nothing but the tap.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = "Name the target and its arguments, such as: target-postgres --config ENV"


def main(target: list[str]) -> int:
    """Run the pipe; return its exit code."""
    if not target:
        return told(USAGE)
    for program in ("tap-lev", target[0]):
        if not shutil.which(program):
            return told(f"There is no program {program} here. {USAGE}")
    if target[0] == "tap-lev":
        os.execvp(target[0], target)  # noqa: S606 - whoever starts the container says what it runs
    directory = Path(os.environ.get("STATE_DIRECTORY", "/state"))
    try:
        with alone(directory):
            return piped(target, directory)
    except BlockingIOError:
        return told(f"Another sync is at work in {directory}: wait for it, or use another one.", 1)
    except OSError as error:
        return told(f"The state cannot be kept in {directory}: {error.strerror}.", 1)


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep other syncs out of a directory, which must be there to write to."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def piped(target: list[str], directory: Path) -> int:
    """Run the two; return the exit code of both."""
    tap_lev = ["tap-lev"]
    for option in ("state", "catalog"):
        if (directory / f"{option}.json").exists():
            tap_lev += [f"--{option}", str(directory / f"{option}.json")]
    with Popen(tap_lev, stdout=PIPE) as tap:
        # The tap ends with a state, and its end is the target's.
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda signum, _: tap.send_signal(signum))
        with Popen(target, stdin=tap.stdout, stdout=PIPE) as writer:
            try:
                for line in writer.stdout or ():
                    keep(line, directory / "state.json")
            except OSError:
                tap.kill()
                writer.kill()
                raise
    return exit_code(writer) or exit_code(tap)


def keep(line: bytes, path: Path) -> None:
    """Write a state in place of the one before it. What is none goes to the log."""
    try:
        is_state = line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        is_state = False
    if not is_state:
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
        return
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def exit_code(process: Popen[bytes]) -> int:
    """Tell how a process ended, as a shell does."""
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def told(sentence: str, code: int = 2) -> int:
    """Write a sentence; return an exit code."""
    sys.stderr.write(f"{sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
