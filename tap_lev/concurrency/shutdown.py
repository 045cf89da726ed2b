"""SIGTERM and SIGINT: stop where nothing is half written."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Interruption(BaseException):
    """The run is to end because of a signal.

    Attributes:
        signum: The signal's number.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signum)


class Shutdown:
    """Turns a signal into an ``Interruption``, but never in the middle of a written line.

    A signal interrupts a wait at once. Outside of one it is remembered until the next wait, which
    is less than a page away. A second signal does not wait.
    """

    def __init__(self) -> None:
        self._signum: int | None = None
        self._waiting = False
        self.is_forced = False
        """Whether a second signal has come, which may end anything in its middle."""

    @property
    def is_requested(self) -> bool:
        """Whether a signal has come."""
        return self._signum is not None

    def handle(self, signum: int) -> None:
        """Take note of a signal.

        Raises:
            Interruption: A wait is under way, or it is not the first signal.
        """
        self.is_forced = self._signum is not None
        self._signum = signum
        if self._waiting or self.is_forced:
            raise Interruption(signum)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark a wait, for the network or for time to pass.

        Raises:
            Interruption: A signal came before the wait or comes during it.
        """
        # Marked before it is asked: a signal between the two would be noted, and end nothing.
        self._waiting = True
        try:
            if self._signum is not None:
                raise Interruption(self._signum)
            yield
        finally:
            self._waiting = False
