"""The proof of the filter: a row that comes proves only what lies behind it."""

from __future__ import annotations

import pytest

from lev_sandbox import Clock, Sandbox, SandboxServer
from tests.support.inprocess import config_of, sync

EARLY = "2024-01-01T00:00:00Z"
DATES = {
    # What is changed below is older than each bound that is sent.
    1: ("2023-01-01T00:00:00Z", "2023-01-02T00:00:00Z"),
    # Created after the bound of the notes' first walk: a filter on created_at returns it.
    2: ("2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z"),
    3: ("2025-03-01T00:00:00Z", "2025-04-02T00:00:00Z"),
}


@pytest.mark.parametrize("reading", ["created_at", "whole_days", "local_time", "local_time_east"])
def test_a_row_that_comes_anyway_proves_no_filter(reading: str) -> None:
    """Another stream of the list needs an earlier bound, which the known rows do not prove."""
    clock = Clock("2026-11-02T08:00:00Z", frozen=True)
    with SandboxServer(Sandbox(seed=1, contacts=3, contact_notes=2, clock=clock)) as lev:
        for key, (created_at, updated_at) in DATES.items():
            lev.sandbox.update("contacts", key, created_at=created_at, updated_at=updated_at)
        config = config_of(lev, start_date=EARLY, per_parent_scope="changed")
        first = sync(config, streams=("contacts",))
        assert first.state
        assert [key for key, _ in first.state["bookmarks"]["contacts"]["canaries"]] == [3, 2]
        lev.sandbox.switch(updated_at_filter={"contacts": reading})
        clock.advance(3600)
        lev.sandbox.update("contacts", 1, title="Partner", updated_at="2024-01-01T00:00:01Z")
        second = sync(config, state=first.state, streams=("contacts", "contact_notes"))
    assert second.exit_code == 0
    assert {row["contact_id"] for row in second.records("contact_notes")} == {1, 2, 3}
