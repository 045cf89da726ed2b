"""Draw the pictures of a walk and of the budget from runs of the tap: ``make pictures``.

Takes about two minutes, most of it for the budget: twenty of Lev's minutes, shortened.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from benchmarks.plots import INK, STYLE
from lev_sandbox import Sandbox, SandboxServer
from tap_lev.streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from lev_sandbox.request import Request

DOCS = Path(__file__).parents[1] / "docs"
HOUR = 3600
NO_LIMIT = 1_000_000_000
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#b5bcc4"
MUTED = "#57606a"

# -- Running

CONTACTS, PAGE, KILLED_AT = 1600, 200, 900
CHANGED_AT_PAGE, BEHIND, AHEAD = 4, 250, 1250
"""Rows that change while the first run requests its fourth page: one before it, one after."""


@dataclass
class Run:
    """The output of one run of the tap.

    Attributes:
        ids: The ids of its rows, in their order.
        states: How many rows were written before each STATE.
        state: The last STATE.
    """

    ids: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)


def run(server: SandboxServer, state: dict[str, Any], *, kill_after: int | None = None) -> Run:
    """Run the tap for the contacts.

    Args:
        server: The Lev to read.
        state: The state to resume from.
        kill_after: Rows after which to kill the tap, or None.
    """
    done = Run()
    settings = {"requests_per_minute": NO_LIMIT, "requests_per_minute_per_endpoint": NO_LIMIT}
    with tap(server, {"contacts"}, state, page_size=PAGE, **settings) as process:
        for line in process.stdout or ():
            message = json.loads(line)
            if message["type"] == "STATE":
                done.state = message["value"]
                done.states.append(len(done.ids))
            elif message["type"] == "RECORD":
                done.ids.append(message["record"]["id"])
                if len(done.ids) == kill_after:
                    process.kill()
                    break
    return done


@contextlib.contextmanager
def tap(
    server: SandboxServer, selected: set[str], state: dict[str, Any], **settings: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a tap that reads some streams."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        command = [sys.executable, "-m", "tap_lev"]
        config = {"api_url": server.url, "api_key": server.key, **settings}
        streams = [
            {
                "tap_stream_id": stream.name,
                "stream": stream.name,
                "schema": stream.schema,
                "metadata": [{"breadcrumb": [], "metadata": {"selected": stream.name in selected}}],
            }
            for stream in STREAMS
        ]
        inputs = {"config": config, "state": state, "catalog": {"streams": streams}}
        for option, value in inputs.items():
            file = directory / option
            file.write_text(json.dumps(value), encoding="utf-8")
            command += [f"--{option}", str(file)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            yield process


# -- A walk, a crash and a resume


def walk() -> Figure:
    """Draw a run that is killed, one that resumes, and the next one."""
    with SandboxServer(Sandbox(contacts=CONTACTS)) as server:
        box = server.sandbox
        pages = 0

        def change(request: Request) -> None:
            nonlocal pages
            pages += request.route == "/contacts"
            if request.route == "/contacts" and pages == CHANGED_AT_PAGE:
                box.clock.advance(1)
                box.touch("contacts", ids=[BEHIND, AHEAD])

        end = box.on_request(change)
        first = run(server, {}, kill_after=KILLED_AT)
        end()
        second = run(server, first.state)
        box.clock.advance(HOUR)
        third = run(server, second.state)
    if third.ids != [BEHIND, AHEAD] or second.ids[-1] != CONTACTS:
        raise RuntimeError(f"The runs were not as they should be: the third read {third.ids}.")
    return _walk(first, second, third)


def _walk(first: Run, second: Run, third: Run) -> Figure:
    figure = _figure(
        "A walk, a crash and a resume",
        f"Every row that was read, in the order of reading: {CONTACTS:,} contacts, {PAGE} a page. "
        "Run 1 was killed (SIGKILL).",
    )
    axes = figure.subplots()
    figure.subplots_adjust(left=0.085, right=0.975, bottom=0.125, top=0.8)
    gap, start, kept = 130, 0, max(first.states)
    places = []
    for done, colour in ((first, BLUE), (second, GREEN), (third, ORANGE)):
        places.append(start)
        across = range(start, start + len(done.ids))
        axes.plot(across, done.ids, color=colour, linewidth=2.4 if done is not third else 0)
        for count in done.states:
            if 0 < count < len(done.ids) or (done is not third and count == len(done.ids)):
                axes.plot(start + count, done.ids[count - 1], "o", markersize=6, color="white",
                          markeredgecolor=colour, markeredgewidth=1.6, zorder=3)  # fmt: skip
        start += len(done.ids) + gap
    axes.scatter(range(places[2], places[2] + 2), third.ids, s=40, color=ORANGE, zorder=3)
    _lost(axes, first, places[1], kept)
    asked = (CHANGED_AT_PAGE - 1) * PAGE
    for row, where in ((BEHIND, "behind the walk"), (AHEAD, "ahead of it")):
        axes.plot(asked, row, "*", color=INK, markersize=11, zorder=4)
        axes.annotate(f"contact {row:,} changes, {where}", (asked, row), (9, -4),
                      textcoords="offset points", color=INK)  # fmt: skip
    said = {"va": "top", "fontweight": "bold"}
    axes.text(0, CONTACTS * 1.06, "run 1", color=BLUE, **said)
    axes.text(places[1], CONTACTS * 1.06, "run 2 goes on from the last STATE", color=GREEN, **said)
    axes.text(places[2] - 40, CONTACTS * 1.06, "run 3, an hour later:\nwhat changed since\nthe "
              "walk began", color=ORANGE, **said)  # fmt: skip
    axes.annotate("○  STATE after each page", (PAGE, PAGE), (16, -16),
                  textcoords="offset points", color=MUTED)  # fmt: skip
    axes.set_xlim(-25, places[2] + 420)
    axes.set_ylim(0, CONTACTS * 1.09)
    axes.set_xticks([])
    axes.set_xlabel("rows in the order of reading →")
    axes.set_ylabel("id of the row")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    return figure


def _lost(axes: Axes, first: Run, again: int, kept: int) -> None:
    """Draw the crash, and the rows that are read twice because of it."""
    last = first.ids[-1]
    axes.axhspan(first.ids[kept - 1], last, xmin=0, color="#fff1e5", zorder=0)
    axes.plot(len(first.ids), last, "X", color=ORANGE, markersize=12, zorder=4)
    axes.annotate("killed", (len(first.ids), last), (-2, 10), textcoords="offset points",
                  color=ORANGE, ha="center", fontweight="bold")  # fmt: skip
    axes.annotate("read twice: less than a page", (again, (first.ids[kept - 1] + last) / 2),
                  (75, -5), textcoords="offset points", color=MUTED)  # fmt: skip


# -- The budget

WINDOW, LIMITS, SHARE = 3.0, (100, 20), 0.9
SHOWN = 8
PALETTE = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#f0e442", "#57606a")


def budget() -> Figure:
    """Draw the requests of each minute of a sync, by endpoint."""
    sandbox = Sandbox(
        tier="standard",
        window=WINDOW,
        deals=60,
        placements=180,
        contacts=150,
        companies=45,
        lenders=20,
    )
    with SandboxServer(sandbox) as server:
        everything = {stream.name for stream in STREAMS}
        asked = {"fact_queries": ["net operating income"], "observation_metric_ids": [1]}
        with tap(server, everything, {}, rate_limit_window_seconds=WINDOW, **asked) as process:
            for _ in process.stdout or ():
                pass
        entries = server.sandbox.requests
    if refused := sum(entry.status == 429 for entry in entries):  # noqa: PLR2004
        raise RuntimeError(f"{refused} requests were refused.")
    return _budget([(datetime.fromisoformat(e.time).timestamp(), e.route or "") for e in entries])


def _budget(requests: list[tuple[float, str]]) -> Figure:
    account, endpoint = LIMITS
    figure = _figure(
        "The budget of a sync, minute by minute",
        f"Everything selected, standard tier: {account} requests a minute, {endpoint} of them to "
        f"one endpoint. The tap may use {SHARE:.0%}.",
    )
    axes = figure.subplots()
    figure.subplots_adjust(left=0.075, right=0.655, bottom=0.125, top=0.8)
    begun = requests[0][0]
    counts: dict[str, Counter[int]] = {}
    for moment, route in requests:
        counts.setdefault(route, Counter())[int((moment - begun) / WINDOW)] += 1
    minutes = range(max(minute for found in counts.values() for minute in found) + 1)
    ranked = sorted(counts, key=lambda route: -counts[route].total())
    rows = [(route, counts[route]) for route in ranked[:SHOWN]]
    others = sum((counts[route] for route in ranked[SHOWN:]), Counter[int]())
    rows.append((f"{len(ranked) - SHOWN} other endpoints", others))
    below = [0] * len(minutes)
    for (_, found), colour in zip(rows, (*PALETTE, GREY), strict=True):
        heights = [found[minute] for minute in minutes]
        axes.bar(minutes, heights, bottom=below, width=0.86, color=colour, align="edge")
        below = [low + high for low, high in zip(below, heights, strict=True)]
    for level, text in ((account, "Lev's limit"), (account * SHARE, "the tap's share")):
        axes.axhline(level, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.text(len(minutes), level, f" {text}: {level:.0f}", va="center", color=MUTED)
    _legend(figure, axes, rows)
    axes.set_xlim(0, len(minutes))
    axes.set_ylim(0, account * 1.08)
    axes.xaxis.set_major_locator(MultipleLocator(5))
    axes.set_xlabel("minutes of Lev's")
    axes.set_ylabel("requests sent")
    return figure


def _legend(figure: Figure, axes: Axes, rows: list[tuple[str, Counter[int]]]) -> None:
    box = axes.get_position()
    for number, ((route, found), colour) in enumerate(
        zip(reversed(rows), reversed((*PALETTE, GREY)), strict=True)
    ):
        height = box.y1 - 0.21 - number * 0.056
        figure.text(0.672, height, "■", color=colour, va="center", fontsize=13)
        figure.text(0.692, height, route, va="center", fontsize=9)
        figure.text(0.985, height, f"{found.total():,}", va="center", ha="right", color=MUTED)


# -- Both


def _figure(title: str, below: str) -> Figure:
    figure = Figure(figsize=(9.6, 4.8))
    figure.text(0.02, 0.965, title, fontsize=14, fontweight="bold", va="top")
    figure.text(0.02, 0.893, below, color=MUTED, va="top")
    return figure


def main() -> None:
    """Draw both pictures."""
    for name, draw in (("walk", walk), ("budget", budget)):
        with mpl.rc_context(STYLE):  # type: ignore[arg-type, unused-ignore]
            figure = draw()
            for suffix in sys.argv[1:] or ["svg"]:
                metadata = {"Date": None} if suffix == "svg" else None
                figure.savefig(DOCS / f"{name}.{suffix}", facecolor="white", dpi=110,
                               metadata=metadata)  # fmt: skip


if __name__ == "__main__":
    main()
