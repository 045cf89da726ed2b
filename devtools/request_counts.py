"""Count requests for the table in streams.md: ``python -m devtools.request_counts``.

Runs the tap against a sandbox of 2,000 deals and reads the sandbox's log. Takes some minutes.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk.contrib.msgspec import MsgSpecWriter
from typing_extensions import override

from lev_sandbox import Sandbox, SandboxServer
from lev_sandbox.limits import TIERS
from tap_lev.streams import STREAMS
from tap_lev.streams.child import ChildStream
from tap_lev.streams.lists import ListStream
from tap_lev.tap import TapLev

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from singer_sdk.singerlib.encoding.simple import Message

    from tap_lev.streams.base import LevStream

PAGE = Path(__file__).parents[1] / "docs" / "streams.md"
PAGE_SIZE = 200
LOG_SIZE = 500_000
WITHOUT_LIMITS = dict.fromkeys(
    ("requests_per_minute", "requests_per_minute_per_endpoint"), 1_000_000_000
)
SETTINGS = {"fact_queries": ["net operating income"], "observation_metric_ids": [1]}
DEFAULT = frozenset(stream.name for stream in STREAMS if stream.selected_by_default)
EVERYTHING = frozenset(stream.name for stream in STREAMS)

Requests = Counter[str]
"""How many requests went to each endpoint, by method and route template."""

Cells = dict[str, dict[str, str]]
"""The filled cells of each column of a table, by the first cell of their row."""


class DiscardingWriter(MsgSpecWriter):
    """Discards all messages, because only the requests are counted."""

    @override
    def write_message(self, message: Message) -> None:
        pass


def count_requests(
    selected: Collection[str],
    *,
    changed: float | None = None,
    scope: str = "all",
) -> Requests:
    """Run the tap against a sandbox and count the requests in its log.

    Args:
        selected: The streams to select.
        changed: Share of the rows of each incremental list to change before a second run, an
            hour later, which is counted instead. None counts the first run.
        scope: The setting ``per_parent_scope``.
    """
    with SandboxServer(Sandbox(log_size=LOG_SIZE)) as server:
        config = {
            "api_url": server.url,
            "api_key": server.key,
            "per_parent_scope": scope,
            **WITHOUT_LIMITS,
            **SETTINGS,
        }
        state = _sync(config, selected, {})
        if changed is not None:
            server.sandbox.clock.advance(3600)
            for stream in STREAMS:
                if issubclass(stream, ListStream) and stream.paged:
                    count = math.ceil(server.sandbox.count(stream.name) * changed)
                    server.sandbox.touch(stream.name, count)
            server.sandbox.clear_log()
            _sync(config, selected, state)
        return Counter(f"{entry.method} {entry.route}" for entry in server.sandbox.requests)


def _sync(
    config: Mapping[str, Any], selected: Collection[str], state: Mapping[str, Any]
) -> Mapping[str, Any]:
    catalog = TapLev(config=dict(config)).catalog_dict
    for entry in catalog["streams"]:
        for metadata in entry["metadata"]:
            if not metadata["breadcrumb"]:
                metadata["metadata"]["selected"] = entry["tap_stream_id"] in selected
    tap = TapLev(
        config=dict(config), catalog=catalog, state=state, message_writer=DiscardingWriter()
    )
    tap.run()
    return tap.state


def count_plainly(selected: Collection[str]) -> Requests:
    """Count the requests of a tap without embeds and shared lists, one call for each parent."""
    sandbox = Sandbox()
    tap = TapLev(config=dict(SETTINGS), validate_config=False, setup_mapper=False)
    chosen = [stream for stream in STREAMS if stream.name in selected]
    return sum((_plain(stream, tap, sandbox) for stream in chosen), start=Counter())


def _plain(stream: type[LevStream], tap: TapLev, sandbox: Sandbox) -> Requests:
    if issubclass(stream, ChildStream):
        reader = tap.streams[stream.name]
        calls = reader.requests() if isinstance(reader, ChildStream) else ()
        endpoints = [call.endpoint for call in calls]
        parents = sandbox.count(stream.parent.name)
        return _plain(stream.parent, tap, sandbox) + Counter(dict.fromkeys(endpoints, parents))
    paged = issubclass(stream, ListStream) and stream.paged
    pages = math.ceil(sandbox.count(stream.name) / PAGE_SIZE) if paged else 1
    return Counter({f"GET {stream.path}": pages})


def minutes(requests: Requests, tier: str) -> int:
    """Compute the least minutes that requests take under the limits of a tier."""
    account, endpoint = TIERS[tier]
    if account is None or endpoint is None:
        raise ValueError(f"The tier {tier} has no limits.")
    return math.ceil(max(requests.total() / account, max(requests.values()) / endpoint))


def table(columns: Mapping[str, Requests]) -> str:
    """Build the table: one row per endpoint, the sum, and the minutes for each tier."""
    endpoints = {endpoint for requests in columns.values() for endpoint in requests}
    order = sorted(endpoints, key=lambda endpoint: endpoint.partition(" ")[2])
    rows = [
        [f"`{endpoint}`", *(f"{r[endpoint]:,}" if r[endpoint] else "" for r in columns.values())]
        for endpoint in order
    ]
    rows.append(["**all requests**", *(f"**{r.total():,}**" for r in columns.values())])
    for tier in ("free", "standard", "enterprise"):
        account, endpoint = TIERS[tier]
        head = f"minutes, {tier} ({account} per minute, {endpoint} per endpoint)"
        rows.append([head, *(f"{minutes(r, tier):,}" for r in columns.values())])
    lines = [["request", *columns], ["---", *["---:"] * len(columns)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(text: str) -> Cells:
    """Read a table back."""
    lines = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return {
        name: {row[0]: row[number] for row in rows if row[number]}
        for number, name in enumerate(head)
        if number
    }


def replace_table(text: str, content: str) -> str:
    """Replace the table between the markers."""
    pattern = r"(<!-- requests -->\n).*(<!-- /requests -->)"
    return re.sub(pattern, lambda m: m[1] + content + m[2], text, flags=re.DOTALL)


def find_table(text: str) -> str:
    """Find the table between the markers.

    Raises:
        ValueError: The markers are not there.
    """
    match = re.search(r"<!-- requests -->\n(.*)<!-- /requests -->", text, re.DOTALL)
    if match is None:
        raise ValueError("There are no markers for the table.")
    return match[1]


COLUMNS: dict[str, Callable[[], Requests]] = {
    "default": partial(count_requests, DEFAULT),
    "default, next run": partial(count_requests, DEFAULT, changed=0.01),
    "default, plainly": partial(count_plainly, DEFAULT),
    "everything": partial(count_requests, EVERYTHING),
    "everything, next run": partial(count_requests, EVERYTHING, changed=0.01, scope="changed"),
    "everything, plainly": partial(count_plainly, EVERYTHING),
}


if __name__ == "__main__":
    content = table({name: count() for name, count in COLUMNS.items()})
    print(content, end="")
    PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")
