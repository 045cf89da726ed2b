"""What the environment says of the network: proxies, and the authorities to trust."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from requests.adapters import HTTPAdapter
from requests.utils import prepend_scheme_if_needed, select_proxy
from urllib3.util import parse_url

from tap_lev.errors import ConfigError
from tap_lev.text import quoted, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables that name the authorities to trust, the first one that is set."""
OTHER_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that other programs take them from, and ``requests`` does not."""
SYSTEM = "the system's settings"
"""Where a proxy comes from that no variable names."""


def check_authorities(file: str) -> None:
    """Make sure that there are certificates to trust.

    Args:
        file: The file or directory that the environment names.

    Raises:
        ConfigError: There are none.
    """
    variable = authorities_variable()
    if not Path(file).exists():
        raise ConfigError(
            f"There is no {shown(file)}, which the environment variable {variable} names for the "
            "certificates to trust. Correct the variable, or unset it."
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if Path(file).is_dir():
            context.load_verify_locations(capath=file)
        else:
            context.load_verify_locations(cafile=file)
    except OSError as error:  # that of TLS is one
        raise ConfigError(
            f"{shown(file)}, which the environment variable {variable} names for the certificates "
            f"to trust, cannot be used: {quoted(error.strerror or error)}. Correct the variable, "
            "or unset it."
        ) from None


def authorities_variable() -> str | None:
    """Name the variable that names the authorities to trust, None where none does."""
    return next((name for name in AUTHORITIES if os.environ.get(name)), None)


def about_authorities(proxy: str | None) -> str:
    """Say what to do about a certificate of an authority that is not trusted.

    Args:
        proxy: The variable that names the proxy, None where there is none.
    """
    whose = f"your own, or that of the proxy which {proxy} names" if proxy else "your own"
    if variable := authorities_variable():
        return (
            f"If the authority is {whose}, its certificate is not in "
            f"{shown(os.environ[variable])}, which the environment variable {variable} names: add "
            "it there."
        )
    unread = next((name for name in OTHER_AUTHORITIES if os.environ.get(name)), None)
    return (
        f"If the authority is {whose}, name its certificates in the environment variable "
        f"{AUTHORITIES[0]}{f' ({unread} is not read)' if unread else ''}."
    )


def is_socks(proxy: str) -> bool:
    """Say whether a proxy is a SOCKS proxy."""
    return proxy.lower().startswith("socks")


def proxy_of(url: str, proxies: Mapping[str, str]) -> str | None:
    """Find the proxy that requests to a URL take, None where they take none."""
    return select_proxy(url, dict(proxies)) or None


def check_proxy(url: str, proxy: str) -> None:
    """Make sure that a proxy can be asked. No message repeats it, since it may hold a password.

    Raises:
        ConfigError: It cannot.
    """
    variable = proxy_variable(url, proxy)
    try:
        given = prepend_scheme_if_needed(proxy, "http")  # type: ignore[no-untyped-call]
        parts = parse_url(given)
        (parts.host or "").encode("idna")
        HTTPAdapter().proxy_manager_for(given)
        # A password with a slash in it leaves its second half behind the host.
        is_url = bool(parts.host) and "@" not in f"{parts.path}{parts.query}{parts.fragment}"
    except requests.exceptions.InvalidSchema:
        raise ConfigError(
            f"The environment variable {variable} names a SOCKS proxy, for which Python needs the "
            "package PySocks: install it where tap-lev is installed (pip install PySocks), name "
            "an HTTP proxy, or unset the variable."
        ) from None
    except ValueError:
        is_url = False
    if not is_url:
        raise ConfigError(
            f"The environment variable {variable} must be the URL of a proxy, such as "
            "http://proxy.example:3128, with user and password percent-encoded if there are any. "
            "Correct the variable, or unset it."
        )


def proxy_variable(url: str, proxy: str) -> str:
    """Name the variable that holds a proxy."""
    names = {f"{kind}_proxy" for kind in (url.partition(":")[0].lower(), "all")}
    given = (name for name in os.environ if name.lower() in names)
    return next((name for name in given if os.environ[name] == proxy), SYSTEM)
