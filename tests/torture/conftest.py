from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.runner import RoundRunner

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def runner() -> Iterator[RoundRunner]:
    """What rounds need: a second of work, once for each process."""
    with RoundRunner() as runner:
        yield runner
