"""Why no answer came: of Lev's host, of its certificate, or of a proxy on the way."""

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
"""How a cause begins where the proxy answers 5xx: it is not the request that is wrong."""

NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""What OpenSSL says of an answer without TLS, as that of an http port."""

_CONNECTION = re.compile(r"^\w+\(host=\S+, port=\d+\): ")


def connection_error(
    error: requests.RequestException, asked: str, transport: Transport
) -> LevError:
    """Say why there is no answer.

    Args:
        error: What came instead.
        asked: Method and path.
        transport: What the request was sent with.
    """
    cause = innermost(error)
    told = _told(cause)
    is_of_proxy = isinstance(error, requests.exceptions.ProxyError) or (
        transport.is_socks and isinstance(cause, NewConnectionError)
    )
    if is_of_proxy:
        return ProxyFaultError(
            f"The proxy that {transport.proxy} names lets no request through to Lev ({asked}): "
            f"{told}. Correct its address, its user and its password, unset it, or name Lev's "
            "host in NO_PROXY.",
            passes=_passes(cause),
        )
    if "CERTIFICATE_VERIFY_FAILED" in told:
        return LevError(
            "Lev is not who it says it is, or its certificate is of an authority that this "
            f"machine does not know: {told}. The key was not sent. "
            f"{network.about_authorities(transport.proxy)}"
        )
    sentence = f"The connection to Lev failed during {asked}: {told}."
    if isinstance(cause, NameResolutionError):
        return UnknownHostError(sentence, passes=_passes(cause))
    if any(name in told for name in NO_TLS):
        return UnknownHostError(sentence, passes=True)
    return LevConnectionError(sentence)


def innermost(error: BaseException) -> BaseException:
    """Find the innermost cause: what requests and urllib3 wrap around it tells nothing more."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    reason = getattr(error, "reason", None)
    return innermost(reason) if isinstance(reason, BaseException) else error


def _told(cause: BaseException) -> str:
    """Repeat a cause, without the name of urllib3's connection."""
    return _CONNECTION.sub("", quoted(cause)) or type(cause).__name__


def _passes(cause: BaseException) -> bool:
    """Say whether a fault may pass by itself: somebody does not answer, in time or at all."""
    reason = cause.__cause__
    if isinstance(reason, socket.gaierror):
        return reason.errno == socket.EAI_AGAIN
    if isinstance(cause, NewConnectionError):  # which is one of urllib3's timeouts
        return False
    is_late = isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError)
    return is_late or _told(cause).startswith(PROXY_FAILS)
