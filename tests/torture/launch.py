"""Start a tap: how every launcher does it, and the one that starts a fresh process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

PIPE = 4096
"""How far the tap can be ahead of the target: as little as a pipe can hold."""
ROOT = Path(__file__).parents[2]
KEPT = ("PATH", "TMPDIR")


class Process(Protocol):
    """A running tap."""

    def signal(self, signum: int) -> None:
        """Send it a signal."""

    def wait(self) -> int:
        """Wait for its end and return its exit code; negative when a signal ended it."""


class Launcher(Protocol):
    """Starts taps, one at a time.

    Attributes:
        interval: Seconds between two states of the taps; None is the taps' own choice.
    """

    @property
    def interval(self) -> float | None: ...

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
            env=environment(cwd),
        )  # fmt: skip
        return _Whole(popen)


class _Whole:
    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen

    def signal(self, signum: int) -> None:
        self._popen.send_signal(signum)

    def wait(self) -> int:
        return self._popen.wait()


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a tap, with a home directory of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith("COVERAGE_")
    }
    return kept | {"HOME": str(home), "LC_ALL": "C.UTF-8"}


SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
