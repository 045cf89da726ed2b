"""A local Lev External API v2, for demos, tests and benchmarks."""

from __future__ import annotations

from lev_sandbox.clock import Clock
from lev_sandbox.faults import Fault
from lev_sandbox.log import Entry
from lev_sandbox.request import PREFIX, Request
from lev_sandbox.resources import RESOURCES, SIZES
from lev_sandbox.sandbox import Sandbox
from lev_sandbox.server import SandboxServer
from lev_sandbox.switches import SWITCHES

__all__ = [
    "PREFIX",
    "RESOURCES",
    "SIZES",
    "SWITCHES",
    "Clock",
    "Entry",
    "Fault",
    "Request",
    "Sandbox",
    "SandboxServer",
]
__version__ = "0.1.0"
