"""A few rounds of crashes; ``make crashes`` plays more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from devtools.postgres import running_postgres
from tests.pipelines.crashes import play
from tests.pipelines.targets import needs_duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devtools.postgres import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL server that nothing else uses, since it is killed."""
    with running_postgres(durable=True) as server:
        yield server


@pytest.mark.parametrize(
    ("way", "seed"),
    [
        ("postgres", 2),
        pytest.param("duckdb", 1, marks=needs_duckdb),
        ("meltano", 2),
    ],
)
def test_nothing_is_lost_between_the_tap_and_the_tables(
    way: str, seed: int, tmp_path: Path, server: Server
) -> None:
    outcome = play(way, seed, tmp_path, server)
    assert not outcome.findings, str(outcome)
    assert outcome.counts["broken"], str(outcome)
    assert outcome.counts["rows"]


@needs_duckdb
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child outlives its parent")
def test_a_target_that_gives_back_states_too_early_is_found(tmp_path: Path, server: Server) -> None:
    outcome = play("duckdb", 2, tmp_path, server, early_states=True)
    assert outcome.counts["lost"], str(outcome)
