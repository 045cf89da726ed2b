"""Stop the run at SIGTERM and SIGINT, where nothing is half written."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Interruption(BaseException):
    """A signal ends the run.

    Attributes:
        signum: The signal's number.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signum)


class Shutdown:
    """Turns a signal into an ``Interruption``, but never in the middle of a written line.

    A signal ends a wait at once. Outside of a wait it is kept until the next one, which comes
    before the next page (L6). A second signal ends anything at once (L7).
    """

    def __init__(self) -> None:
        self._signum: int | None = None
        self._waiting = False
        self.is_forced = False
        """Whether a second signal has come."""

    @property
    def is_requested(self) -> bool:
        """Whether a signal has come."""
        return self._signum is not None

    def handle(self, signum: int) -> None:
        """End the wait of the main thread, or keep the signal for its next wait.

        Args:
            signum: The signal's number.

        Raises:
            Interruption: The main thread waits, or it is not the first signal.
        """
        self.is_forced = self._signum is not None
        self._signum = signum
        if self._waiting or self.is_forced:
            raise Interruption(signum)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark a wait of the main thread, which a signal may end.

        Raises:
            Interruption: A signal came before the wait or comes during it.
        """
        # Marked before the check: a signal between the two would otherwise be kept, and the wait
        # would begin.
        self._waiting = True
        try:
            if self._signum is not None:
                raise Interruption(self._signum)
            yield
        finally:
            self._waiting = False
