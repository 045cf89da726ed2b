"""At the end of a whole walk, the rows that came are held against Lev's own count."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.inprocess import catalog_of, config_of, sync
from tests.support import Target
from tests.test_resume import Unrest

if TYPE_CHECKING:
    from lev_sandbox import Request, SandboxServer
    from tests.conftest import StartLev

SHORT = "contacts: Lev counts 70 rows, but {} came: {} are missing."


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was told about missing rows."""
    return [text for text in caplog.messages if text.endswith(" are missing.")]


@pytest.mark.parametrize("every", [70, 7, 1])
@pytest.mark.parametrize("page_size", [10, 200])
def test_a_shortfall_is_told_and_stands_in_the_summary(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, every: int, page_size: int
) -> None:
    caplog.set_level("INFO")
    lev.sandbox.switch(lost_row_every=every)
    run = sync(config_of(lev, page_size=page_size), streams=("contacts",))
    lost = 70 // every
    sentence = SHORT.format(70 - lost, lost)
    assert run.exit_code == 0
    alone, in_the_summary = told(caplog)
    assert alone == sentence
    assert in_the_summary.startswith("Sync complete")
    assert in_the_summary.endswith(sentence)


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"pagination_total": False},
        {"empty_page_every": 3},
        {"pagination_shape": {"contacts": "none"}},
    ],
)
def test_a_walk_that_brings_everything_is_not_spoken_of(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, switches: dict[str, Any]
) -> None:
    lev.sandbox.switch(**switches)
    sync(config_of(lev, page_size=10), streams=("contacts", "deals", "deal_notes", "pipelines"))
    assert told(caplog) == []


@pytest.mark.parametrize("cut", [0, 1, 25, 40, 60])
@pytest.mark.parametrize("children", [(), ("contact_notes",)], ids=["rows", "with children"])
def test_a_walk_over_several_runs_is_counted_as_one(
    lev: SandboxServer,
    caplog: pytest.LogCaptureFixture,
    cut: int,
    children: tuple[str, ...],
) -> None:
    config, streams = config_of(lev, page_size=10), ("contacts", *children)
    target = Target()
    target.load(sync(config, streams=streams, kill_after=cut).messages, crash=True)
    sync(config, state=target.state, streams=streams)
    assert told(caplog) == []

    lev.sandbox.switch(lost_row_every=50)
    broken = Target()
    broken.load(sync(config, streams=streams, kill_after=cut).messages, crash=True)
    sync(config, state=broken.state, streams=streams)
    assert told(caplog) == [SHORT.format(69, 1)]


@pytest.mark.parametrize("lost", [None, 50])
def test_a_full_table_that_lacks_rows_drops_none(lev: SandboxServer, lost: int | None) -> None:
    """What Lev counts but did not send may well be there."""
    lev.sandbox.switch(lost_row_every=lost)
    config = config_of(lev, page_size=10, emit_activate_version_messages=True)
    catalog = catalog_of("contacts", "contact_notes")
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    run = sync(config, catalog=catalog)
    assert run.exit_code == 0
    dropped = {message["stream"] for message in run.of("ACTIVATE_VERSION")}
    assert dropped == (set() if lost else {"contacts", "contact_notes"})


def test_a_state_that_does_not_know_its_count_is_not_compared(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(lev, page_size=10)
    state = sync(config, streams=("contacts",), kill_after=40).state
    assert state is not None
    del state["bookmarks"]["contacts"]["walk"]["seen"]
    run = sync(config, state=state, streams=("contacts",))
    assert run.exit_code == 0
    assert told(caplog) == []


def test_a_filtered_walk_is_not_compared(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(lev)
    state = sync(config, streams=("contacts",)).state
    lev.sandbox.clock.advance(3600)
    lev.sandbox.touch("contacts", 3)
    lev.sandbox.switch(lost_row_every=1)
    sync(config, state=state, streams=("contacts",))
    assert told(caplog) == []


@pytest.mark.parametrize("answer", ["400", "422", "ignored"])
def test_where_lev_does_not_filter_every_walk_is_compared(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    lev.sandbox.switch(updated_at_filter={"contacts": answer})
    config = config_of(lev, page_size=10)
    state = sync(config, streams=("contacts",)).state
    lev.sandbox.clock.advance(3600)
    lev.sandbox.switch(lost_row_every=70)
    sync(config, state=state, streams=("contacts",))
    assert told(caplog) == [SHORT.format(69, 1)]


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_come_and_go_meanwhile_are_no_shortfall(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    lev = start_lev(seed=seed)
    unrest = Unrest(lev.sandbox, seed, 0.9)
    sync(config_of(lev, page_size=5), streams=("contacts", "companies"))
    unrest.stop()
    assert told(caplog) == []


def test_rows_that_vanish_ahead_of_the_walk_are_no_shortfall(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(1)

    def remove(request: Request) -> None:
        if request.path == "/contacts" and "cursor" in dict(request.query):
            ids = [row["id"] for row in lev.sandbox.rows("contacts")]
            lev.sandbox.remove("contacts", chance.choice(ids[-5:]))

    lev.sandbox.on_request(remove)
    sync(config_of(lev, page_size=10), streams=("contacts",))
    assert told(caplog) == []


def test_an_empty_page_of_a_list_that_comes_as_an_object_ends_nothing(lev: SandboxServer) -> None:
    lev.sandbox.switch(
        data_shape={"base_rates": "object"},
        pagination_shape={"base_rates": "cursor"},
        empty_page_every=2,
    )
    for _ in range(2):  # the empty page is the first one of the second run
        run = sync(config_of(lev), streams=("base_rates",))
        assert run.exit_code == 0
        assert len(run.records("base_rates")) == len(lev.sandbox.rows("base_rates"))
