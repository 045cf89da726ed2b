from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """What rounds need: a second of work, once for each process."""
    with Rig() as rig:
        yield rig
