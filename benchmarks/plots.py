"""The pictures in docs/: requests over time, the cost of rows, and what long runs hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.page import MEBIBYTE, PAGE, cpu_per_million, ended, ours, per_second
from benchmarks.programs import CLIENT_LOOP, DLT, DLT_UNCOMPRESSED, PLAIN_TAP, TAP_LEV

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TIER = "standard"
INK, FAINT = "#24292f", "#8c959f"
# Colours that remain apart for colour-blind readers.
COLOURS = {
    TAP_LEV: "#0072b2",
    PLAIN_TAP: "#d55e00",
    DLT: "#b5bcc4",
    DLT_UNCOMPRESSED: "#b5bcc4",
    CLIENT_LOOP: "#57606a",
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tap-lev",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}

Results = dict[str, Any]


def draw(results: Results, suffix: str = "svg") -> None:
    """Draw the pictures that there are figures for.

    Args:
        results: The figures.
        suffix: The format, ``svg`` or ``png``.
    """
    with mpl.rc_context(STYLE):  # type: ignore[arg-type, unused-ignore]
        if TIER in results.get("pace", {}).get("tiers", {}):
            _save(_pace(results["pace"]["tiers"][TIER]), f"pace.{suffix}")
        if "rows" in results:
            _save(_rows(results["rows"]), f"rows.{suffix}")
        if "long" in results:
            _save(_long(results["long"]), f"long.{suffix}")


def _save(figure: Figure, name: str) -> None:
    # Without a date, so that the same figures give the same file.
    metadata = {"Date": None} if name.endswith(".svg") else None
    figure.savefig(PAGE.with_name(name), facecolor="white", dpi=110, metadata=metadata)


def _title(figure: Figure, title: str, below: str) -> None:
    figure.text(0.02, 0.95, title, fontsize=14, fontweight="bold", va="top")
    figure.text(0.02, 0.872, below, color="#57606a", va="top")


def _pace(found: Results) -> Figure:
    figure = Figure(figsize=(9.6, 4.6))
    account, endpoint = found["limits"]
    _title(
        figure,
        f"A sync takes the time that the limits say, on the {TIER} tier",
        f"Requests answered, by time. Lev allows {account} a minute, {endpoint} of them to one "
        "endpoint.",
    )
    panes = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.085, right=0.965, bottom=0.125, top=0.7, wspace=0.2)
    for axes, (name, selection) in zip(panes, found["selections"].items(), strict=True):
        _curves(axes, name, selection, found["window"])
    panes[0].set_ylabel("requests")
    return figure


def _curves(axes: Axes, name: str, selection: Results, window: float) -> None:
    tap, plain = ours(selection), selection[PLAIN_TAP]
    total, floor = tap["requests"], tap["floor"] / window
    for who, run in ((PLAIN_TAP, plain), (TAP_LEV, tap)):
        times = [0.0, *(moment / window for moment, _ in run["curve"])]
        counts = [0, *(count for _, count in run["curve"])]
        axes.plot(times, counts, color=COLOURS[who], linewidth=2.2, solid_capstyle="round")
        if not ended(run):
            axes.plot(times[-1], counts[-1], "o", color=COLOURS[who], markersize=6)
    axes.axvline(floor, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.text(
        floor, total * 1.055, f"least possible: {floor:.0f} min", color="#57606a", ha="center"
    )
    minutes = "not finished" if ended(plain) else f"{plain['wall'] / window:.0f} min"
    axes.text(1, 0.3, f"{PLAIN_TAP}, {minutes}", transform=axes.transAxes, ha="right",
              color=COLOURS[PLAIN_TAP], fontweight="bold")  # fmt: skip
    said = f"{TAP_LEV}, {tap['wall'] / window:.1f} min"
    axes.annotate(said, (floor, total), (9, -15), textcoords="offset points",
                  color=COLOURS[TAP_LEV], fontweight="bold")  # fmt: skip
    axes.set_title(name, loc="left", fontsize=11, fontweight="bold", pad=24)
    axes.set_xlabel("minutes of Lev's")
    axes.set_xlim(0, None)
    axes.set_ylim(0, total * 1.03)
    axes.yaxis.set_major_formatter("{x:,.0f}")


def _rows(rows: Results) -> Figure:
    figure = Figure(figsize=(9.6, 3.7))
    _title(
        figure,
        "Rows a second, and what a million rows cost",
        f"One stream, {rows['rows']:,} rows of 21 fields, no limits, start left out, medians of "
        f"{rows['runs']}.",
    )
    speed, cost = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.235, right=0.97, bottom=0.05, top=0.7, wspace=0.1)
    names = sorted(rows["programs"], key=lambda name: per_second(rows, name))
    best = per_second(rows, TAP_LEV)
    for place, name in enumerate(names):
        here, seconds = per_second(rows, name), cpu_per_million(rows, name)
        beside = "" if name == TAP_LEV else f"  (tap-lev {best / here:.2g}×)"
        _bar(speed, place, name, here, f"{here:,.0f}{beside}")
        _bar(cost, place, name, seconds, f"{seconds:.1f} s")
    for axes, label, room in ((speed, "rows a second", 2), (cost, "processor time, 1M rows", 1.3)):
        axes.set_title(label, loc="left", fontsize=11, fontweight="bold")
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xticks([])
        axes.set_xlim(0, axes.get_xlim()[1] * room)
    speed.set_yticks(range(len(names)), names)
    for label, name in zip(speed.get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if name == TAP_LEV else "normal")
    return figure


def _bar(axes: Axes, place: int, name: str, value: float, said: str) -> None:
    axes.barh(place, value, color=COLOURS[name], height=0.62)
    weight = "bold" if name == TAP_LEV else "normal"
    axes.annotate(said, (value, place), (6, 0), textcoords="offset points", va="center",
                  fontweight=weight)  # fmt: skip


def _long(long: Results) -> Figure:
    figure = Figure(figsize=(9.6, 6.4))
    run, parts, following = long["run"], long["restarts"], long["following"]
    figure.text(0.02, 0.965, "Memory, open files and threads stay as they are in long runs",
                fontsize=14, fontweight="bold", va="top")  # fmt: skip
    figure.text(0.02, 0.912, f"All streams, {long['tier']} tier. In one run what {TAP_LEV} had at "
                "each moment, of many runs the most that each had.",
                color="#57606a", va="top")  # fmt: skip
    kinds = (("memory", "memory, MiB", MEBIBYTE), ("files", "open files", 1),
             ("threads", "threads", 1), ("state", "STATE, kB", 1000))  # fmt: skip
    panes = figure.subplots(
        len(kinds), 3, sharex="col", sharey="row", gridspec_kw={"width_ratios": (2, 1, 1)}
    )
    figure.subplots_adjust(left=0.085, right=0.975, bottom=0.085, top=0.8, wspace=0.1, hspace=0.22)
    looked_at = [each for each in parts if each["memory"] is not None]
    for (kind, label, unit), (over_time, *over_runs) in zip(kinds, panes, strict=True):
        values = [value / unit for value in run[kind]]
        over_time.plot(run["minutes"], values, color=COLOURS[TAP_LEV], linewidth=2.2)
        for axes, runs in zip(over_runs, (looked_at, following), strict=True):
            most = [each[kind] / unit for each in runs]
            axes.plot(range(1, len(most) + 1), most, "o", color=COLOURS[TAP_LEV], markersize=3)
            values += most
        over_time.set_ylabel(label)
        over_time.set_ylim(0, max(values) * 1.25)
        over_time.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    columns = (
        (f"one run, {run['requests']:,} requests", "minutes of Lev's"),
        (f"{len(parts) - 1} restarts", "run"),
        (f"{len(following)} incremental runs", "run"),
    )
    for top, foot, (title, below) in zip(panes[0], panes[-1], columns, strict=True):
        top.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=12)
        foot.set_xlabel(below)
        foot.set_xlim(0, None)
    figure.align_ylabels(panes[:, 0])
    return figure
