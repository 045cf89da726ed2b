"""The threads of a run."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
from tap_lev.concurrency.lock import Flag, RunLock, RunStopped


class Workers:
    """The threads of a run. What ends one of them ends the run.

    Its methods are called with the baton in hand.

    Args:
        baton: What they take turns with.
    """

    def __init__(self, lock: RunLock) -> None:
        self._lock = lock
        self._running = 0
        self._failure: BaseException | None = None
        self._changed = Flag()

    def start(self, work: Callable[[], None], name: str) -> None:
        """Let a thread do some work, with the baton in hand."""
        self._running += 1
        # Not waited for at the end of the process: it may hang in a read of the network.
        threading.Thread(target=self._run, args=(work,), name=name, daemon=True).start()

    def wait(self) -> None:
        """Wait until all work is done.

        Raises:
            BaseException: What one of the threads did not catch; the others have ended, too.
            Interruption: A signal came.
        """
        try:
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
