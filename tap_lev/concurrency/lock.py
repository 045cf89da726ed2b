"""Let one thread run at a time, and release the lock only while it waits.

The rules L1 to L8 are in docs/design/run-lock.md.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Self

from tap_lev.concurrency.shutdown import Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class RunStopped(BaseException):
    """The run ended while this thread waited: the thread ends too, and writes nothing more."""


class Flag:
    """An event for one thread, whose wait a signal may interrupt at any point.

    ``threading.Event`` takes its lock again after a wait. A signal handler that raises at that
    moment makes it release the lock of the thread that sets the event.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """End the wait of the thread, or its next one."""
        with contextlib.suppress(RuntimeError):  # it is set already
            self._lock.release()

    def clear(self) -> None:
        """Make the next wait block again."""
        self._lock.acquire(blocking=False)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, and return whether it is.

        Args:
            timeout: Most seconds to wait, or None for no limit.
        """
        is_set = self._lock.acquire(timeout=-1 if timeout is None else timeout)
        if is_set:
            self.set()
        return is_set


class RunLock:
    """Lets one thread run at a time, so that what threads share needs no other lock (L1).

    The SDK's objects are not made for threads. With the run lock, messages and state are as
    consistent as in a single thread, and only waits overlap (L2). The thread that creates the lock
    is the main thread, which signals interrupt.

    Args:
        shutdown: Learns when the main thread waits, so that a signal can end the wait (L6).
    """

    def __init__(self, shutdown: Shutdown | None = None) -> None:
        self._on_release: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._shutdown = shutdown or Shutdown()
        self._main = threading.current_thread()
        self._holder: threading.Thread | None = None
        self._stopped = False
        self._waited_for: list[threading.Event | Flag] = []

    def __enter__(self) -> Self:
        """Acquire the lock.

        Raises:
            RunStopped: The run has ended.
        """
        self._acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        # A second signal can end the wait in ``_acquire``: then another thread holds it (L7).
        if self._holder is threading.current_thread():
            self._release()

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Release the lock during a wait (L2).

        Raises:
            RunStopped: The run has ended meanwhile; not in the main thread.
            Interruption: A signal came; in the main thread only.
        """
        main = threading.current_thread() is self._main
        self._release()
        try:
            with self._shutdown.waiting() if main else contextlib.nullcontext():
                yield
        finally:
            self._acquire()

    def wait(self, event: threading.Event | Flag, timeout: float | None = None) -> None:
        """Release the lock until another thread sets an event, or until seconds have passed.

        Args:
            event: What to wait for.
            timeout: Most seconds to wait, or None for no limit.

        Raises:
            RunStopped: The run has ended meanwhile.
            Interruption: A signal came.
        """
        # Before the release: ``stop`` must find the events of all threads that wait.
        self._waited_for.append(event)
        try:
            with self.released():
                event.wait(timeout)
        finally:
            self._waited_for.remove(event)

    def on_release(self, callback: Callable[[], None]) -> None:
        """Register what to call before each release, with the lock still held (L3).

        Args:
            callback: Replaces the one before it.
        """
        self._on_release = callback

    @property
    def is_held(self) -> bool:
        """Whether this thread holds it; after a second signal another thread may (L7)."""
        return self._holder is threading.current_thread()

    @property
    def is_forced(self) -> bool:
        """Whether a second signal has come: the run ends at once."""
        return self._shutdown.is_forced

    def stop(self) -> None:
        """End the run: from now on only the main thread acquires the lock (L4)."""
        self._stopped = True
        for event in self._waited_for:
            event.set()

    def _acquire(self) -> None:
        self._lock.acquire()
        self._holder = threading.current_thread()
        # The main thread goes on, to write the last STATE and the summary (L4).
        if self._is_over and self._holder is not self._main:
            self._release()
            raise RunStopped

    @property
    def _is_over(self) -> bool:
        return self._stopped or self._shutdown.is_requested

    def _release(self) -> None:
        try:
            # After the end threads run their ``finally`` clauses without the lock, since they do
            # not acquire it again: the callback could meet lists that another one changes (L3).
            if not self._is_over:
                self._on_release()
        finally:
            self._holder = None
            self._lock.release()
