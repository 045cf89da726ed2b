"""Write STATE messages when the state has changed, and not too often."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
from singer_sdk.singerlib.encoding.simple import StateMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk.helpers.types import TapState

    from tap_lev.records.writer import MessageWriter

STATE_INTERVAL = 1.0  # seconds
"""The shortest time from one STATE to the next, while pages come."""


class StateWriter:
    """Writes the state, in place of the SDK's ``state_writer``, which copies it each time.

    Args:
        state: The state, which the streams change in place.
        message_writer: Writes the messages.
        clock: Returns seconds.
    """

    def __init__(
        self, state: TapState, message_writer: MessageWriter, clock: Callable[[], float]
    ) -> None:
        self._state = state
        self._message_writer = message_writer
        self._clock = clock
        self._written = b""
        self._written_at = -math.inf

    def write(self, *, at_once: bool = False) -> None:
        """Write a STATE message, if the state has changed.

        Args:
            at_once: Whether to write it even within ``STATE_INTERVAL`` of the last one.
        """
        now = self._clock()
        # Some targets flush all their rows at each STATE, so one after every page would be slow.
        if not at_once and now - self._written_at < STATE_INTERVAL:
            return
        state = msgspec.json.encode(self._state)
        if state != self._written:
            self._message_writer.write_message(StateMessage(value=self._state))
            self._written, self._written_at = state, now

    def repeat(self) -> None:
        """Write the last STATE again, for targets that return it only as the last message."""
        if self._written:
            self._written = b""
            self.write(at_once=True)
