"""One walk for many streams: what it leaves behind when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_lev.errors import LevAPIError, RowsFailedError
from tap_lev.tap import TapLev
from tests.support import inprocess
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import UNLIMITED

if TYPE_CHECKING:
    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev


@pytest.fixture
def taps(monkeypatch: pytest.MonkeyPatch) -> list[TapLev]:
    """The taps that are run."""
    made: list[TapLev] = []

    class Kept(TapLev):
        def __init__(self, **given: Any) -> None:  # noqa: ANN401
            super().__init__(**given)
            made.append(self)

    monkeypatch.setattr(inprocess, "TapLev", Kept)
    return made


@pytest.mark.parametrize(
    ("route", "streams"),
    [
        pytest.param("/contacts", ("contacts",), id="list"),
        pytest.param("/deals/{deal_id}/notes", ("deals", "deal_notes"), id="child"),
        pytest.param("/deals/{deal_id}/notes", ("deal_notes",), id="child alone"),
    ],
)
def test_what_failed_is_expected_to_ask_no_more(
    lev: SandboxServer, taps: list[TapLev], route: str, streams: tuple[str, ...]
) -> None:
    lev.sandbox.fault("status", status=403, route=route, at=3, times=None)
    assert sync(config_of(lev, page_size=10), streams=streams).exit_code == 1
    assert taps[-1].current_run.client.scheduler.workload.requests == 0
    failure = taps[-1].report.stream(streams[-1]).failure
    assert isinstance(failure, LevAPIError)
    assert failure.status == 403


def test_where_lev_cannot_be_reached_no_stream_is_blamed(taps: list[TapLev]) -> None:
    nowhere = {"api_url": "http://127.0.0.1:1", "api_key": "lev_sk_1", "max_retries": 0}
    run = sync(nowhere | UNLIMITED, streams=("contacts", "companies"))
    assert run.exit_code == 1
    assert [taps[-1].report.stream(name).failure for name in ("contacts", "companies")] == [
        None
    ] * 2


def test_rows_are_counted_as_the_sdk_counts_them(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sync(config_of(lev), streams=("contacts",))
    (counted,) = [text for text in caplog.messages if "record_count" in text]
    assert '"value":70,' in counted


def test_a_walk_asks_once_for_each_page(lev: SandboxServer) -> None:
    sync(config_of(lev, page_size=10), streams=("contacts",))
    assert [entry.path for entry in lev.sandbox.requests] == ["/me"] + ["/contacts"] * 7


def test_a_walk_that_cannot_go_on_stays_as_it_is(lev: SandboxServer) -> None:
    config = config_of(lev, page_size=10)
    lev.sandbox.fault("status", status=403, route="/contacts", at=3, times=None)
    cut = sync(config, streams=("contacts",))
    assert cut.state is not None
    assert cut.state["bookmarks"]["contacts"]["walk"]["seen"] == 20
    lev.sandbox.fault("status", status=403, route="/contacts", times=None)
    again = sync(config, streams=("contacts",), state=cut.state)
    assert (cut.exit_code, again.exit_code) == (1, 1)
    assert again.state == cut.state
    assert again.records("contacts") == []


def test_a_row_that_may_not_be_read_is_not_one_that_is_gone(
    lev: SandboxServer, taps: list[TapLev]
) -> None:
    lev.sandbox.fault("status", status=403, route="/contacts/{contact_id}")
    sync(config_of(lev, refresh={"contacts": [1]}), streams=("contacts",))
    failure = taps[-1].report.stream("contacts").failure
    assert isinstance(failure, RowsFailedError)
    assert "with 403 forbidden" in str(failure)
    assert failure.request_id


def test_blocks_that_come_cost_no_request(lev: SandboxServer) -> None:
    sync(config_of(lev, page_size=10), streams=("deals", "deal_properties"))
    assert [entry.path for entry in lev.sandbox.requests] == ["/me"] + ["/deals"] * 5


def test_blocks_that_come_with_chosen_fields_leave_the_fields_chosen(lev: SandboxServer) -> None:
    catalog = catalog_of("deals", "deal_properties", deals={"title"})
    sync(config_of(lev, page_size=10), catalog=catalog)
    asked = ["fields" in dict(entry.query) for entry in lev.sandbox.requests]
    assert asked == [False] + [True] * 5, "of /me, and of each page"


def test_an_empty_list_says_nothing_of_its_blocks(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture
) -> None:
    lev = start_lev(deals=0)
    sync(config_of(lev), streams=("deal_properties",))
    assert "embeds no" not in caplog.text
