"""Read JSON that is not as it should be: NUL characters, NaN, integers such as 5.0."""

from __future__ import annotations

import json
from typing import Any

NUL_ESCAPE = rb"\u0000"
"""A NUL character in JSON, which has no other form."""

MAX_EXACT = 2**53
"""Up to here a float holds each integer exactly."""


def whole(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the integer that a number such as 5.0 is; anything else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT:
        return int(value)
    return value


def may_hold_nul(body: bytes) -> bool:
    """Return whether JSON may hold a NUL character. One backslash is found far sooner."""
    return b"\\" in body and NUL_ESCAPE in body


def decoded(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Decode JSON that holds NaN, infinities, or numbers too large for a float.

    Raises:
        ValueError: The body is not even that.
        RecursionError: The body is nested too deeply.
    """
    return json.loads(body.decode())
