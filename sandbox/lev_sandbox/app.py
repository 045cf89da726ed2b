"""Serve the sandbox as an ASGI application, and send responses with faults."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from lev_sandbox.control import control_app

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from lev_sandbox.response import Response
    from lev_sandbox.sandbox import Sandbox

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

CONTROL = "/_sandbox"
_SMALLEST_COMPRESSED = 1000  # bytes
_HANG_SECONDS = 3600.0
_DRIP_SECONDS = 0.1


class App:
    """Serves a sandbox over HTTP.

    Attributes:
        sandbox: The sandbox.
        connections: The open connections by client address; the server fills it.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.connections: dict[Any, asyncio.Transport] = {}
        self._control = control_app(sandbox)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hanging: set[asyncio.Event] = set()
        sandbox.on_release(self.release)

    def release(self) -> None:
        """Send the hanging responses; safe to call from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        for event in self._hanging:
            event.set()

    def abort(self) -> None:
        """Close every connection at once; call it in the server's thread."""
        for connection in list(self.connections.values()):
            connection.abort()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        self._loop = asyncio.get_running_loop()
        path: str = scope["path"]
        if path == CONTROL or path.startswith(f"{CONTROL}/"):
            await self._control(scope, receive, send)
            return
        body = await _body(receive)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        request, entry, route = self.sandbox.receive(scope["method"], path, query, headers, body)
        response = self.sandbox.respond(request, entry, route)
        delay = self.sandbox.delay()
        if delay and not await self._pause(delay, receive):
            return
        if self.sandbox.switches["gzip"] and "gzip" in headers.get("accept-encoding", ""):
            _compress(response)
        await self._send(response, scope, receive, send)

    async def _send(self, response: Response, scope: Message, receive: Receive, send: Send) -> None:
        # 1. A reset sends nothing.
        # 2. A hang waits, then sends the response as usual.
        # 3. A cut sends a part of the promised length and closes.
        # 4. A drip sends small chunks with pauses.
        fault, body = response.fault, response.body
        kind = fault.kind if fault else None
        transport = self.connections.get(scope["client"])
        if fault and kind == "reset" and transport:
            _reset(transport)
            await _disconnected(receive)
            return
        if (
            fault
            and kind == "hang"
            and not await self._pause(fault.wait(_HANG_SECONDS), receive, hang=True)
        ):
            return
        headers = {
            "content-type": response.media_type,
            "content-length": str(len(body)),
            **response.headers,
        }
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": encoded})
        if fault and kind == "cut" and transport:
            end = len(body) // 2 if fault.after_bytes is None else fault.after_bytes
            await send({"type": "http.response.body", "body": body[:end], "more_body": True})
            transport.close()
            await _disconnected(receive)
            return
        if fault and kind == "drip":
            for start in range(0, len(body), fault.chunk_bytes):
                chunk = body[start : start + fault.chunk_bytes]
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if not await self._pause(fault.wait(_DRIP_SECONDS), receive):
                    return
            body = b""
        await send({"type": "http.response.body", "body": body})

    async def _pause(self, seconds: float, receive: Receive, *, hang: bool = False) -> bool:
        """Wait, and return whether the client is still connected."""
        # A client that leaves, or a release, ends the wait early.
        gone = asyncio.ensure_future(_disconnected(receive))
        event = asyncio.Event()
        released = asyncio.ensure_future(event.wait())
        if hang:
            self._hanging.add(event)
        try:
            await asyncio.wait(
                {gone, released}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            return not gone.done()
        finally:
            self._hanging.discard(event)
            for task in (gone, released):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _reset(transport: asyncio.Transport) -> None:
    """Close a connection with RST instead of FIN."""
    connection = transport.get_extra_info("socket")
    # With a linger time of zero the kernel drops what is unsent and sends RST.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _compress(response: Response) -> None:
    if len(response.body) < _SMALLEST_COMPRESSED:
        return
    packer = zlib.compressobj(level=1, wbits=31)
    response.body = packer.compress(response.body) + packer.flush()
    response.headers["content-encoding"] = "gzip"
    response.headers["vary"] = "Accept-Encoding"
