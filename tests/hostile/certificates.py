"""Certificates for test servers, signed by an authority that nobody trusts by default."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

DAY = dt.timedelta(days=1)


class Authority:
    """A certificate authority.

    Attributes:
        file: The file with its own certificate.
    """

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self.file = directory / "authority.pem"
        self._authority.cert_pem.write_to_path(self.file)

    def context(self, host: str, *, expired: bool = False) -> ssl.SSLContext:
        """Return the TLS settings of a server with a certificate for a host."""
        start = dt.datetime.now(dt.UTC) - (10 * DAY if expired else DAY / 2)
        certificate = self._authority.issue_cert(host, not_before=start, not_after=start + 2 * DAY)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context
