"""What the tests of hostile input share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lev_sandbox import Sandbox, SandboxServer
from tests.hostile import counts
from tests.torture.forkserver import ForkServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.forkserver import ForkLauncher


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkLauncher]:
    """Runs taps as forks, for tests that only look at the output."""
    with ForkServer() as server, server.launcher() as launcher:
        yield launcher


@pytest.fixture(scope="module")
def account() -> Iterator[SandboxServer]:
    """A Lev that no test changes but by faults."""
    with SandboxServer(Sandbox(deals=3, contacts=12, companies=3, placements=3)) as server:
        yield server


def pytest_sessionfinish() -> None:
    """Leave the counts to whoever asked for the long version."""
    if name := os.environ.get(counts.DIRECTORY):
        counts.save(Path(name))
