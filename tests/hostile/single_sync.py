"""A sync of which only a sentence may go wrong, and inputs with something wrong in them."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any
from unittest import mock

from hypothesis import strategies as st
from singer_sdk.exceptions import SingerSDKError

from tap_lev.errors import LevError
from tap_lev.sync.active_streams import ActiveStream
from tests.support.inprocess import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.process import Run

LONGEST_SENTENCE = 4000


def single_sync(config: Mapping[str, Any], **given: Any) -> Run:  # noqa: ANN401 - what sync takes
    """Run a tap in this process, and make sure that a failure is one that a user can read.

    Anything but a ``LevError`` comes through, and so ends the test.
    """
    fail: Callable[[ActiveStream, Exception], None] = ActiveStream.fail
    told: list[Exception] = []

    def note(active: ActiveStream, error: Exception) -> None:
        told.append(error)
        fail(active, error)

    with mock.patch.object(ActiveStream, "fail", note):
        run = sync(config, **given)
    for error in told:
        assert isinstance(error, LevError | SingerSDKError), repr(error)
        readable(error)
    return run


def readable(error: Exception, *, about: str = "", without: str = "\n") -> str:
    """Make sure that an error is a sentence; return it.

    Args:
        error: The error.
        about: What the sentence must hold.
        without: What it must not hold.
    """
    sentence = str(error)
    assert about in sentence
    assert without not in sentence
    assert len(sentence) < LONGEST_SENTENCE
    assert "\n" not in sentence
    assert "\x1b" not in sentence
    assert sentence.endswith((".", "."))
    return sentence


# -- What stands in a wrong place

DEEP: Any = [0]
for _ in range(150):
    DEEP = [DEEP]

ODD = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 10**30, -(10**30), 10**400, 0.5, -0.0, 1e308),
        *("", " ", "a\nb\x1b[31m", "x" * 10_000, "\0", "ä", "🏠", "null", "1", "NaN"),
        *("2026-11-01T08:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"),
        *([], {}, [[]], [{}], {"id": 1}, [1, 2], {"": None}, DEEP),
    ]
)
ANYTHING = st.recursive(
    ODD | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def spoiled(draw: st.DrawFn, good: Any, value: st.SearchStrategy[Any] = ANYTHING) -> Any:  # noqa: ANN401
    """Take something good and change it in some places.

    Args:
        draw: Chooses.
        good: JSON.
        value: What comes into the places.
    """
    holder = [copy.deepcopy(good)]
    for _ in range(draw(st.integers(0, 3))):
        inside: Any = holder
        place: Any = 0
        while isinstance(inside[place], dict | list) and inside[place] and draw(st.integers(0, 4)):
            inside = inside[place]
            within = sorted(inside) if isinstance(inside, dict) else range(len(inside))
            place = draw(st.sampled_from(within))
        match draw(st.integers(0, 3)):
            case 0 if inside is not holder:
                del inside[place]
            case 1 if isinstance(inside, dict):
                inside[draw(st.text(max_size=8))] = copy.deepcopy(
                    draw(value)
                )  # what is changed next may be inside
            case 1 if inside is not holder:
                inside.insert(place, copy.deepcopy(inside[place]))
            case _:
                inside[place] = copy.deepcopy(draw(value))  # what is changed next may be inside
    return holder[0]


def text_of(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """Write JSON, with NaN where there is one."""
    return json.dumps(value, ensure_ascii=False).encode()


@st.composite
def broken(draw: st.DrawFn, text: bytes) -> bytes:
    """Take a text and damage its bytes."""
    at = draw(st.integers(0, len(text)))
    match draw(st.integers(0, 5)):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + draw(st.binary(max_size=8)) + text[at:]
        case 2:
            other = draw(st.sampled_from(["utf-16", "utf-8-sig", "utf-32"]))
            return text.decode().encode(other)
        case 3:
            odd = [rb'"\ud800"', b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 2000, b"01"]
            return text[:at] + draw(st.sampled_from(odd)) + text[at:]
        case 4:
            return text.replace(b'"id":', b'"id":0,"id":')
        case _:
            return text + text[at:]
