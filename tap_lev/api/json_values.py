"""JSON that is not as it should be: NUL characters, NaN, integers with a decimal point."""

from __future__ import annotations

import json
from typing import Any

NUL_ESCAPE = rb"\u0000"
"""How JSON writes a NUL character: there is no other way."""


MAX_EXACT = 2**53
"""Up to here each whole number has a float of its own."""


def whole(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the integer that a number such as 5.0 is; anything else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT:
        return int(value)
    return value


def may_hold_nul(body: bytes) -> bool:
    """Say whether JSON may hold a NUL character. A look for one backslash takes far less time."""
    return b"\\" in body and NUL_ESCAPE in body


def decoded(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Decode JSON with NaN, infinities, or numbers that are too large for a float, in it.

    Raises:
        ValueError: It is no JSON even so.
        RecursionError: It is nested too deeply.
    """
    return json.loads(body.decode())
