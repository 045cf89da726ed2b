"""Answers that do not end, or not soon, or are not HTTP: each has a bound and a sentence."""

from __future__ import annotations

import gc
import gzip
import itertools
import socket
import sys
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.api import transport
from tap_lev.errors import LevConnectionError, LevError
from tests.hostile.counts import count, examples
from tests.hostile.servers import Server, serving
from tests.hostile.single_sync import readable
from tests.unit.api.test_client import Setup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
MEBIBYTE = b"x" * (1 << 20)
BOUND = 4 << 20
TOO_LONG = (
    "Lev's answer to GET /contacts is longer than 4 MiB, as no answer of its API is. It was not "
    "read to its end."
)


@pytest.fixture(autouse=True)
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the bound one that a test can reach in a moment."""
    monkeypatch.setattr(transport, "MAX_BYTES", BOUND)


class Drip:
    """Sends piece by piece.

    Attributes:
        timeout: Seconds after which a piece is missed.
        longest: The longest pause before one, in seconds.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.longest = 0.0
        self._sent = time.monotonic()

    def __call__(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            time.sleep(self.timeout / 5)
            now = time.monotonic()
            self.longest, self._sent = max(self.longest, now - self._sent), now
            yield piece

    @property
    def is_steady(self) -> bool:
        """Whether the machine made no pauses of its own that look like an end."""
        return self.longest < 0.8 * self.timeout


def steadily(read: Callable[[Drip], None]) -> None:
    """Read, and again in larger steps where the machine is too busy for small ones."""
    for timeout in (0.1, 0.2, 0.4, 0.8, 1.6):
        drip = Drip(timeout)
        try:
            read(drip)
        except LevError:
            if drip.is_steady:
                raise
        if drip.is_steady:
            return
    raise AssertionError("The machine sends nothing steadily.")


def told(server: Server, timeout: float = 0.1) -> str:
    """Make sure that a read ends soon; return the sentence."""
    made = Setup(
        server.url, "lev_sk_test_0123456789", max_retries=0, request_timeout_seconds=timeout
    )
    begun = time.monotonic()
    with pytest.raises(LevError) as caught:
        made.read()
    assert time.monotonic() - begun < 20 * timeout + 3
    return readable(caught.value)


SLOW: dict[str, Callable[[], Iterator[bytes]]] = {
    "a body": lambda: itertools.chain(
        [HEAD + b"Content-Length: 1000000\r\n\r\n"], itertools.repeat(b" ")
    ),
    "a body without a length": lambda: itertools.chain([HEAD + b"\r\n"], itertools.repeat(b" ")),
    "chunks": lambda: itertools.chain(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], itertools.repeat(b"1\r\n \r\n")
    ),
    "a head": lambda: itertools.chain([HEAD + b"X-Slow: "], itertools.repeat(b"x")),
    "a first line": lambda: itertools.chain([b"HTTP/1.1 "], itertools.repeat(b"2")),
    "heads before the head": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "the end of the chunks": lambda: itertools.chain(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"], itertools.repeat(b"X-Trailer: x\r\n")
    ),
}


@pytest.mark.parametrize("pieces", SLOW.values(), ids=SLOW)
def test_an_answer_that_comes_byte_by_byte_is_given_up(
    pieces: Callable[[], Iterator[bytes]],
) -> None:
    def read(drip: Drip) -> None:
        with serving(lambda _: drip(pieces())) as server:
            sentence = told(server, drip.timeout)
        given_up = (
            f"Lev began to answer GET /contacts, but had not ended after {5 * drip.timeout:g} s."
        )
        assert sentence == given_up or not drip.is_steady

    steadily(read)


def test_an_answer_that_is_slow_but_ends_is_taken() -> None:
    body = b'{"data": []}'
    pieces = [HEAD + b"Content-Length: 12\r\n\r\n", *(bytes([byte]) for byte in body)]

    def read(drip: Drip) -> None:
        with serving(lambda _: drip(iter(pieces))) as server:
            made = Setup(
                server.url, "lev_sk_test", max_retries=0, request_timeout_seconds=drip.timeout
            )
            assert made.read().data == []

    steadily(read)


@pytest.mark.parametrize("pieces", SLOW.values(), ids=SLOW)
def test_a_request_that_may_not_take_long_is_given_up_whatever_the_timeout_is(
    pieces: Callable[[], Iterator[bytes]],
) -> None:
    with serving(lambda _: Drip(0.2)(pieces())) as server:
        request = requests.Request("GET", server.url).prepare()
        begun = time.monotonic()
        with pytest.raises((transport.ResponseTooSlowError, requests.RequestException)):
            transport.Transport(server.url, 60, 1).send(request, 0.3)
        assert time.monotonic() - begun < 20


def test_no_piece_is_waited_for_longer_than_the_whole_may_take() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        theirs.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        before = transport._DEADLINE.set(time.monotonic() + 50)
        response = transport._BoundedResponse(ours)
        response.begin()
        transport._DEADLINE.reset(before)
        assert response.read() == b"{}"
        assert 0 < (ours.gettimeout() or 0) < 50
        response.close()


def test_a_last_piece_that_does_not_come_is_not_waited_for() -> None:
    def pieces() -> Iterator[bytes]:
        yield HEAD + b"Content-Length: 12\r\n\r\n{"
        time.sleep(5)

    with serving(lambda _: pieces()) as server:
        request = requests.Request("GET", server.url).prepare()
        begun = time.monotonic()
        with pytest.raises(requests.RequestException):
            transport.Transport(server.url, 60, 1).send(request, 0.2)
        assert time.monotonic() - begun < 4
        # The next request has all the time that it had.
        assert transport._DEADLINE.get() == float("inf")


ENDLESS: dict[str, Callable[[], Iterator[bytes]]] = {
    "a body": lambda: itertools.chain([HEAD + b"\r\n"], itertools.repeat(MEBIBYTE)),
    "a body as long as it says": lambda: itertools.chain(
        [HEAD + b"Content-Length: 999999999999\r\n\r\n"], itertools.repeat(MEBIBYTE)
    ),
    "chunks": lambda: itertools.chain(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n"],
        itertools.repeat(b"100000\r\n" + MEBIBYTE + b"\r\n"),
    ),
    "the size of a chunk": lambda: itertools.chain(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], itertools.repeat(b"0" * 65536)
    ),
    "the end of the chunks": lambda: itertools.chain(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"], itertools.repeat(MEBIBYTE)
    ),
    "lines after the chunks": lambda: itertools.chain(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"],
        itertools.repeat(b"X-Trailer: " + b"x" * 30_000 + b"\r\n"),
    ),
    "heads before the head": lambda: itertools.repeat(
        b"HTTP/1.1 100 Continue\r\nX-Long: " + b"x" * 30_000 + b"\r\n\r\n"
    ),
    "an error": lambda: itertools.chain([b"HTTP/1.1 500 Oh\r\n\r\n"], itertools.repeat(MEBIBYTE)),
    "a redirect": lambda: itertools.chain(
        [b"HTTP/1.1 302 There\r\nLocation: /there\r\n\r\n"], itertools.repeat(MEBIBYTE)
    ),
}


@pytest.mark.parametrize("pieces", ENDLESS.values(), ids=ENDLESS)
def test_an_answer_without_end_does_not_fill_the_memory(
    pieces: Callable[[], Iterator[bytes]],
) -> None:
    with serving(lambda _: pieces()) as server:
        tracemalloc.start()
        sentence = told(server, timeout=2)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert sentence == TOO_LONG or "exceeded maximum allowed length" in sentence
    assert len(server.requests) == 1
    assert most < 6 * BOUND


def bomb(times: int) -> bytes:
    """Pack a lot of nothing."""
    packed = gzip.compress(b" " * (64 << 20), 6)
    for _ in range(times - 1):
        packed = gzip.compress(packed)
    return packed


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (bomb(1), "gzip"),
        (bomb(2), "gzip, gzip"),
        (zlib.compress(b" " * (64 << 20)), "deflate"),
    ],
    ids=["gzip", "gzip in gzip", "deflate"],
)
def test_a_small_answer_that_unpacks_into_a_huge_one_is_given_up(
    packed: bytes, encoding: str
) -> None:
    head = HEAD + f"Content-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with serving(lambda _: iter([head, packed])) as server:
        tracemalloc.start()
        sentence = told(server, timeout=2)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert sentence == TOO_LONG
    assert most < 6 * BOUND


LINES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            *(b"HTTP/1.1 200 OK", b"HTTP/1.1 -1 X", b"HTTP/9.9 200 OK", b"HTTP/1.1 999 \xff", b""),
            *(b"HTTP/1.1 302 There", b"Location: http://[::bad", b"Location: \xff\xfe", b"ICY 200"),
            *(b"Content-Length: -5", b"Content-Length: 1, 2", b"Content-Length: " + b"9" * 5000),
            *(b"Transfer-Encoding: chunked", b"zz", b"-1", b"Content-Encoding: gzip", b" folded"),
            *(b"Content-Encoding: br, x, y, z, gzip, deflate", b"Set-Cookie: a=b; Domain=.com"),
            *(b"Retry-After: 0.01", b"Date: Mon, 99 Foo 0 00:00:00", b'{"data": []}', b"0"),
            *(b"Content-Type: \x1b[31m" + b"x" * 5000, b"X" * 70_000, b"HTTP/1.1 101 Up"),
        ]
    ),
)


def test_any_bytes_are_an_answer_or_a_sentence() -> None:
    answer = [b""]
    with serving(lambda _: iter(answer)) as server:

        @given(lines=st.lists(LINES, max_size=8), end=st.sampled_from([b"\r\n", b"\n"]))
        @examples(150, share=0.3)
        def tried(lines: list[bytes], end: bytes) -> None:
            count("answers in raw bytes")
            answer[0] = end.join([*lines, b""])
            made = Setup(server.url, "lev_sk_test", max_retries=0, request_timeout_seconds=1)
            try:
                made.read()
            except LevError as error:
                readable(error)

        tried()


def test_nothing_at_all_is_a_sentence() -> None:
    with serving(lambda _: iter([])) as server:
        made = Setup(server.url, "lev_sk_test", max_retries=0, request_timeout_seconds=1)
        with pytest.raises(LevConnectionError, match="The connection to Lev failed during GET"):
            made.read()


# -- A signal


def test_an_answer_that_a_signal_ends_at_any_line_leaves_nothing_to_say() -> None:
    """What is ended while it is made is closed all the same, by whoever clears up."""

    class Signal(BaseException):
        pass

    def signal_at(number: int) -> None:
        lines = itertools.count()

        def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401
            if Path(frame.f_code.co_filename).name not in {"transport.py", "client.py"}:
                return None
            if event == "line" and next(lines) == number:
                raise Signal
            return trace

        ours, theirs = socket.socketpair()
        with ours, theirs:
            before = sys.gettrace()
            sys.settrace(trace)
            try:
                transport._BoundedResponse(ours).close()
            finally:
                sys.settrace(before)

    for number in itertools.count():
        try:
            signal_at(number)
        except Signal:
            gc.collect()
        else:
            break
    assert number > 15
