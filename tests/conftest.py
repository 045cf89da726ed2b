"""What many tests share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import HealthCheck, settings

from lev_sandbox import Sandbox, SandboxServer

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long an example takes says something of the machine, not of the tap.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")

SMALL = {
    "deals": 45, "placements": 60, "contacts": 70, "companies": 25, "lenders": 5,
}  # fmt: skip


class StartLev(Protocol):
    """Starts a Lev."""

    def __call__(self, **options: Any) -> SandboxServer:  # noqa: ANN401
        """Start a sandbox with these options; sizes are small unless given."""


@pytest.fixture
def start_lev() -> Iterator[StartLev]:
    """Start as many sandboxes as the test wants."""
    with contextlib.ExitStack() as servers:

        def start(**options: Any) -> SandboxServer:  # noqa: ANN401
            return servers.enter_context(SandboxServer(Sandbox(**{**SMALL, **options})))

        yield start


@pytest.fixture
def lev(start_lev: StartLev) -> SandboxServer:
    """A small Lev account."""
    return start_lev()
