"""A tap with a target behind it, whose process is looked at from outside while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator

    from benchmarks.programs import Command, Workplace
    from tests.support.process import Target

PROCESSES = Path("/proc")
"""Where Linux tells of its processes."""


@dataclass(frozen=True)
class Sample:
    """What a tap had at a moment at which it had just written a STATE.

    Attributes:
        at: Seconds since its start.
        memory: Bytes in memory.
        files: Open file descriptors.
        threads: Threads.
        state: Bytes of the STATE message.
    """

    at: float
    memory: int
    files: int
    threads: int
    state: int


@dataclass(frozen=True)
class Kill:
    """The end of a run.

    Attributes:
        after: How many STATE messages the target has got by then. The tap is ahead of it by what a
            pipe holds.
        signal: What the tap is sent.
        target_too: Whether the target ends as well, and what came after the last STATE is gone.
    """

    after: int
    signal: signal.Signals
    target_too: bool


@dataclass
class Watched:
    """A run that was looked at.

    Attributes:
        samples: What was seen.
        states: STATE messages that the target got.
        wall: Seconds from start to end.
        exit_code: Its exit code; negative when a signal ended it.
        log: The file with its stderr.
    """

    log: Path
    samples: list[Sample] = field(default_factory=list)
    states: int = 0
    wall: float = 0
    exit_code: int = 0


def watch(
    command: Command,
    place: Workplace,
    target: Target,
    *,
    every: float,
    kill: Kill | None = None,
) -> Watched:
    """Run a tap, have a target take what it writes, and look at the tap's process.

    Args:
        command: The tap.
        place: Where the files go.
        target: The target.
        every: Seconds between two looks, at least: the next is at the STATE after that.
        kill: How to end it. None: it comes to its end.
    """
    watched = Watched(place.path("stderr"))
    begun = time.monotonic()
    with watched.log.open("wb") as errors:
        tap = subprocess.Popen(
            command.arguments,
            env=place.environment(command),
            cwd=place.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    with tap:
        try:
            taken = _taken(tap, watched, begun, every, kill)
            target.load(taken, crash=kill is not None and kill.target_too)
        except BaseException:
            tap.kill()
            raise
    watched.wall = time.monotonic() - begun
    watched.exit_code = tap.returncode
    return watched


def _taken(
    tap: subprocess.Popen[bytes],
    watched: Watched,
    begun: float,
    every: float,
    kill: Kill | None,
) -> Iterator[dict[str, Any]]:
    for line in tap.stdout or ():
        if not line.endswith(b"\n"):
            return  # what a killed tap had not written to its end
        message = json.loads(line)
        yield message
        if message["type"] != "STATE":
            continue
        watched.states += 1
        now = time.monotonic() - begun
        if not watched.samples or now - watched.samples[-1].at >= every:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                watched.samples.append(_look(tap.pid, now, len(line)))
        if kill is not None and watched.states == kill.after:
            tap.send_signal(kill.signal)


def _look(process: int, now: float, state: int) -> Sample:
    about = PROCESSES / str(process)
    pages = int((about / "statm").read_text(encoding="ascii").split()[1])
    if not pages:
        raise ProcessLookupError(process)
    files, threads = (sum(1 for _ in (about / kind).iterdir()) for kind in ("fd", "task"))
    return Sample(now, pages * os.sysconf("SC_PAGE_SIZE"), files, threads, state)
