"""Whose key it is: asked at the start of each run, and never needed."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox import Clock
from tap_lev.api import account
from tap_lev.api.account import Identity
from tap_lev.errors import AuthenticationError
from tap_lev.tap import TapLev
from tests.support.expected_rows import ask
from tests.support.inprocess import config_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def lev(start_lev: StartLev) -> SandboxServer:
    """A small Lev account, at noon."""
    return start_lev(clock=Clock("2026-11-02T12:00:00Z", frozen=True))


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A tap takes the signals; give them back."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def identify(lev: SandboxServer, **settings: Any) -> Identity:  # noqa: ANN401
    run = TapLev(config=config_of(lev, **settings)).current_run
    with run.lock:
        return account.identify(run.client, run.config)


def test_lev_says_whose_key_it_is(lev: SandboxServer) -> None:
    said = ask(lev, "/me")
    found = identify(lev)
    assert (found.account, found.user) == (said["account"]["id"], said["user"]["id"])
    assert found.checked
    assert found.server_time == NOON
    assert found.fault is None


@pytest.mark.parametrize(
    ("me", "settings", "expected"),
    [
        ({"account": {"id": 56, "slug": "row"}, "user": {"id": 7}}, {}, (56, 7, True)),
        ({"account": {"id": "a56", "slug": "row"}}, {}, ("a56", None, True)),
        ({"account": {"id": None, "slug": "row"}}, {}, ("row", None, True)),
        ({"account": {"id": True, "slug": ""}}, {}, (None, None, False)),
        ({"account": {"slug": "row"}}, {"active_account": "other"}, ("row", None, True)),
        ({"account": None, "user": {"id": "7"}}, {"active_account": "o"}, ("o", None, False)),
        ({"available_accounts": []}, {"active_account": "o"}, ("o", None, False)),
        ({"user": {"id": True}, "account": [1]}, {}, (None, None, False)),
    ],
)
def test_the_account_s_id_goes_before_its_slug_and_that_before_the_setting(
    lev: SandboxServer,
    caplog: pytest.LogCaptureFixture,
    me: dict[str, Any],
    settings: dict[str, Any],
    expected: tuple[object, ...],
) -> None:
    lev.sandbox.fault("wrong_shape", route="/me", data=me)
    found = identify(lev, **settings)
    assert (found.account, found.user, found.checked) == expected
    assert found.server_time == NOON
    assert found.fault is None
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("data", [None, [], "me", 7])
def test_what_says_nothing_is_told(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, data: object
) -> None:
    lev.sandbox.fault("wrong_shape", route="/me", data=data)
    found = identify(lev, active_account="other")
    assert (found.account, found.user, found.checked) == ("other", None, False)
    assert found.server_time == NOON
    (entry,) = lev.sandbox.requests
    assert found.fault == (
        f"Lev answered GET /me with data that is no object (request_id {entry.request_id})."
    )
    (told,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert told == f"The account is not checked: {found.fault}"


def test_without_an_answer_nothing_is_known(lev: SandboxServer) -> None:
    lev.sandbox.fault("reset", route="/me", times=None)
    found = identify(lev)
    assert found == Identity(fault=found.fault)
    assert "The connection to Lev failed during GET /me" in str(found.fault)


def test_a_refused_key_ends_it(lev: SandboxServer) -> None:
    with pytest.raises(AuthenticationError):
        identify(lev, api_key="lev_sk_another")
    assert len(lev.sandbox.requests) == 1


def test_what_a_stream_needs_of_it_is_asked_anew(lev: SandboxServer) -> None:
    run = TapLev(config=config_of(lev, max_retries=0)).current_run
    with run.lock:
        lev.sandbox.fault("status", route="/me", status=404)
        assert account.identify(run.client, run.config).fault
        assert run.client.account_id() == lev.sandbox.rows("my_accounts")[0]["id"]
    assert len(lev.sandbox.requests) == 2
