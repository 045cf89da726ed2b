from __future__ import annotations

import signal

import pytest

from tap_lev.concurrency.shutdown import Interruption, Shutdown

TERM, INT = signal.SIGTERM, signal.SIGINT


def test_without_a_signal_a_wait_is_just_a_wait() -> None:
    shutdown = Shutdown()
    with shutdown.waiting():
        pass
    with shutdown.waiting():
        pass


@pytest.mark.parametrize("signum", [TERM, INT])
def test_a_signal_ends_a_wait_at_once(signum: int) -> None:
    shutdown = Shutdown()
    with pytest.raises(Interruption) as caught, shutdown.waiting():
        shutdown.handle(signum)
    assert caught.value.signum == signum


def test_a_signal_between_waits_lets_the_work_finish_and_stops_the_next_wait() -> None:
    shutdown = Shutdown()
    shutdown.handle(TERM)
    with pytest.raises(Interruption), shutdown.waiting():
        pytest.fail("the wait began")


def test_after_a_wait_that_failed_a_signal_waits_again() -> None:
    shutdown = Shutdown()
    with pytest.raises(OSError, match="reset"), shutdown.waiting():
        raise OSError("reset")
    shutdown.handle(TERM)


def test_a_second_signal_does_not_wait() -> None:
    shutdown = Shutdown()
    shutdown.handle(TERM)
    assert not shutdown.is_forced
    with pytest.raises(Interruption) as caught:
        shutdown.handle(INT)
    assert caught.value.signum == INT
    assert shutdown.is_forced


def test_no_except_clause_for_errors_catches_an_interruption() -> None:
    assert not issubclass(Interruption, Exception)
