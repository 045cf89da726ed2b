"""Turn a failed connection into a sentence: the host, its certificate or a proxy."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import requests
import urllib3.exceptions
from urllib3.exceptions import NameResolutionError, NewConnectionError

from tap_lev.api import network
from tap_lev.errors import LevConnectionError, LevError, ProxyFaultError, UnknownHostError
from tap_lev.text import quoted

if TYPE_CHECKING:
    from tap_lev.api.transport import Transport

PROXY_FAILS = "Tunnel connection failed: 5"
"""How a cause begins if the proxy responds with 5xx: the request is not wrong."""

NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""OpenSSL's names for a response without TLS, such as that of an http port."""

_CONNECTION = re.compile(r"^\w+\(host=\S+, port=\d+\): ")


def connection_error(
    error: requests.RequestException, request_line: str, transport: Transport
) -> LevError:
    """Find why there is no response.

    Args:
        error: The exception that the request raised.
        request_line: Method and path.
        transport: The transport that sent the request.

    Returns:
        The error, of the class that says whether another try may succeed.
    """
    cause = innermost(error)
    reason = _reason(cause)
    # 1. The proxy. Through SOCKS, urllib3 reports its faults as a new connection that failed.
    is_of_proxy = isinstance(error, requests.exceptions.ProxyError) or (
        transport.is_socks and isinstance(cause, NewConnectionError)
    )
    if is_of_proxy:
        return ProxyFaultError(
            f"The proxy that {transport.proxy} names lets no request through to Lev "
            f"({request_line}): {reason}. Correct its address, its user and its password, "
            "unset it, or name Lev's host in NO_PROXY.",
            passes=_passes(cause),
        )
    # 2. The certificate: another try does not help, so this is no connection error.
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return LevError(
            "Lev is not who it says it is, or its certificate is of an authority that this "
            f"machine does not know: {reason}. The key was not sent. "
            f"{network.about_authorities(transport.proxy)}"
        )
    sentence = f"The connection to Lev failed during {request_line}: {reason}."
    # 3. No such host, or not its https port: api_url may be wrong.
    if isinstance(cause, NameResolutionError):
        return UnknownHostError(sentence, passes=_passes(cause))
    if any(name in reason for name in NO_TLS):
        return UnknownHostError(sentence, passes=True)
    # 4. Anything else, such as a reset: worth another try.
    return LevConnectionError(sentence)


def innermost(error: BaseException) -> BaseException:
    """Find the innermost cause. What requests and urllib3 wrap around it adds nothing."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    reason = getattr(error, "reason", None)
    return innermost(reason) if isinstance(reason, BaseException) else error


def _reason(cause: BaseException) -> str:
    """Quote a cause without the name of urllib3's connection."""
    return _CONNECTION.sub("", quoted(cause)) or type(cause).__name__


def _passes(cause: BaseException) -> bool:
    """Return whether a fault may pass by itself: somebody does not respond in time."""
    reason = cause.__cause__
    if isinstance(reason, socket.gaierror):
        return reason.errno == socket.EAI_AGAIN
    if isinstance(cause, NewConnectionError):  # a subclass of urllib3's timeout
        return False
    is_late = isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError)
    return is_late or _reason(cause).startswith(PROXY_FAILS)
