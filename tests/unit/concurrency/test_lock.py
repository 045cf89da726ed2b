"""The run lock: which thread runs, which waits, and how all of them end."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tap_lev.concurrency.lock import Flag, RunLock, RunStopped
from tap_lev.concurrency.shutdown import Interruption, Shutdown
from tap_lev.concurrency.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

LONG = 20.0
"""Seconds after which a test fails. None waits for as long."""


class Thread:
    """A thread, and what came of it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def end(self) -> BaseException | None:
        """Wait for its end."""
        self._thread.join(LONG)
        assert not self._thread.is_alive(), "it never ends"
        return self.error


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it never comes"
        time.sleep(0.001)


@contextlib.contextmanager
def signals_to(shutdown: Shutdown) -> Iterator[None]:
    """Hand SIGTERM over, as the tap does."""
    before = signal.signal(signal.SIGTERM, lambda signum, _: shutdown.handle(signum))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def send_signal() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


# -- One at a time


def test_one_at_a_time_has_the_lock() -> None:
    lock, inside, most = RunLock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        with lock:
            for _ in range(20):
                inside += 1
                most = max(most, inside)
                time.sleep(0)  # a chance for others
                inside -= 1
                with lock.released():
                    time.sleep(0)

    threads = [Thread(work) for _ in range(8)]
    assert [thread.end() for thread in threads] == [None] * 8
    assert most == 1


def test_a_thread_knows_whether_it_has_the_lock() -> None:
    lock, seen = RunLock(), list[bool]()
    with lock:
        seen.append(lock.is_held)
        assert Thread(lambda: seen.append(lock.is_held)).end() is None
        with lock.released():
            seen.append(lock.is_held)
        seen.append(lock.is_held)
    seen.append(lock.is_held)
    assert seen == [True, False, False, True, False]


def test_what_is_released_comes_back() -> None:
    lock, order = RunLock(), []
    begun, may_end = threading.Event(), threading.Event()

    def other() -> None:
        with lock:
            order.append("other")
            begun.set()
            assert may_end.wait(LONG)
            order.append("other, still")

    with lock:
        order.append("first")
        thread = Thread(other)
        time.sleep(0.01)
        assert not begun.is_set()
        with lock.released():
            assert begun.wait(LONG)
            may_end.set()
        order.append("first again")
    thread.end()
    assert order == ["first", "other", "other, still", "first again"]


def test_a_failure_while_it_is_released_comes_with_the_lock_held() -> None:
    lock = RunLock()
    with lock:
        with pytest.raises(OSError, match="reset"), lock.released():
            raise OSError("reset")
        assert lock._holder is threading.current_thread()
    with lock:
        pass


def test_a_wait_ends_with_its_event_or_its_time() -> None:
    lock, event = RunLock(), threading.Event()

    def other() -> None:
        with lock:
            event.set()

    with lock:
        thread = Thread(other)
        lock.wait(event)
        assert event.is_set()
        lock.wait(threading.Event(), 0.001)
        assert lock._waited_for == []
    thread.end()


def test_a_callback_runs_before_each_release() -> None:
    lock, seen = RunLock(), []
    lock.on_release(lambda: seen.append(lock._holder))
    me = threading.current_thread()
    with lock:
        assert seen == []
        with lock.released():
            assert seen == [me]
            assert lock._holder is None
        lock.wait(threading.Event(), 0)
        assert seen == [me] * 2
    assert seen == [me] * 3


def test_whatever_the_callback_does_the_lock_is_released() -> None:
    lock = RunLock()
    lock.on_release(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ZeroDivisionError), lock:
        pass
    lock.on_release(lambda: None)
    assert Thread(lock.__enter__).end() is None


# -- The end


def test_after_the_end_a_release_calls_nothing() -> None:
    shutdown = Shutdown()
    for end in (lambda lock: lock.stop(), lambda _: shutdown.handle(signal.SIGTERM)):
        lock = RunLock(shutdown)
        with lock:
            lock.on_release(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
            end(lock)
        assert isinstance(Thread(lock.__enter__).end(), RunStopped)


@pytest.mark.parametrize("timeout", [None, LONG])
def test_after_the_end_whoever_waited_is_stopped(timeout: float | None) -> None:
    lock, written, released = RunLock(), [], threading.Event()
    responded = threading.Event()

    def waits() -> None:
        with lock:
            lock.wait(threading.Event(), timeout)
            written.append("after a wait")

    def asks() -> None:
        with lock:
            with lock.released():
                released.set()
                assert responded.wait(LONG)
            written.append("after a response")

    def begins() -> None:
        with lock:
            written.append("begun")

    threads = [Thread(waits), Thread(asks)]
    assert released.wait(LONG)
    wait_until(lambda: lock._waited_for)
    with lock:
        threads.append(Thread(begins))
        lock.stop()
    responded.set()
    assert [type(thread.end()) for thread in threads] == [RunStopped] * 3
    assert written == []


def test_the_main_thread_is_not_stopped() -> None:
    lock = RunLock()
    with lock:
        lock.stop()
        lock.wait(threading.Event(), 0)
        with lock.released():
            pass
        assert lock._holder is threading.current_thread()


def test_no_except_clause_for_errors_catches_the_end() -> None:
    assert not issubclass(RunStopped, Exception)


# -- Signals


def test_a_signal_ends_the_wait_of_the_main_thread_only() -> None:
    shutdown = Shutdown()
    lock, event = RunLock(shutdown), threading.Event()

    def waits() -> None:
        with lock:
            lock.wait(event)

    with signals_to(shutdown), lock:
        thread = Thread(waits)
        with pytest.raises(Interruption) as caught, lock.released():  # noqa: PT012 - meanwhile
            wait_until(lambda: lock._waited_for)
            send_signal()
            time.sleep(LONG)
        assert caught.value.signum == signal.SIGTERM
        assert lock._holder is threading.current_thread()
        assert thread._thread.is_alive()
        event.set()
    assert isinstance(thread.end(), RunStopped), "what it waited for comes too late"


def test_a_signal_while_the_main_thread_works_ends_its_next_wait() -> None:
    shutdown = Shutdown()
    lock = RunLock(shutdown)
    with signals_to(shutdown), lock:
        send_signal()
        with pytest.raises(Interruption):
            lock.wait(threading.Event(), LONG)
        assert lock._holder is threading.current_thread()
        assert lock._waited_for == []


def test_after_a_signal_another_thread_ends_with_its_next_wait() -> None:
    shutdown = Shutdown()
    lock = RunLock(shutdown)
    written: list[str] = []

    def waits() -> None:
        with lock:
            shutdown.handle(signal.SIGTERM)
            written.append("what it was at")
            lock.wait(threading.Event(), 0.001)
            written.append("more")

    assert isinstance(Thread(waits).end(), RunStopped)
    assert written == ["what it was at"]


def test_a_second_signal_ends_the_wait_for_a_lock_that_does_not_come() -> None:
    shutdown = Shutdown()
    lock = RunLock(shutdown)
    has_it, is_out, may_go_on = threading.Event(), threading.Event(), threading.Event()

    def hangs() -> None:
        with lock:
            has_it.set()
            assert may_go_on.wait(LONG)

    def signals() -> None:
        assert has_it.wait(LONG)
        while not is_out.wait(0.001):  # one that comes just before the wait would not end it
            send_signal()

    def handle(signum: int, frame: FrameType | None) -> None:
        comes_for_it = frame is not None and frame.f_code.co_name == "_acquire"
        if comes_for_it or not shutdown.is_requested:
            shutdown.handle(signum)

    with signals_to(shutdown):
        signal.signal(signal.SIGTERM, handle)
        with pytest.raises(Interruption), lock:  # noqa: PT012 - what happens meanwhile
            threads = [Thread(hangs), Thread(signals)]
            lock.wait(threading.Event(), LONG)
        assert lock._holder is not threading.current_thread()
        assert lock._lock.locked(), "it is the other's, and is not given up for it"
        is_out.set()
        may_go_on.set()
        assert [thread.end() for thread in threads] == [None, None]
    assert not lock._lock.locked()


def lines_of(work: Callable[[], object], *, strike: Callable[[int], None]) -> int:
    """Do some work in the tap's code, call something before each of its lines, count them."""
    number = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:  # noqa: ANN401
        nonlocal number
        if "tap_lev" not in frame.f_code.co_filename:
            return None
        if event == "line" and frame.f_code.co_name != "handle":
            number += 1
            strike(number)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return number


def test_no_wait_begins_after_a_signal_at_whatever_line_it_comes() -> None:
    def lines_until_signal(at: int | None) -> int:
        shutdown = Shutdown()

        class Awaited(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                assert shutdown._signum is None, "the signal will not end this wait"
                return super().wait(timeout)

        def strike(number: int) -> None:
            if number == at:
                shutdown.handle(signal.SIGTERM)

        lines = 0
        with contextlib.suppress(Interruption), RunLock(shutdown) as lock:
            lines = lines_of(lambda: lock.wait(Awaited(), 0), strike=strike)
            if at is not None:
                lock.wait(Awaited(), 0)
                pytest.fail("the signal is forgotten")
        return lines

    lines = lines_until_signal(None)
    assert lines > 10
    for at in range(1, lines + 1):
        lines_until_signal(at)


# -- The workers


def test_workers_are_waited_for() -> None:
    lock, done = RunLock(), []
    with lock:
        workers = Workers(lock)

        def work(number: int) -> None:
            lock.wait(threading.Event(), 0.001 * number)
            done.append(number)
            if number == 2:
                workers.start(lambda: work(5), "one more")

        for number in range(4):
            workers.start(lambda number=number: work(number), f"{number}")  # type: ignore[misc]
        assert done == [], "not before the lock is released"
        workers.wait()
        assert sorted(done) == [0, 1, 2, 3, 5]


def test_what_ends_one_ends_all_and_is_raised() -> None:
    lock, written = RunLock(), []
    fault = OSError("The disk is full.")

    def fails() -> None:
        lock.wait(threading.Event(), 0.001)
        raise fault

    def writes(event: threading.Event) -> None:
        lock.wait(event)
        written.append("after the end")

    late = threading.Event()
    with lock:
        workers = Workers(lock)
        for _ in range(3):
            workers.start(lambda: writes(late), "writer")
        workers.start(fails, "fails")
        with pytest.raises(OSError, match="full") as caught:
            workers.wait()
        assert caught.value is fault
        late.set()
    wait_until(lambda: not any(t.name in {"writer", "fails"} for t in threading.enumerate()))
    assert written == []


def test_what_ends_one_ends_all_before_anybody_is_told() -> None:
    lock, written = RunLock(), []

    def writes(event: threading.Event) -> None:
        lock.wait(event)
        written.append("after the end")

    def ended(name: str) -> bool:
        return all(thread.name != name for thread in threading.enumerate())

    late = threading.Event()
    with lock:
        workers = Workers(lock)
        workers.start(lambda: writes(late), "writer")
        workers.start(lambda: 1 / 0, "fails")
        with lock.released():
            wait_until(lambda: ended("fails"))
            late.set()
            wait_until(lambda: ended("writer"))
        assert written == []
        with pytest.raises(ZeroDivisionError):
            workers.wait()


def test_the_first_failure_is_raised() -> None:
    lock = RunLock()
    first = threading.Event()

    def fails(event: threading.Event | None, error: BaseException) -> None:
        if event is not None:
            with contextlib.suppress(RunStopped):
                lock.wait(event)
        else:
            first.set()
        raise error

    with lock:
        workers = Workers(lock)
        workers.start(lambda: fails(first, ValueError("second")), "second")
        workers.start(lambda: fails(None, KeyError("first")), "first")
        with pytest.raises(KeyError, match="first"):
            workers.wait()


def test_an_interruption_stops_the_workers() -> None:
    shutdown = Shutdown()
    lock, written = RunLock(shutdown), []

    def work() -> None:
        begun.set()
        with lock.released():
            assert responded.wait(LONG)
        written.append("after the end")

    def wait_for_ever() -> None:
        waits.set()
        lock.wait(threading.Event())

    begun, waits, responded = threading.Event(), threading.Event(), threading.Event()
    with lock:
        workers = Workers(lock)
        workers.start(work, "worker")
        workers.start(wait_for_ever, "waits for ever")
        lock.wait(begun)
        lock.wait(waits)
        shutdown.handle(signal.SIGTERM)
        with pytest.raises(Interruption):
            workers.wait()
        responded.set()
    ended = {"worker", "waits for ever"}
    wait_until(lambda: ended.isdisjoint(thread.name for thread in threading.enumerate()))
    assert written == []
    assert workers._failure is None, "to be stopped is no failure"


def test_workers_that_have_nothing_to_do_are_not_waited_for() -> None:
    with RunLock() as lock:
        Workers(lock).wait()


# -- A flag


def test_a_flag_is_set_for_all_waits_until_it_is_cleared() -> None:
    flag = Flag()
    assert not flag.wait(0)
    flag.set()
    flag.set()
    assert flag.wait()
    assert flag.wait(0.01)
    flag.clear()
    flag.clear()
    assert not flag.wait(0.01)


def test_a_flag_lets_a_thread_go_that_waits() -> None:
    flag, begins, went = Flag(), threading.Event(), list[bool]()

    def waits() -> None:
        begins.set()
        went.append(flag.wait())

    thread = threading.Thread(target=waits)
    thread.start()
    begins.wait()
    flag.set()
    thread.join()
    assert went == [True]


def test_a_signal_in_a_wait_leaves_the_thread_alone_that_ends_it() -> None:
    flag, faults, armed, ends = Flag(), list[object](), [False], threading.Event()

    class StruckError(Exception):
        """A signal came."""

    def strike(*_: object) -> None:
        if armed[0]:
            armed[0] = False
            raise StruckError

    def sets() -> None:
        try:
            while not ends.is_set():
                flag.set()
                flag.clear()
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        except RuntimeError as error:
            faults.append(error)

    before = signal.signal(signal.SIGUSR1, strike)
    thread = threading.Thread(target=sets)
    thread.start()
    try:
        for _ in range(20_000):
            try:
                armed[0] = True
                flag.wait(0.001)
                armed[0] = False
            except StruckError:
                pass
    finally:
        ends.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert faults == []
