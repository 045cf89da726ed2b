"""Run locks that take no time: for tests of whatever waits."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
from typing import TYPE_CHECKING

from typing_extensions import override

from tap_lev.concurrency.lock import RunLock, RunStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class FakeLock(RunLock):
    """A run lock for one thread, and a clock that goes on only when something waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.releases = 0
        self.__enter__()

    def clock(self) -> float:
        """Tell the time."""
        return sum(self.waits)

    @override
    def wait(self, event: threading.Event, timeout: float | None = None) -> None:
        assert timeout is not None, "nobody will end this wait"
        self.waits.append(timeout)

    @contextlib.contextmanager
    @override
    def released(self) -> Iterator[None]:
        self.releases += 1
        with super().released():
            yield


@dataclasses.dataclass(eq=False)
class Actor:
    """A thread on a stage.

    Attributes:
        name: Its name.
        work: What it does.
        event: What it waits for, if it does.
        until: When it goes on in any case.
        done: Whether it has ended.
        error: What ended it, if it was not the end of its work.
    """

    name: str
    work: Callable[[], object]
    event: threading.Event | None = None
    until: float = 0.0
    done: bool = False
    error: BaseException | None = None
    go: threading.Semaphore = dataclasses.field(default_factory=lambda: threading.Semaphore(0))


class SimulatedThreads(RunLock):
    """A run lock that decides which thread runs, and a clock that goes on when all of them wait.

    So threads meet in an order that can be repeated, and an hour of waiting takes no time. An event
    that is set and cleared again before its waiter runs does not wake it, which is the worst
    that can really happen.

    Args:
        choose: Chooses one of so many that could go on: the first, by default.
    """

    MOST_STEPS = 2_000
    """Most steps of threads before time goes on."""

    def __init__(self, choose: Callable[[int], int] = lambda _: 0) -> None:
        super().__init__()
        self.now = 0.0
        self.waits: list[tuple[str, float | None]] = []
        """Whose waits there were, and the seconds after which they would end."""
        self.timers: list[list[str]] = []
        """Who minded the clock, each time that it went on."""
        self._choose = choose
        self._actors: list[Actor] = []
        self._acting: Actor | None = None
        self._back = threading.Semaphore(0)

    def clock(self) -> float:
        """Tell the time."""
        return self.now

    def start(self, work: Callable[[], object], name: str = "") -> None:
        """Let a thread do something, with the lock held."""
        actor = Actor(name, work)
        threading.Thread(target=self._act, args=(actor,), name=name, daemon=True).start()
        self._actors.append(actor)

    def run(self) -> None:
        """Let all threads come to their end.

        Raises:
            AssertionError: Some never would.
            BaseException: What ended one of them.
        """
        try:
            steps = 0
            while self._actors:
                able = [actor for actor in self._actors if self._is_able(actor)]
                if not able:
                    steps = 0
                    self._let_time_pass()
                    continue
                steps += 1
                assert steps < self.MOST_STEPS, f"{able[0].name} wakes up again and again"
                self._step(able[self._choose(len(able))])
        finally:
            self.stop()
            while self._actors:
                with contextlib.suppress(BaseException):
                    self._step(self._actors[0])

    def take_time(self, seconds: float) -> None:
        """Be busy elsewhere, as the network is; only with the lock released."""
        self._pause(None, seconds)

    @override
    def wait(self, event: threading.Event, timeout: float | None = None) -> None:
        assert self._acting is not None
        self.waits.append((self._acting.name, timeout))
        self._on_release()
        self._pause(event, timeout)

    @contextlib.contextmanager
    @override
    def released(self) -> Iterator[None]:
        self._on_release()
        try:
            yield
        finally:
            self._pause(None, 0)

    def _is_able(self, actor: Actor) -> bool:
        set_ = actor.event is not None and actor.event.is_set()
        return self._stopped or set_ or actor.until <= self.now

    def _let_time_pass(self) -> None:
        timed = [actor for actor in self._actors if actor.until < math.inf]
        asleep = ", ".join(actor.name for actor in self._actors)
        assert timed, f"nobody will wake {asleep}"
        self.timers.append([actor.name for actor in timed])
        self.now = min(actor.until for actor in timed)

    def _step(self, actor: Actor) -> None:
        self._acting = actor
        actor.go.release()
        self._back.acquire()
        if actor.done:
            self._actors.remove(actor)
            if actor.error is not None:
                raise actor.error

    def _act(self, actor: Actor) -> None:
        actor.go.acquire()
        try:
            if not self._stopped:
                actor.work()
        except RunStopped:
            pass
        except BaseException as error:  # noqa: BLE001 - run() raises it
            actor.error = error
        self._on_release()
        actor.done = True
        self._back.release()

    def _pause(self, event: threading.Event | None, seconds: float | None) -> None:
        actor = self._acting
        assert actor is not None
        actor.event, actor.until = event, math.inf if seconds is None else self.now + seconds
        self._back.release()
        actor.go.acquire()
        if self._stopped:
            raise RunStopped
