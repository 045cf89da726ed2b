"""Serve a sandbox on this machine."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from typing import TYPE_CHECKING, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lev_sandbox.app import CONTROL, App
from lev_sandbox.request import PREFIX
from lev_sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from types import TracebackType

_BACKLOG = 512
_GRACE_SECONDS = 2


class _Protocol(HttpToolsProtocol):
    """Registers connections with the app, so that faults can break them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._client = transport.get_extra_info("peername")
        self.config.app.connections[self._client] = transport  # type: ignore[union-attr]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.config.app.connections.pop(self._client, None)  # type: ignore[union-attr]


class _Server(uvicorn.Server):
    """Signals when it is ready, and ends at once rather than at the next tick."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)
        self.ready.set()
        await self._ended.wait()
        self._app.abort()

    def end(self) -> None:
        """End the server; called from another thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended.set)


class SandboxServer:
    """Serves a sandbox in its own thread; use it in a `with` statement.

    Args:
        sandbox: The sandbox; a new one by default.
        host: A loopback address or `localhost`.
        port: The port; 0 for any free one.
    """

    def __init__(
        self, sandbox: Sandbox | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.sandbox = sandbox or Sandbox()
        self.host = host
        self.port = port
        self._app = App(self.sandbox)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def url(self) -> str:
        """The API's base URL."""
        return f"{self.origin}{PREFIX}"

    @property
    def control_url(self) -> str:
        """The control API's base URL."""
        return f"{self.origin}{CONTROL}"

    @property
    def key(self) -> str:
        """The API key."""
        return self.sandbox.key

    def start(self) -> Self:
        """Bind the port and serve.

        Raises:
            ValueError: The host is not this machine's alone.
            OSError: The port cannot be bound.
        """
        if not is_loopback(self.host):
            raise ValueError(f"The sandbox serves loopback addresses only, not {self.host!r}.")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # asyncio turns Nagle off only for sockets that say they are TCP.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app, http=_Protocol, ws="none", loop="asyncio", lifespan="off", log_config=None,
            access_log=False, date_header=False, server_header=False, proxy_headers=False,
            timeout_keep_alive=75, timeout_graceful_shutdown=_GRACE_SECONDS,
        )  # fmt: skip
        self._server = _Server(config, self._app)
        self._thread = threading.Thread(
            target=self._serve, args=(self._server, listener), name="lev-sandbox", daemon=True
        )
        self._thread.start()
        self._server.ready.wait()
        return self

    def stop(self) -> None:
        """Close every connection, hanging ones too, and end the server."""
        if self._server is None or self._thread is None:
            return
        self._server.end()
        self._thread.join()
        self._server = self._thread = None

    @staticmethod
    def _serve(server: _Server, listener: socket.socket) -> None:
        try:
            asyncio.run(server.serve(sockets=[listener]))
        finally:
            # Also after a failed start, for which `start` would wait forever.
            server.ready.set()
            listener.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine and cannot be reached from others."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
