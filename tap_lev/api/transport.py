"""Send a request to one host, and read a response that is bounded in time and in size.

``requests`` bounds each read of the socket, but not their number, and it reads the whole body of a
redirect even where it may not follow it. Here the bounds hold at the socket. A loop over
``read1()`` of the body could not hold them: Python itself reads the head, the heads before it, and
the lines after the last chunk, each without an end.
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
"""The most bytes of a response, packed or unpacked. A page of 200 deals has 0.5 MB."""

MAX_TIMEOUTS = 5
"""How many timeouts a response may take from its first byte to its last."""

_DEADLINE: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""When the response that this thread reads must have ended, whatever the timeout allows."""

HTTP_1_1 = 11
"""How ``http.client`` writes the version."""

CHUNK = 1 << 20
"""Bytes of a body that are read at a time: usually a whole page."""


class ResponseLimitError(Exception):
    """A response does not end. Not an ``OSError``, which urllib3 would wrap into its own."""


class ResponseTooLargeError(ResponseLimitError):
    """A response is longer than any of Lev's."""


class ResponseTooSlowError(ResponseLimitError):
    """A response takes longer than it may, although it never pauses for long."""


class _Raw(io.RawIOBase):
    """Read from a socket until the bounds are reached."""

    def __init__(self, raw: io.RawIOBase, sock: socket) -> None:
        self._raw = raw
        self._sock = sock
        self._timeout = sock.gettimeout() or math.inf
        self._deadline = time.monotonic() + MAX_TIMEOUTS * self._timeout
        self._latest_end = _DEADLINE.get()
        self._bytes_left = MAX_BYTES

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int | None:
        now = time.monotonic()
        # 1. Between two reads: the response must have ended.
        if now >= min(self._deadline, self._latest_end):
            raise ResponseTooSlowError
        # 2. During this read: the socket must not wait beyond the deadline of the request.
        if self._latest_end < now + self._timeout:
            self._sock.settimeout(self._latest_end - now)
        read: int | None = self._raw.readinto(buffer)
        # 3. After it: the size. Bytes of the head and between the chunks count as well.
        self._bytes_left -= read or 0
        if self._bytes_left < 0:
            raise ResponseTooLargeError
        return read

    @override
    def close(self) -> None:
        if hasattr(self, "_raw"):  # a signal may interrupt the constructor
            self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """A response whose head and body are read within the bounds."""

    fp: Any = None  # close() needs it even if a signal interrupts the constructor

    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **kwargs)
        # Put the bounds between Python's buffer and the socket. fp is None meanwhile, for a signal
        # may leave the response half made, and then it is closed.
        buffered, self.fp = self.fp, None
        self.fp = io.BufferedReader(_Raw(buffered.detach(), sock))

    @override
    def begin(self) -> None:
        """Read the head of the response, past those that only announce it (103 Early Hints).

        Python passes over 100 alone. It would take another one for the response, and the response
        for that to the next request on the connection.
        """
        super().begin()
        while HTTPStatus.CONTINUE < self.status < HTTPStatus.OK:
            if self.version < HTTP_1_1 or not self._is_announcement():
                raise http.client.HTTPException(f"The answer ends with {self.status}")
            # Python reads a head only into a response without one.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()

    def _is_announcement(self) -> bool:
        """Return whether another head must follow: this one has no body and keeps HTTP."""
        if self.status == HTTPStatus.SWITCHING_PROTOCOLS or self.will_close:
            return False
        return not any(map(self.headers.get, ("Content-Length", "Transfer-Encoding")))


class Connection(HTTPConnection):
    """A connection whose responses are bounded. urllib3 shows its name in errors."""

    response_class = _BoundedResponse


class SecureConnection(HTTPSConnection):
    """A connection with TLS whose responses are bounded."""

    response_class = _BoundedResponse

    def _tunnel(self) -> None:
        # urllib3 blames the proxy only if it responds in HTTP, with an error.
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
    """Uses the bounded connections, through a proxy as well."""

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    @override
    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not network.is_socks(proxy):  # urllib3 has other connections for those
            manager.pool_classes_by_scheme = _POOLS
        return manager


class Transport:
    """Sends requests to one host.

    Args:
        url: The base URL.
        timeout: The longest time between two pieces of a response, in seconds.
        parallel: The most requests at the same time.

    Attributes:
        verify: The file or directory of the trusted authorities, or True for the default ones.
        proxies: The proxies of the environment, by scheme; empty if no request takes one.
        proxy: The variable that names the proxy which requests take, or None.
        is_socks: Whether that is a SOCKS proxy.

    Raises:
        ConfigError: The proxy or the certificates that the environment names cannot be used.
    """

    def __init__(self, url: str, timeout: float, parallel: int) -> None:
        self._timeout = timeout
        # Read the environment once: requests would read it again with each request.
        with requests.Session() as session:
            environment = session.merge_environment_settings(url, {}, None, None, None)
        self.verify: bool | str = environment["verify"] or True
        # Plain http is only for this machine. Through a proxy it would leave it, with the key.
        plain = url.lower().startswith("http:")
        self.proxies: dict[str, str] = {} if plain else dict(environment["proxies"])
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
        """Send a request and read the response to its end.

        A session would keep cookies, and read the whole body of a redirect. So none is used.

        Args:
            request: The request.
            seconds: The most that all of it may take, from when the host's name is resolved.

        Returns:
            The response, without its body, and the body.

        Raises:
            ResponseLimitError: The response reaches one of the bounds.
            requests.RequestException: There is no response, or not all of it.
        """
        wait = min(self._timeout, seconds)
        total = None if math.isinf(seconds) else seconds
        deadline = _DEADLINE.set(time.monotonic() + seconds)
        try:
            response = self._adapter.send(
                request,
                stream=True,
                timeout=Timeout(total=total, connect=wait, read=wait),  # type: ignore[arg-type]
                verify=self.verify,
                proxies=self.proxies,
            )
            return response, _body(response)
        except HTTPError as error:  # requests does not wrap all errors of urllib3
            raise requests.ConnectionError(error) from None
        finally:
            _DEADLINE.reset(deadline)


def _body(response: Response) -> bytes:
    """Read and unpack the body, which may be far larger unpacked than on the wire."""
    content, size = [], 0
    with response:
        for chunk in response.iter_content(CHUNK):
            size += len(chunk)
            if size > MAX_BYTES:
                raise ResponseTooLargeError
            content.append(chunk)
    return b"".join(content)
