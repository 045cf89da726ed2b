"""Random-looking values that depend on a key alone, so that any row can be made at any time."""

from __future__ import annotations

import time
from hashlib import blake2b, shake_128
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

FIRST_SECOND = 1_641_200_400
"""2022-01-03T09:00:00Z: no generated row is older."""
LAST_SECOND = 1_751_302_800
"""2025-06-30T17:00:00Z: no generated row is younger, and the server's clock starts later."""

_WORD = 0xFFFF_FFFF_FFFF_FFFF


class Draw:
    """Draws the values of one row from a digest of its key.

    Seeding a `random.Random` per row costs more than making the row, and a
    shared generator would make a row depend on those made before it.
    """

    __slots__ = ("_pool",)

    def __init__(self, key: str) -> None:
        """Fill the pool from `key`."""
        self._pool = int.from_bytes(shake_128(key.encode()).digest(160), "little")

    def below(self, limit: int) -> int:
        """Return an integer in [0, limit)."""
        self._pool, value = divmod(self._pool, limit)
        return value

    def between(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return low + self.below(high - low + 1)

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of `choices`."""
        self._pool, index = divmod(self._pool, len(choices))
        return choices[index]

    def chance(self, percent: int) -> bool:
        """Return true in `percent` of 100 draws."""
        return self.below(100) < percent

    def maybe(self, percent: int, value: T) -> T | None:
        """Return `value` in `percent` of 100 draws, else nothing."""
        return value if self.below(100) < percent else None

    def money(self, low: int, high: int, step: int) -> float:
        """Return an amount in [low, high] that is a multiple of `step`."""
        return float(low + self.below((high - low) // step + 1) * step)

    def ratio(self, low: int, high: int, scale: int = 1000) -> float:
        """Return a decimal fraction in [low/scale, high/scale]."""
        return self.between(low, high) / scale

    def day(self, first: int = FIRST_SECOND, last: int = LAST_SECOND) -> str:
        """Return a date between two moments."""
        return date_text(self.between(first, max(first, last)))

    def uuid(self) -> str:
        """Return a version 4 UUID."""
        digits = f"{self.below(1 << 122):031x}"
        variant = "89ab"[self.below(4)]
        head = f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}"
        return f"{head}-{variant}{digits[15:18]}-{digits[18:30]}"


def salt(key: str) -> int:
    """Return a 64-bit number for `key`."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")


def mix(number: int, salted: int) -> int:
    """Return a 64-bit number that looks unrelated to `number`."""
    value = (number * 0x9E37_79B9_7F4A_7C15 + salted) & _WORD
    value = ((value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB) & _WORD
    return value ^ (value >> 31)


def stamp_text(seconds: int) -> str:
    """Return a moment as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def date_text(seconds: int) -> str:
    """Return the date of a moment."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
