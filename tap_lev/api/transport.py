"""The way to Lev and back: to one host only, and never more of an answer than there can be.

``requests`` waits for each piece of an answer, however many there are, and follows a redirect half
way even where it is told not to. Here an answer has an end: in time and in size.
"""

from __future__ import annotations

import http.client
import io
import math
import time
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ProxyError
from urllib3.util import Timeout

from tap_lev.api import network

if TYPE_CHECKING:
    from socket import socket

    from requests import PreparedRequest, Response

MAX_BYTES = 256 << 20
"""The most bytes that an answer may have, packed or unpacked. A page of 200 deals has 0.5 MB."""

MAX_TIMEOUTS = 5
"""How many times the timeout an answer may take from its first byte to its last."""

_DEADLINE: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""When the answer that this thread reads must have ended, whatever the timeout allows."""

HTTP_1_1 = 11
"""How Python writes the version."""

CHUNK = 1 << 20
"""Bytes of a body that are read at a time: a page at once, as a rule."""


class ResponseLimitError(Exception):
    """An answer does not end. Not an ``OSError``, which urllib3 would turn into its own."""


class ResponseTooLargeError(ResponseLimitError):
    """An answer is longer than any of Lev's."""


class ResponseTooSlowError(ResponseLimitError):
    """An answer takes longer than it may, although it never pauses for long."""


class _Raw(io.RawIOBase):
    """What comes from a socket, as long as it keeps within its bounds."""

    def __init__(self, raw: io.RawIOBase, sock: socket) -> None:
        self._raw = raw
        self._sock = sock
        self._each = sock.gettimeout() or math.inf
        self._deadline = time.monotonic() + MAX_TIMEOUTS * self._each
        self._last = _DEADLINE.get()
        self._left = MAX_BYTES

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int | None:
        now = time.monotonic()
        if now >= min(self._deadline, self._last):
            raise ResponseTooSlowError
        if self._last < now + self._each:
            self._sock.settimeout(self._last - now)
        read: int | None = self._raw.readinto(buffer)
        self._left -= read or 0
        if self._left < 0:
            raise ResponseTooLargeError
        return read

    @override
    def close(self) -> None:
        if hasattr(self, "_raw"):  # a signal may come before
            self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """An answer whose head and body are read within the bounds."""

    fp: Any = None  # it is closed also where a signal comes before it is made

    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **kwargs)
        buffered, self.fp = self.fp, None
        self.fp = io.BufferedReader(_Raw(buffered.detach(), sock))

    @override
    def begin(self) -> None:
        """Read the head of the answer, past those that only announce it, such as 103 Early Hints.

        Python passes over 100 alone. Another one would be taken for the answer, and the answer for
        that to the next request on the connection.
        """
        super().begin()
        while HTTPStatus.CONTINUE < self.status < HTTPStatus.OK:
            if self.version < HTTP_1_1 or not self._is_announcement():
                raise http.client.HTTPException(f"The answer ends with {self.status}")
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()

    def _is_announcement(self) -> bool:
        if self.status == HTTPStatus.SWITCHING_PROTOCOLS or self.will_close:
            return False
        return not any(map(self.headers.get, ("Content-Length", "Transfer-Encoding")))


class Connection(HTTPConnection):
    """A connection whose answers have a bound. urllib3 tells its name when there is none."""

    response_class = _BoundedResponse


class SecureConnection(HTTPSConnection):
    """The same, with TLS."""

    response_class = _BoundedResponse

    def _tunnel(self) -> None:
        # urllib3 blames a proxy that answers with an error, and not one that answers anything else.
        try:
            super()._tunnel()
        except (OSError, http.client.HTTPException) as error:
            raise ProxyError("It opens no tunnel", error) from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    @override
    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not network.is_socks(proxy):  # whose connections are of another kind
            manager.pool_classes_by_scheme = _POOLS
        return manager


class Transport:
    """Sends requests to one host.

    Args:
        url: The base URL.
        timeout: The longest time between two pieces of an answer, in seconds.
        parallel: How many requests may be out at the same time.

    Attributes:
        proxy: The variable that names the proxy which requests take, None where they take none.
        is_socks: Whether that is a SOCKS proxy.

    Raises:
        ConfigError: The proxy or the certificates that the environment names cannot be used.
    """

    def __init__(self, url: str, timeout: float, parallel: int) -> None:
        self._timeout = timeout
        # What the environment says of proxies and certificates, once and not with each request.
        with requests.Session() as session:
            found = session.merge_environment_settings(url, {}, None, None, None)
        self.verify: bool | str = found["verify"] or True
        # Through a proxy a request that is not encrypted would leave this machine, with the key.
        plain = url.lower().startswith("http:")  # to a loopback address, or it is refused
        self.proxies: dict[str, str] = {} if plain else dict(found["proxies"])
        self.proxy: str | None = None
        self.is_socks = False
        if not plain:
            if isinstance(self.verify, str):
                network.check_authorities(self.verify)
            if proxy := network.proxy_of(url, self.proxies):
                network.check_proxy(url, proxy)
                self.proxy = network.proxy_variable(url, proxy)
                self.is_socks = network.is_socks(proxy)
        self._adapter = _Adapter(pool_maxsize=parallel)

    def send(self, request: PreparedRequest, seconds: float = math.inf) -> tuple[Response, bytes]:
        """Send a request and read the answer to its end.

        Not by a session, which would keep cookies, and read the whole body of a redirect.

        Args:
            request: The request.
            seconds: The most that all of it may take, once the host's name is resolved.

        Raises:
            EndlessError: The answer has no end.
            requests.RequestException: There is no answer, or not all of it.
        """
        each = min(self._timeout, seconds)
        whole = None if math.isinf(seconds) else seconds
        deadline = _DEADLINE.set(time.monotonic() + seconds)
        try:
            response = self._adapter.send(
                request,
                stream=True,
                timeout=Timeout(total=whole, connect=each, read=each),  # type: ignore[arg-type]
                verify=self.verify,
                proxies=self.proxies,
            )
            return response, _body(response)
        except HTTPError as error:  # requests lets some of urllib3's through
            raise requests.ConnectionError(error) from None
        finally:
            _DEADLINE.reset(deadline)


def _body(response: Response) -> bytes:
    content, size = [], 0
    with response:
        for chunk in response.iter_content(CHUNK):
            size += len(chunk)
            if size > MAX_BYTES:
                raise ResponseTooLargeError
            content.append(chunk)
    return b"".join(content)
