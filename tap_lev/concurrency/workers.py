"""Start the threads of a run, and wait for them."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tap_lev.concurrency.lock import Flag, RunLock, RunStopped

if TYPE_CHECKING:
    from collections.abc import Callable


class Workers:
    """Starts the threads of a run, and waits for them; an error in one ends all (L5).

    Its methods are called with the run lock held.

    Args:
        lock: Held by each thread while it runs.
    """

    def __init__(self, lock: RunLock) -> None:
        self._lock = lock
        self._running = 0
        self._failure: BaseException | None = None
        self._changed = Flag()

    def start(self, work: Callable[[], None], name: str) -> None:
        """Start a thread that does some work with the run lock held."""
        self._running += 1
        # The process does not wait for a daemon to end: it may hang in a read from the network.
        threading.Thread(target=self._run, args=(work,), name=name, daemon=True).start()

    def wait(self) -> None:
        """Wait until all work is done.

        Raises:
            BaseException: The first error that a thread did not catch.
            Interruption: A signal came.
        """
        try:
            # An error does not wait for the other threads: they end with their next wait (L4).
            while self._running and self._failure is None:
                self._lock.wait(self._changed)
                self._changed.clear()
        finally:
            self._lock.stop()
        if self._failure is not None:
            raise self._failure

    def _run(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(RunStopped), self._lock:
            try:
                work()
            except RunStopped:
                raise
            except BaseException as error:  # noqa: BLE001 - the main thread raises it
                self._failure = self._failure or error
                self._lock.stop()
            self._running -= 1
            self._changed.set()
