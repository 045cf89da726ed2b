"""At the end of a whole walk, the rows that came are held against Lev's own count."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.expected_rows import landed, truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import Target
from tests.sync.test_resume import Unrest

if TYPE_CHECKING:
    from lev_sandbox import Request, SandboxServer
    from tests.conftest import StartLev
    from tests.support.process import Run

ROWS = 70


def told(caplog: pytest.LogCaptureFixture, stream: str = "contacts") -> list[str]:
    """What was told about missing rows of a stream."""
    return [text for text in caplog.messages if f"rows of {stream}" in text and "counts" in text]


def entry_of(state: dict[str, Any] | None, stream: str = "contacts") -> dict[str, Any]:
    """What a state says of a stream."""
    assert state is not None
    held: dict[str, Any] = state["bookmarks"][stream]
    return held


def entry(run: Run, stream: str = "contacts") -> dict[str, Any]:
    """What a run's last state says of a stream."""
    return entry_of(run.state, stream)


def assert_failed(run: Run, caplog: pytest.LogCaptureFixture, lost: int) -> None:
    """Make sure that a run ended with 1 because rows of contacts are missing, and says which."""
    assert run.exit_code == 1
    (sentence,) = told(caplog)
    is_or_are = "is" if lost == 1 else "are"
    assert sentence == (
        f"The stream contacts is not complete: Lev counts {ROWS} rows of contacts, but "
        f"{ROWS - lost} came: {lost} {is_or_are} missing. The next run reads all rows again. To "
        'accept the gap, set accepted_gaps to {"contacts": "total"}.'
    )
    assert entry(run)["replication_key_value"] is None
    assert entry(run)["shortfall"] == [lost, 1]
    assert entry(run)["walk"]["cursor"] is None, "the next run reads all rows again"


def note(lost: int, walks: int = 2) -> str:
    """What each summary says of a count that is taken for Lev's own."""
    return (
        f"contacts: Lev counts {lost} more rows of contacts than it sends, in each of {walks} "
        "walks through all of them: taken for Lev's own count."
    )


# -- A walk through all rows


@pytest.mark.parametrize("every", [70, 7, 1])
@pytest.mark.parametrize("page_size", [10, 200])
def test_a_shortfall_ends_the_run_with_1_and_keeps_the_bookmark(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, every: int, page_size: int
) -> None:
    lev.sandbox.switch(lost_row_every=every)
    run = sync(config_of(lev, page_size=page_size), streams=("contacts",))
    assert_failed(run, caplog, ROWS // every)
    assert len(run.records("contacts")) == ROWS - ROWS // every


def test_a_shortfall_that_heals_was_one(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(lev, page_size=10)
    lev.sandbox.switch(lost_row_every=7)
    first = sync(config, streams=("contacts",))
    assert first.exit_code == 1
    caplog.clear()
    lev.sandbox.clear_log()
    lev.sandbox.switch(lost_row_every=None)
    second = sync(config, streams=("contacts",), state=first.state)
    assert second.exit_code == 0
    assert landed(second, "contacts") == truth(lev, "contacts")
    assert told(caplog) == []
    assert entry(second)["shortfall"] is None
    assert entry(second)["replication_key_value"]


@pytest.mark.parametrize("lies", [False, True], ids=["rows lost", "count lies"])
def test_the_same_shortfall_twice_is_lev_s_own_count(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, *, lies: bool
) -> None:
    """Rows that Lev counts but shows to nobody must not keep a stream back for ever."""
    caplog.set_level("INFO")
    config = config_of(lev, page_size=10)
    config["emit_activate_version_messages"] = True
    lev.sandbox.switch(**({"total_says": {"contacts": 10}} if lies else {"lost_row_every": 7}))
    catalog = catalog_of("contacts")
    for each in catalog["streams"]:
        each["replication_method"] = "FULL_TABLE"
    first = sync(config, catalog=catalog)
    assert first.exit_code == 1
    state = first.state
    for walks in (2, 3):
        lev.sandbox.clock.advance(60)
        caplog.clear()
        run = sync(config, catalog=catalog, state=state)
        assert run.exit_code == 0
        assert not run.of("ACTIVATE_VERSION"), "what Lev counts may well be there"
        alone, in_the_summary = told(caplog)
        assert alone == note(10, walks)
        assert in_the_summary.startswith("Sync complete")
        assert in_the_summary.endswith(note(10, walks))
        assert entry(run)["shortfall"] == [10, walks]
        state = run.state


def test_the_note_stays_in_the_summaries_of_filtered_walks(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(lev, page_size=10)
    lev.sandbox.switch(lost_row_every=7)
    state = sync(config, streams=("contacts",)).state
    state = sync(config, streams=("contacts",), state=state).state
    lev.sandbox.clock.advance(3600)
    lev.sandbox.switch(lost_row_every=None)
    lev.sandbox.update("contacts", 3, title="Partner")
    lev.sandbox.clear_log()
    caplog.clear()
    run = sync(config, streams=("contacts",), state=state)
    assert run.exit_code == 0
    assert [row["id"] for row in run.records("contacts")] == [3]
    assert len(lev.sandbox.requests) == 2, "no second walk any more"
    assert note(10) in told(caplog)


@pytest.mark.parametrize(("first", "second"), [(7, 10), (10, 7), (70, 35)])
def test_a_shortfall_that_differs_proves_nothing(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, first: int, second: int
) -> None:
    config = config_of(lev, page_size=10)
    lev.sandbox.switch(lost_row_every=first)
    state = sync(config, streams=("contacts",)).state
    caplog.clear()
    lev.sandbox.switch(lost_row_every=second)
    run = sync(config, streams=("contacts",), state=state)
    assert_failed(run, caplog, ROWS // second)
    # The third walk shows what the second one did.
    assert sync(config, streams=("contacts",), state=run.state).exit_code == 0


@pytest.mark.parametrize("word", [True, False])
def test_an_end_that_is_not_lev_s_word_proves_nothing(start_lev: StartLev, *, word: bool) -> None:
    """A list that stops without a word may stop for any reason."""
    lev = start_lev(contacts=75)
    lev.sandbox.switch(total_says={"contacts": 3})
    state, exits = None, []
    for _ in range(2):
        lev.sandbox.clear_faults()
        if not word:  # the last page of eight does not say that it is the last
            lev.sandbox.fault("no_pagination", route="/contacts", at=8)
        run = sync(config_of(lev, page_size=10), streams=("contacts",), state=state)
        assert len(run.records("contacts")) == 75
        exits.append(run.exit_code)
        state = run.state
    assert exits == ([1, 0] if word else [1, 1])
    assert entry(run)["shortfall"] == [3, 2 if word else 1]


@pytest.mark.parametrize("named", ["contacts", "contact_notes"])
def test_a_shortfall_that_is_accepted_is_in_each_summary(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, named: str
) -> None:
    caplog.set_level("INFO")
    lev.sandbox.switch(total_says={"contacts": 10})
    config = config_of(lev, accepted_gaps={named: "total"})
    state = None
    for _ in range(2):
        run = sync(config, streams=(named,), state=state)
        state = run.state
        assert run.exit_code == 0
        summary = next(text for text in caplog.messages if text.startswith("Sync complete"))
        assert f"{named}: 10 of Lev's count" in summary
        caplog.clear()


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
    (of_contacts,) = [text for text in told(caplog) if "stream contacts is" in text]
    assert "but 69 came: 1 is missing" in of_contacts


@pytest.mark.parametrize("lost", [None, 50])
def test_a_full_table_that_lacks_rows_drops_none(lev: SandboxServer, lost: int | None) -> None:
    """What Lev counts but did not send may well be there."""
    lev.sandbox.switch(lost_row_every=lost)
    config = config_of(lev, page_size=10, emit_activate_version_messages=True)
    catalog = catalog_of("contacts", "contact_notes")
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    run = sync(config, catalog=catalog)
    assert run.exit_code == (1 if lost else 0)
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


# -- A walk through the changed rows


@pytest.mark.parametrize("total", ["filtered", "all"])
def test_a_filtered_walk_that_brings_what_lev_counts_needs_nothing_more(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, total: str
) -> None:
    config = config_of(lev)
    state = sync(config, streams=("contacts",)).state
    lev.sandbox.clock.advance(3600)
    changed = [row["id"] for row in lev.sandbox.touch("contacts", 3)]
    lev.sandbox.switch(filtered_total=total)
    lev.sandbox.clear_log()
    run = sync(config, state=state, streams=("contacts",))
    assert run.exit_code == 0
    assert {row["id"] for row in run.records("contacts")} == set(changed)
    # A total of all rows costs one request more: for a row, and the total, without the filter.
    assert len(lev.sandbox.requests) == (2 if total == "filtered" else 3)
    assert told(caplog) == []


@pytest.mark.parametrize("fails", ["lost_row_every", "early_end"])
def test_a_filtered_walk_that_lacks_rows_is_read_again_without_the_filter(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    config = config_of(lev, page_size=5)
    state = sync(config, streams=("contacts",)).state
    lev.sandbox.clock.advance(3600)
    changed = {row["id"] for row in lev.sandbox.touch("contacts", 20)}
    before = entry_of(state)["replication_key_value"]
    if fails == "early_end":
        lev.sandbox.fault("early_end", route="/contacts", at=3)
    else:
        lev.sandbox.switch(lost_row_every=5)
    run = sync(config, state=state, streams=("contacts",))
    came = {row["id"] for row in run.records("contacts")}
    if fails == "early_end":
        assert run.exit_code == 0
        assert came == changed
        assert told(caplog) == []
        assert entry(run)["replication_key_value"] > before
    else:
        assert run.exit_code == 1
        assert came == {key for key in changed if key % 5}
        assert "but 56 came: 14 are missing" in told(caplog)[0]
        assert entry(run)["replication_key_value"] == before
        lev.sandbox.switch(lost_row_every=None)
        healed = sync(config, state=run.state, streams=("contacts",))
        assert healed.exit_code == 0
        assert {row["id"] for row in healed.records("contacts")} == changed


@pytest.mark.parametrize("answer", ["400", "422", "ignored"])
def test_where_lev_does_not_filter_every_walk_is_compared(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    lev.sandbox.switch(updated_at_filter={"contacts": answer})
    config = config_of(lev, page_size=10)
    state = sync(config, streams=("contacts",)).state
    before = entry_of(state)["replication_key_value"]
    lev.sandbox.clock.advance(3600)
    lev.sandbox.switch(lost_row_every=70)
    caplog.clear()
    run = sync(config, state=state, streams=("contacts",))
    assert run.exit_code == 1
    (sentence,) = told(caplog)
    assert "Lev counts 70 rows of contacts, but 69 came: 1 is missing" in sentence
    assert entry(run)["replication_key_value"] == before


# -- No shortfall


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


# -- A page that comes again in place of another


@pytest.mark.parametrize("total", [True, False], ids=["counted", "not counted"])
@pytest.mark.parametrize("stream", ["contacts", "placements"])
def test_a_page_in_place_of_the_next_is_requested_once_more(
    lev: SandboxServer,
    caplog: pytest.LogCaptureFixture,
    stream: str,
    total: bool,  # noqa: FBT001
) -> None:
    lev.sandbox.switch(pagination_total=total)
    lev.sandbox.fault("repeat_page", route=f"/{stream}", at=3)
    run = sync(config_of(lev, page_size=10), streams=(stream,))
    assert run.exit_code == 0
    rows = [row["id"] for row in run.records(stream)]
    assert rows == sorted({row["id"] for row in lev.sandbox.rows(stream)})
    assert told(caplog, stream) == []


@pytest.mark.parametrize("total", [True, False], ids=["counted", "not counted"])
def test_a_resumed_walk_knows_a_page_from_before_its_place(
    lev: SandboxServer,
    total: bool,  # noqa: FBT001
) -> None:
    lev.sandbox.switch(pagination_total=total)
    config, target = config_of(lev, page_size=10), Target()
    later = lev.sandbox.fault("repeat_page", route="/contacts", at=10**6)
    cut = sync(config, streams=("contacts",), kill_after=27)
    target.load(cut.messages, crash=True)
    assert target.state is not None
    assert target.state["bookmarks"]["contacts"]["walk"]["cursor"]
    lev.sandbox.faults.remove(later)
    lev.sandbox.fault("repeat_page", route="/contacts")
    run = sync(config, state=target.state, streams=("contacts",))
    target.load(run.messages)
    assert run.exit_code == 0
    assert [row["id"] for row in target.rows("contacts")] == list(range(1, ROWS + 1))


@pytest.mark.parametrize("variant", ["skip", "again"])
def test_a_page_that_comes_again_and_again_ends_the_list(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, variant: str
) -> None:
    lev.sandbox.fault("repeat_page", route="/contacts", at=3, times=None, variant=variant)
    run = sync(config_of(lev, page_size=10), streams=("contacts",))
    assert run.exit_code == 1
    assert any("again and again" in text for text in caplog.messages)
    assert len(lev.sandbox.requests) < 9
    assert entry(run)["replication_key_value"] is None
