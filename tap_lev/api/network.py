"""Check the proxies and the trusted authorities that the environment names."""

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
"""The variables that name the trusted authorities; the first one that is set counts."""
OTHER_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that other programs read for them, and ``requests`` does not."""
SYSTEM = "the system's settings"
"""The source of a proxy that no variable names."""


def check_authorities(file: str) -> None:
    """Make sure that the trusted certificates can be loaded.

    Args:
        file: The file or directory that the environment names.

    Raises:
        ConfigError: They cannot.
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
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"{shown(file)}, which the environment variable {variable} names for the certificates "
            f"to trust, cannot be used: {quoted(error.strerror or error)}. Correct the variable, "
            "or unset it."
        ) from None


def authorities_variable() -> str | None:
    """Return the variable that names the trusted authorities, or None."""
    return next((name for name in AUTHORITIES if os.environ.get(name)), None)


def about_authorities(proxy: str | None) -> str:
    """Write what to do about a certificate of an authority that is not trusted.

    Args:
        proxy: The variable that names the proxy, or None if requests take none.
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
    """Return whether a proxy is a SOCKS proxy."""
    return proxy.lower().startswith("socks")


def proxy_of(url: str, proxies: Mapping[str, str]) -> str | None:
    """Return the proxy that requests to a URL take, or None."""
    return select_proxy(url, dict(proxies)) or None


def check_proxy(url: str, proxy: str) -> None:
    """Make sure that requests can use a proxy.

    No message repeats its URL, since that may hold a password.

    Raises:
        ConfigError: They cannot.
    """
    variable = proxy_variable(url, proxy)
    try:
        proxy_url = prepend_scheme_if_needed(proxy, "http")  # type: ignore[no-untyped-call]
        parts = parse_url(proxy_url)
        (parts.host or "").encode("idna")
        HTTPAdapter().proxy_manager_for(proxy_url)
        # A slash in a password ends the host early, so that the @ stands behind it.
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
    """Return the variable that holds a proxy."""
    names = {f"{kind}_proxy" for kind in (url.partition(":")[0].lower(), "all")}
    variables = (name for name in os.environ if name.lower() in names)
    return next((name for name in variables if os.environ[name] == proxy), SYSTEM)
