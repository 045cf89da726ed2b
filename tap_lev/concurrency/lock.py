"""The baton: of all threads, only its holder runs. It is given up to wait, and for nothing else."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Self

from tap_lev.concurrency.shutdown import Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class RunStopped(BaseException):
    """The run has ended while this thread waited: it ends too, and writes nothing more."""


class Flag:
    """An event for one thread, which a signal may interrupt at any place.

    ``threading.Event`` takes its lock again after a wait. A signal handler that raises right then
    has it release the lock of the thread that sets it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let the thread go on, now or when it comes to wait."""
        with contextlib.suppress(RuntimeError):  # it is set already
            self._lock.release()

    def clear(self) -> None:
        """Make the next wait one."""
        self._lock.acquire(blocking=False)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, and say whether it is.

        Args:
            timeout: Seconds to wait at most.
        """
        is_set = self._lock.acquire(timeout=-1 if timeout is None else timeout)
        if is_set:
            self.set()
        return is_set


class RunLock:
    """Makes threads take turns, so that nothing that they share needs a lock of its own.

    The SDK's objects are not made for threads. With the baton, messages and state are as
    consistent as in a single thread, and only the waiting is done side by side. The thread that
    makes the baton is the one that signals interrupt.

    Args:
        shutdown: Is told when that thread waits, so that a signal can end the wait.
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
        """Take the baton.

        Raises:
            Stopped: The run has ended.
        """
        self._acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the baton back."""
        # A second signal can end the wait for it, and then it is another's.
        if self._holder is threading.current_thread():
            self._release()

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Give the baton up for the time of a wait.

        Raises:
            Stopped: The run has ended meanwhile; not in the main thread.
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
        """Wait, without the baton, for what another thread does, or for seconds to pass.

        Raises:
            Stopped: The run has ended meanwhile.
            Interruption: A signal came.
        """
        self._waited_for.append(event)
        try:
            with self.released():
                event.wait(timeout)
        finally:
            self._waited_for.remove(event)

    def on_release(self, callback: Callable[[], None]) -> None:
        """Register what to call before each release, while the lock is still held.

        Once the run is over it is not called: threads that end then no longer share anything.

        Args:
            callback: Replaces the one before it.
        """
        self._on_release = callback

    @property
    def is_held(self) -> bool:
        """Whether this thread has it. After a second signal it may be another's."""
        return self._holder is threading.current_thread()

    def stop(self) -> None:
        """End the run: no thread but the main one will get the baton again."""
        self._stopped = True
        for event in self._waited_for:
            event.set()

    def _acquire(self) -> None:
        self._lock.acquire()
        self._holder = threading.current_thread()
        if self._is_over and self._holder is not self._main:
            self._release()
            raise RunStopped

    @property
    def _is_over(self) -> bool:
        return self._stopped or self._shutdown.is_requested

    def _release(self) -> None:
        try:
            if not self._is_over:
                self._on_release()
        finally:
            self._holder = None
            self._lock.release()
