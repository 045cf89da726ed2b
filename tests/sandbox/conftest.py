"""What the sandbox's tests share."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.sandbox.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sandbox.lab import Json


@pytest.fixture
def serve() -> Iterator[Callable[..., Lab]]:
    """Serve sandboxes until the test is over."""
    with ExitStack() as stack:

        def start(**options: Json) -> Lab:
            return stack.enter_context(Lab(**options))

        yield start


@pytest.fixture(scope="session")
def shared() -> Iterator[Lab]:
    """One sandbox for many tests; use `lab`."""
    with Lab() as lab:
        yield lab


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """A small sandbox in its first state."""
    shared.sandbox.reset()
    shared.session.cookies.clear()
    yield shared
    shared.sandbox.reset()
