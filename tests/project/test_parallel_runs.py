"""The long runs: a signal ends all that they have started, and what is known by then is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.parallel_runs import spread

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parents[2]
SECONDS = 60


@pytest.mark.parametrize(
    ("module", "at_work", "signum"),
    [
        ("tests.torture", "tests.torture.forkserver", signal.SIGTERM),
        ("tests.torture", "tests.torture.forkserver", signal.SIGINT),
        ("tests.pipelines.crashes", "tap_lev", signal.SIGTERM),
    ],
)
def test_a_signal_ends_everything_and_tells_what_is_known(
    tmp_path: Path, module: str, at_work: str, signum: signal.Signals
) -> None:
    command = [sys.executable, "-m", module, "--rounds", "100", "--processes", "1"]
    log = tmp_path / "log"
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=env) as popen,
    ):
        try:
            family = await_one(psutil.Process(popen.pid), at_work)
            popen.send_signal(signum)
            exit_code = popen.wait(SECONDS)
        finally:
            popen.kill()
    assert exit_code == 128 + signum
    _, alive = psutil.wait_procs(family, SECONDS)
    assert alive == []
    assert "Traceback" not in log.read_text()
    assert "rounds" in log.read_text()


def await_one(process: psutil.Process, at_work: str) -> list[psutil.Process]:
    """Wait for a certain process below another; return all that are below it."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        family = process.children(recursive=True)
        if any(at_work in commands(each) for each in family):
            return family
        time.sleep(0.01)
    raise AssertionError(f"There is no {at_work}.")


def commands(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def squares(number: int) -> Generator[int]:
    yield number
    yield number * number


def dies(number: int) -> Generator[int]:
    yield number
    sys.exit(number)


def test_every_task_is_played_in_some_process() -> None:
    assert sorted(spread(squares, range(1, 8), 2)) == sorted(
        result for number in range(1, 8) for result in (number, number * number)
    )


def test_a_process_that_dies_is_no_end_of_the_rounds() -> None:
    with pytest.raises(ChildProcessError, match="A process died: 7"):
        [*spread(dies, [7], 2)]
