"""Decode JSON with a lone surrogate: half of a character, which JSON allows in an escape."""

from __future__ import annotations

import re
from typing import Protocol, TypeVar

import msgspec

T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """Reads JSON, as msgspec does."""

    def decode(self, body: bytes, /) -> T_co:
        """Decode a body."""


_ESCAPES = re.compile(
    rb"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # a character in two halves
        | (?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})
        | .  # any other escape, so that the second of two backslashes begins none
    )""",
    re.VERBOSE | re.DOTALL,
)
_UNKNOWN = rb"\ufffd"
UNKNOWN = "\ufffd".encode()
"""U+FFFD in UTF-8, which replaces a lone surrogate."""


def mended(body: bytes) -> tuple[bytes, int]:
    """Replace each lone surrogate in JSON by U+FFFD.

    Returns:
        The JSON, and how many lone surrogates it had.
    """
    halves = 0

    def mend(escape: re.Match[bytes]) -> bytes:
        nonlocal halves
        if escape["half"] is None:
            return escape[0]
        halves += 1
        return _UNKNOWN

    return _ESCAPES.sub(mend, body), halves


def decoded(decoder: Decoder[T_co], body: bytes) -> tuple[T_co, int]:
    """Decode JSON, with U+FFFD for each lone surrogate.

    Returns:
        The value, and how many lone surrogates there were.

    Raises:
        msgspec.DecodeError: The body is no JSON, or not what the decoder reads.
    """
    try:
        return decoder.decode(body), 0
    except msgspec.ValidationError:  # a DecodeError too, but the JSON itself is right
        raise
    except msgspec.DecodeError:
        # Only now, since nearly no body has one.
        whole, halves = mended(body)
        return decoder.decode(whole), halves
