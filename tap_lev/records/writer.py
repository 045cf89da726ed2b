"""Write messages to the target, singly as the SDK does, or those of a page at once."""

from __future__ import annotations

import sys
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType
from singer_sdk.contrib.msgspec import MsgSpecWriter, serialize_jsonl
from singer_sdk.singerlib.encoding.simple import Message, StateMessage
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENCODER = msgspec.json.Encoder()


class RecordMessage(msgspec.Struct, tag="RECORD", gc=False):
    """A RECORD message.

    Attributes:
        stream: The stream's name.
        record: The record, as anything that msgspec can encode.
        version: The version of the target's table; UNSET if none is sent.
        time_extracted: When the row was read.
    """

    stream: str
    record: Any
    version: int | UnsetType = UNSET
    time_extracted: datetime | UnsetType = UNSET


class MessageWriter(MsgSpecWriter):
    """Extends the SDK's writer by writing many RECORD messages at once.

    For each message the SDK makes an object and a dict, and writes by itself. So reading a contact
    takes 20 µs of processor time in all; a page at a time it takes 4 µs.
    """

    @override
    def serialize_message(self, message: Message) -> bytearray:
        if isinstance(message, StateMessage):
            # StateMessage.to_dict() would copy the state at every level.
            return serialize_jsonl({"type": "STATE", "value": message.value})
        return super().serialize_message(message)

    @override
    def write_message(self, message: Message) -> None:
        _write(self.format_message(message))

    def write_records(self, records: Sequence[RecordMessage]) -> None:
        """Write RECORD messages with one call, in the order given."""
        _write(_ENCODER.encode_lines(records))


def _write(lines: bytes | bytearray) -> None:
    """Write lines to stdout, completely."""
    with memoryview(lines) as view:
        written = 0
        # With PYTHONUNBUFFERED, a write that a signal interrupts returns before all is written.
        while written < len(lines):
            written += sys.stdout.buffer.write(view[written:])
    sys.stdout.flush()
