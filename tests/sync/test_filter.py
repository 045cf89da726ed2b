"""The filter on ``updated_at``: whatever Lev does with it, no changed row is lost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox import Clock
from tests.cli.test_check import check, found
from tests.support.expected_rows import truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import Target, run_tap

if TYPE_CHECKING:
    from collections.abc import Callable

    from lev_sandbox import Entry, Sandbox, SandboxServer
    from tests.conftest import StartLev

FILTER = "filter[updated_at][gte]"
FILTERS = (
    *("honoured", "gt", "local_time_east", "whole_days_from", "refused_with_cursor"),
    *("none", "equals", "created_at", "local_time", "whole_days", "ignored", "400", "422"),
)
"""All that the sandbox can do with the filter."""
PROVEN = FILTERS[:4]
"""Those that bring every changed row, if not only these."""
NOON = "2026-11-03T12:00:00Z"
CONTACTS = 45
STREAMS = ("contacts",)
CATALOG = catalog_of(*STREAMS)


@pytest.fixture
def lev(start_lev: StartLev) -> SandboxServer:
    """A Lev whose time is known."""
    return start_lev(contacts=CONTACTS, clock=Clock(NOON))


def answers(lev: SandboxServer, filtering: str) -> None:
    """Have Lev do something with the filter."""
    lev.sandbox.switch(updated_at_filter={"contacts": filtering})


def pages(lev: SandboxServer, *, filtered: bool) -> list[Entry]:
    """The requests for contacts with a filter, or without one."""
    lists = [entry for entry in lev.sandbox.requests if entry.route == "/contacts"]
    return [entry for entry in lists if (FILTER in dict(entry.query)) == filtered]


def canaries_of(lev: SandboxServer, state: dict[str, Any] | None) -> list[int]:
    """The ids of the rows that prove the filter, as far as they are there."""
    assert state is not None
    there = {row["id"] for row in lev.sandbox.rows("contacts")}
    canaries = state["bookmarks"]["contacts"].get("canaries", [])
    return [key for key, _ in canaries if key in there]


def whole(lev: SandboxServer, target: Target) -> None:
    """Make sure that a table has each row that Lev has, as Lev has it."""
    loaded = {row["id"]: row for row in target.rows("contacts")}
    for row in truth(lev, "contacts"):
        assert loaded.get(row["id"]) == row


def told(caplog: pytest.LogCaptureFixture) -> Counter[str]:
    """The warnings of a run, but that a page comes again from the beginning."""
    return Counter(r.getMessage() for r in caplog.records if r.levelname == "WARNING")


# -- Runs one after the other


def change(sandbox: Sandbox, *keys: int) -> None:
    """Change rows, as far as they are there."""
    there = {row["id"] for row in sandbox.rows("contacts")}
    for key in there.intersection(keys):
        sandbox.update("contacts", key, title=sandbox.timestamp())


def nothing(_: Sandbox, canaries: list[int]) -> None:
    """Change nothing."""


def old_rows(sandbox: Sandbox, _: list[int]) -> None:
    """Change rows of long ago."""
    change(sandbox, 3, 17, 31)


def new_rows(sandbox: Sandbox, _: list[int]) -> None:
    """Add rows: their ``created_at`` is after the bookmark, too."""
    for _ in range(3):
        sandbox.add("contacts", title=sandbox.timestamp())


def canaries_changed(sandbox: Sandbox, canaries: list[int]) -> None:
    """Change all that could prove the filter, and another row."""
    change(sandbox, 3, *canaries)


def canaries_deleted(sandbox: Sandbox, canaries: list[int]) -> None:
    """Delete all that could prove the filter, and change other rows."""
    for key in canaries:
        sandbox.remove("contacts", key)
    change(sandbox, 3, 17, 31)


def one_canary_deleted(sandbox: Sandbox, canaries: list[int]) -> None:
    """Delete one of two, and change other rows."""
    canaries_deleted(sandbox, canaries[:1])


CHANGES = (nothing, old_rows, new_rows, canaries_changed, canaries_deleted, one_canary_deleted)


@pytest.mark.parametrize("happens", CHANGES)
@pytest.mark.parametrize("filtering", FILTERS)
def test_no_changed_row_is_lost(
    lev: SandboxServer, filtering: str, happens: Callable[[Sandbox, list[int]], None]
) -> None:
    target, config = Target(), config_of(lev, page_size=10)
    target.load(sync(config, catalog=CATALOG).messages)
    whole(lev, target)
    answers(lev, filtering)
    for _ in range(2):
        lev.sandbox.clock.advance(60)  # the same day, and within the overlap
        happens(lev.sandbox, canaries_of(lev, target.state))
        lev.sandbox.clock.advance(3600)
        happens(lev.sandbox, canaries_of(lev, target.state))
        lev.sandbox.clock.advance(3600)
        run = sync(config, catalog=CATALOG, state=target.state)
        assert run.exit_code == 0
        target.load(run.messages)
        whole(lev, target)


@pytest.mark.parametrize("filtering", FILTERS)
def test_no_row_that_changed_on_another_day_is_lost(lev: SandboxServer, filtering: str) -> None:
    target, config = Target(), config_of(lev, page_size=10)
    answers(lev, filtering)
    for hours in (0, 30, 7, 20):
        lev.sandbox.clock.advance(3600 * hours)
        old_rows(lev.sandbox, [])
        lev.sandbox.clock.advance(600)
        run = sync(config, catalog=CATALOG, state=target.state)
        assert run.exit_code == 0
        target.load(run.messages)
        whole(lev, target)


@pytest.mark.parametrize("happens", [nothing, old_rows, new_rows, one_canary_deleted])
@pytest.mark.parametrize("filtering", PROVEN)
def test_a_filter_that_is_proven_needs_no_other_read(
    lev: SandboxServer,
    caplog: pytest.LogCaptureFixture,
    filtering: str,
    happens: Callable[[Sandbox, list[int]], None],
) -> None:
    target, config = Target(), config_of(lev)
    answers(lev, filtering)
    target.load(sync(config, catalog=CATALOG).messages)
    for _ in range(3):
        lev.sandbox.clock.advance(3600)
        happens(lev.sandbox, canaries_of(lev, target.state))
        lev.sandbox.clock.advance(3600)
        lev.sandbox.clear_log()
        run = sync(config, catalog=CATALOG, state=target.state)
        target.load(run.messages)
        assert not pages(lev, filtered=False)
        # Where the canaries have changed, another row's own moment is requested.
        assert len(pages(lev, filtered=True)) <= 2
        whole(lev, target)
    assert told(caplog) == Counter()


@pytest.mark.parametrize("filtering", FILTERS[5:])
def test_what_is_read_instead_is_told_once(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, filtering: str
) -> None:
    target, config = Target(), config_of(lev, page_size=10)
    answers(lev, filtering)
    change(lev.sandbox, 40, 41)  # what proves the filter has changed shortly before
    lev.sandbox.clock.advance(600)
    target.load(sync(config, catalog=CATALOG).messages)
    lev.sandbox.clock.advance(3600)
    old_rows(lev.sandbox, [])
    lev.sandbox.clock.advance(3600)
    caplog.clear()
    run = sync(config, catalog=CATALOG, state=target.state)
    assert run.exit_code == 0
    assert sorted(row["id"] for row in run.records("contacts")) == [3, 17, 31], "and no other row"
    (sentence,) = [text for text in told(caplog) if FILTER in text]
    assert told(caplog)[sentence] == 1
    reason = {"ignored": "Lev ignores", "400": "does not accept", "422": "does not accept"}
    assert reason.get(filtering, "does not honour") in sentence


@pytest.mark.parametrize("dialect", [None, "next_url"])
def test_a_filter_that_is_refused_together_with_a_cursor_is_left_out(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, dialect: str | None
) -> None:
    target, config = Target(), config_of(lev, page_size=10)
    answers(lev, "refused_with_cursor")
    lev.sandbox.switch(pagination_dialect={"contacts": dialect} if dialect else {})
    target.load(sync(config, catalog=CATALOG).messages)
    lev.sandbox.clock.advance(3600)
    changed = [row["id"] for row in lev.sandbox.touch("contacts", 25)]
    lev.sandbox.clock.advance(3600)
    caplog.clear()
    lev.sandbox.clear_log()
    run = sync(config, catalog=CATALOG, state=target.state)
    assert run.exit_code == 0
    assert {row["id"] for row in run.records("contacts")} == set(changed)
    assert len(pages(lev, filtered=True)) == 2, "a page, and one with a cursor"
    assert any("together with a cursor" in text for text in told(caplog))


def test_a_canary_that_is_gone_does_not_disprove_the_filter(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(lev)
    state = sync(config, catalog=CATALOG).state
    for key in canaries_of(lev, state):
        lev.sandbox.remove("contacts", key)
    lev.sandbox.clock.advance(3600)
    lev.sandbox.clear_log()
    run = sync(config, catalog=CATALOG, state=state)
    assert run.exit_code == 0
    assert pages(lev, filtered=False), "nothing proves it, so everything is read"
    assert not [text for text in told(caplog) if "honour" in text]
    lev.sandbox.clear_log()
    lev.sandbox.clock.advance(3600)
    again = sync(config, catalog=CATALOG, state=run.state)
    assert again.exit_code == 0
    assert not pages(lev, filtered=False), "other rows prove it now"


def test_only_a_run_that_is_complete_leaves_canaries(lev: SandboxServer) -> None:
    """One that changed after the bookmark does not show that rows from before it come."""
    config, target = config_of(lev, page_size=10), Target()
    target.load(sync(config, catalog=CATALOG).messages)
    assert target.state is not None
    before = target.state["bookmarks"]["contacts"]["canaries"]
    lev.sandbox.clock.advance(3600)
    old_rows(lev.sandbox, [])
    lev.sandbox.clock.advance(24 * 3600)
    change(lev.sandbox, 11, 12)
    lev.sandbox.switch(lost_row_every=12)
    failed = sync(config, catalog=CATALOG, state=target.state)
    assert failed.exit_code == 1
    assert failed.state is not None
    assert failed.state["bookmarks"]["contacts"]["canaries"] == before


# -- First runs


@pytest.mark.parametrize("page_size", [10, 200])
@pytest.mark.parametrize("filtering", FILTERS)
def test_a_first_run_with_a_start_date_proves_the_filter_too(
    lev: SandboxServer, filtering: str, page_size: int
) -> None:
    answers(lev, filtering)
    start = "2024-03-01T00:00:00Z"
    config = config_of(lev, page_size=page_size, start_date=start)
    run = sync(config, catalog=CATALOG)
    assert run.exit_code == 0
    wanted = {row["id"] for row in truth(lev, "contacts") if row["updated_at"] >= start}
    created = {row["id"] for row in truth(lev, "contacts") if row["created_at"] >= start}
    assert wanted - created, "a filter on created_at leaves some out"
    assert {row["id"] for row in run.records("contacts")} == wanted
    if filtering in {"honoured", "gt"}:
        assert not pages(lev, filtered=False)


@pytest.mark.parametrize("happens", [nothing, old_rows, new_rows])
@pytest.mark.parametrize("filtering", FILTERS)
def test_the_first_run_after_the_upgrade_has_no_canaries(
    lev: SandboxServer,
    caplog: pytest.LogCaptureFixture,
    filtering: str,
    happens: Callable[[Sandbox, list[int]], None],
) -> None:
    target, config = Target(), config_of(lev, page_size=10)
    target.load(sync(config, catalog=CATALOG).messages)
    assert target.state is not None
    value = target.state["bookmarks"]["contacts"]["replication_key_value"]
    entry = {"replication_key": "updated_at", "replication_key_value": value}
    target.state = {"bookmarks": {"contacts": entry}}
    lev.sandbox.clock.advance(3600)
    happens(lev.sandbox, canaries_of(lev, target.state))
    lev.sandbox.clock.advance(3600)
    answers(lev, filtering)
    caplog.clear()
    for _ in range(2):
        run = sync(config, catalog=CATALOG, state=target.state)
        assert run.exit_code == 0
        target.load(run.messages)
        whole(lev, target)
    if filtering in {"honoured", "gt"}:
        assert told(caplog) == Counter()


# -- Rows without a date


@pytest.mark.parametrize("undated", [0, 9])
def test_rows_without_a_date_are_read_once_a_day(start_lev: StartLev, undated: int) -> None:
    lev = start_lev(contacts=CONTACTS, clock=Clock(NOON), null_updated_every=undated)
    target, config = Target(), config_of(lev)
    target.load(sync(config, catalog=CATALOG).messages)
    assert target.state is not None
    assert target.state["bookmarks"]["contacts"]["undated"] == bool(undated)
    without = [row["id"] for row in truth(lev, "contacts") if row["updated_at"] is None]
    assert bool(without) == bool(undated)
    unfiltered = []
    for hours in (1, 2, 24, 1):
        lev.sandbox.clock.advance(3600 * hours)
        for key in without:
            lev.sandbox.update("contacts", key, title=lev.sandbox.timestamp(), updated_at=None)
        lev.sandbox.clear_log()
        run = sync(config, catalog=CATALOG, state=target.state)
        assert run.exit_code == 0
        target.load(run.messages)
        unfiltered.append(len(pages(lev, filtered=False)))
        if unfiltered[-1]:
            whole(lev, target)
    assert unfiltered == ([0, 0, 1, 0] if undated else [0, 0, 0, 0])


# -- Settings


@pytest.mark.parametrize("filtering", ["honoured", "none"])
def test_who_insists_on_the_filter_vouches_for_it(lev: SandboxServer, filtering: str) -> None:
    config = config_of(lev, updated_at_filter="server")
    state = sync(config, catalog=CATALOG).state
    lev.sandbox.clock.advance(3600)
    lev.sandbox.update("contacts", 3, title="Partner")
    answers(lev, filtering)
    lev.sandbox.clear_log()
    run = sync(config, catalog=CATALOG, state=state)
    assert run.exit_code == 0
    assert len(run.records("contacts")) == (1 if filtering == "honoured" else 0)
    assert not pages(lev, filtered=False)


# -- What --check says of it

VERDICTS = {
    **dict.fromkeys(FILTERS, "not proven"),
    **dict.fromkeys(("honoured", "refused_with_cursor"), "honoured"),
    **dict.fromkeys(("400", "422"), "refused"),
    "ignored": "ignored",
}


@pytest.mark.parametrize("filtering", FILTERS)
def test_check_says_honoured_only_where_it_is_seen(lev: SandboxServer, filtering: str) -> None:
    for key in (5, 9):
        lev.sandbox.clock.advance(3600)
        lev.sandbox.update("contacts", key)
    answers(lev, filtering)
    report = check(lev, "contacts")
    assert found(report, "contacts")["updated_at_filter"] == VERDICTS[filtering]


def test_check_does_not_say_honoured_of_rows_that_are_only_new(lev: SandboxServer) -> None:
    """A filter on another date would bring them, too."""
    for row in lev.sandbox.rows("contacts"):
        lev.sandbox.update("contacts", row["id"], updated_at=row["created_at"])
    report = check(lev, "contacts")
    assert found(report, "contacts")["updated_at_filter"] == "not proven"


def test_what_is_not_proven_is_named_in_the_summary(lev: SandboxServer) -> None:
    answers(lev, "none")
    config = config_of(lev)
    first = run_tap(config, catalog=CATALOG)
    lev.sandbox.clock.advance(3600)
    run = run_tap(config, state=first.state, catalog=CATALOG)
    assert run.exit_code == 0
    (summary,) = [text for text in run.log("INFO") if text.startswith("Sync complete")]
    assert f"Lev does not honour {FILTER}" in summary
