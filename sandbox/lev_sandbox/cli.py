"""The command line."""

from __future__ import annotations

import argparse
import errno
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from lev_sandbox.limits import MODES, TIERS
from lev_sandbox.resources import RESOURCES, SIZES
from lev_sandbox.sandbox import Sandbox
from lev_sandbox.server import SandboxServer, is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD_USAGE = 2


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(
        prog="lev-sandbox",
        description="A local Lev API. Prints its URL and key, and serves until it is told to end.",
    )
    options.add_argument("--host", default="127.0.0.1", help="a loopback address (%(default)s)")
    options.add_argument(
        "--port", type=int, default=0, help="the port; 0: any free one (%(default)s)"
    )
    options.add_argument("--key", help="the API key; made from the seed by default")
    options.add_argument(
        "--seed", type=int, default=1, help="where the data comes from (%(default)s)"
    )
    options.add_argument("--tier", choices=tuple(TIERS), default="standard", help="(%(default)s)")
    options.add_argument(
        "--window", type=float, default=60.0, help="seconds of the rate limits' window"
    )
    options.add_argument("--limit-mode", choices=MODES, default="sliding", help="(%(default)s)")
    options.add_argument("--null-updated-every", type=int, default=0, metavar="N",
                       help="every N-th row has no updated_at")  # fmt: skip
    options.add_argument("--future-updated-every", type=int, default=0, metavar="N",
                       help="every N-th row is dated in the future")  # fmt: skip
    sizes = options.add_argument_group("rows")
    for name, size in SIZES.items():
        parent = RESOURCES[name].parent
        sizes.add_argument(
            f"--{name.replace('_', '-')}", dest=name, default=size, metavar="N",
            type=float if parent else int,
            help=f"average per row of {parent} (%(default)s)" if parent else "(%(default)s)",
        )  # fmt: skip
    return options


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve a sandbox until SIGINT or SIGTERM."""
    options = parser().parse_args(arguments)
    if not is_loopback(options.host):
        _refuse(f"the sandbox serves loopback addresses only, not {options.host!r}.")
    try:
        sandbox = Sandbox(
            seed=options.seed, key=options.key, tier=options.tier, window=options.window,
            limit_mode=options.limit_mode, null_updated_every=options.null_updated_every,
            future_updated_every=options.future_updated_every,
            **{name: getattr(options, name) for name in SIZES},
        )  # fmt: skip
    except ValueError as error:
        _refuse(str(error))
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    server = SandboxServer(sandbox, host=options.host, port=options.port)
    try:
        server.start()
    except (OSError, OverflowError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is in use" if in_use else f"cannot be used: {error}"
        _refuse(f"port {options.port} {reason}.")
    sys.stdout.write(f"TAP_LEV_API_URL={server.url}\nTAP_LEV_API_KEY={server.key}\n")
    sys.stdout.flush()
    ended.wait()
    server.stop()
    raise SystemExit(0)


def _refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"lev-sandbox: {sentence}\n")
    raise SystemExit(BAD_USAGE)
