"""Write STATE messages: when something in the state is new, and not too often."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
from singer_sdk.singerlib.encoding.simple import StateMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk.helpers.types import TapState

    from tap_lev.records.writer import MessageWriter

STATE_INTERVAL = 1.0
"""Seconds from one STATE to the next, while pages come."""


class StateWriter:
    """Writes the state in place of the SDK's ``state_writer``, which copies it whole each time.

    Args:
        state: The state, changed in place by the streams.
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

        Between pages one a second is enough: some targets flush all their rows with each.

        Args:
            at_once: Whether to write it however short the last one was ago.
        """
        now = self._clock()
        if not at_once and now - self._written_at < STATE_INTERVAL:
            return
        state = msgspec.json.encode(self._state)
        if state != self._written:
            self._message_writer.write_message(StateMessage(value=self._state))
            self._written, self._written_at = state, now

    def repeat(self) -> None:
        """Write the last STATE again: some targets return only one that is the last message."""
        if self._written:
            self._written = b""
            self.write(at_once=True)
