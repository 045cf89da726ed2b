"""What the tests of whole pipelines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devtools.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devtools.postgres import Server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server."""
    with running_postgres() as server:
        yield server
