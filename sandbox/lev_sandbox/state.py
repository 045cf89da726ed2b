"""The state of a sandbox that the code below it reads and changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lev_sandbox.clock import Clock
    from lev_sandbox.faults import Faults
    from lev_sandbox.limits import Limits
    from lev_sandbox.log import Log
    from lev_sandbox.paging import Cursors
    from lev_sandbox.poison import Poisons
    from lev_sandbox.response import Content
    from lev_sandbox.store import Store
    from lev_sandbox.switches import Switches
    from lev_sandbox.view import View


class SandboxState(Protocol):
    """What endpoints need of a `Sandbox`, so that they do not import it.

    Attributes:
        key: The API key.
        clock: The server's clock.
        switches: The switches.
        limits: The rate limits.
        faults: The faults in force.
        log: The request log.
        cursors: The cursors given out.
        poisons: The poisoned rows.
        pages: The last page of each method and path, for faults that repeat it.
        store: The rows.
        view: The encoder of the rows.
    """

    key: str
    clock: Clock
    switches: Switches
    limits: Limits
    faults: Faults
    log: Log
    cursors: Cursors
    poisons: Poisons
    pages: dict[tuple[str, str], Content]
    store: Store
    view: View

    def now(self) -> int:
        """Return the server's time in microseconds."""

    def timestamp(self) -> str:
        """Return the server's time in the form of the API."""

    def envelope_timestamp(self) -> str:
        """Return the server's time in the form of envelopes."""
