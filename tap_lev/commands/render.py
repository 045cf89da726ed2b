"""Run ``--check`` and ``--plan``, and write their reports as text or as JSON."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tap_lev import BEGUN
from tap_lev.api.account import identify
from tap_lev.commands.account import account_lines, account_of, limits_of
from tap_lev.commands.check import FAILING, FORBIDDEN, OK, Finding, check_streams
from tap_lev.commands.duration import ACCOUNT
from tap_lev.commands.estimate import REQUESTS, ROWS, Estimator
from tap_lev.commands.plan import Plan
from tap_lev.config.redaction import Redaction
from tap_lev.errors import LevError
from tap_lev.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tap_lev.api.account import Identity
    from tap_lev.commands.estimate import StreamEstimate
    from tap_lev.sync.run import Run

T = TypeVar("T")
UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
STYLES = {
    OK: "green",
    FORBIDDEN: "yellow",
    FAILING: "red",
    "ignored": "yellow",
    "refused": "yellow",
}
"""Colours of cells, by their text."""
UNLIMITED_WIDTH = 10_000
"""Columns of an output that is no terminal: no line of a file or a pipe is wrapped."""


def show(run: Run, command: str, output_format: str) -> None:
    """Run a command, and write its report.

    Args:
        run: The run.
        command: ``check`` or ``plan``.
        output_format: ``text`` or ``json``.

    Raises:
        ConfigError: No stream is selected.
        LevError: A sync would not be complete; the report is written.
    """
    run.check_selection()
    startup = time.monotonic() - BEGUN
    with run.lock:
        identity = identify(run.client, run.config)
        as_json = output_format == "json"
        failed = (
            _plan(run, startup, as_json=as_json)
            if command == "plan"
            else _check(run, identity, as_json=as_json)
        )
    if failed:
        raise run.client.address_fault or LevError(
            f"A sync would not be complete: {', '.join(failed)}. The report says why."
        )


def _redacted(run: Run, value: T) -> T:
    """Remove the key from what Lev may have repeated; the log's filter does not see stdout."""
    redaction = Redaction.from_key(run.config["api_key"])
    return cast("T", redaction.cleaned(value)) if redaction else value


# -- Check


def _check(run: Run, identity: Identity, *, as_json: bool) -> list[str]:
    account, limits = _redacted(run, account_of(identity)), limits_of(run)
    streams = _redacted(run, [dataclasses.asdict(finding) for finding in check_streams(run)])
    findings = [Finding(**stream) for stream in streams]
    if as_json:
        _write_json(account | {"limits": limits, "streams": streams})
    else:
        _write(_check_text(account, limits, findings))
    faults = {FAILING} if run.skips_forbidden else {FAILING, FORBIDDEN}
    return [finding.stream for finding in findings if finding.result in faults]


def _check_text(
    account: dict[str, Any], limits: dict[str, Any], findings: Sequence[Finding]
) -> str:
    columns = ("stream", "result", "updated_at filter", "refused", "unknown fields")
    rows = [
        (
            finding.stream,
            finding.result,
            finding.updated_at_filter or "",
            ", ".join(finding.refused),
            ", ".join(finding.unknown_fields),
        )
        for finding in findings
    ]
    notes = [f"{finding.stream}: {note}" for finding in findings for note in finding.notes]
    if account["note"]:
        notes.insert(0, account["note"])
    return _layout(account_lines(account, limits), columns, rows, notes)


# -- Plan


def _plan(run: Run, startup: float, *, as_json: bool) -> list[str]:
    estimator = Estimator(run)
    for estimate in estimator.estimates:
        estimate.notes = _redacted(run, estimate.notes)
    plan, limits = Plan(run, estimator, startup), limits_of(run)
    if as_json:
        _write_json(_plan_report(estimator.estimates, plan, limits))
    else:
        _write(_plan_text(estimator.estimates, plan, limits))
    return [estimate.stream for estimate in estimator.estimates if estimate.failed]


def _plan_report(
    estimates: Sequence[StreamEstimate], plan: Plan, limits: dict[str, Any]
) -> dict[str, Any]:
    without = plan.without_the_longest()
    return {
        "limits": limits,
        "streams": [
            {
                "stream": estimate.stream,
                "rows": estimate.rows,
                "requests": plan.requests[estimate.stream],
                "seconds": round(plan.seconds_alone(estimate.stream), 1),
                "estimated": sorted(estimate.estimated),
                "notes": estimate.notes,
            }
            for estimate in estimates
        ],
        "requests": plan.totals.total(),
        "seconds": round(plan.duration.seconds, 1),
        "bottleneck": plan.duration.bottleneck,
        "higher_tiers": {name: round(s, 1) for name, s in plan.higher_tiers().items()},
        "without": without and {"streams": without[0], "seconds": round(without[1], 1)},
    }


def _plan_text(estimates: Sequence[StreamEstimate], plan: Plan, limits: dict[str, Any]) -> str:
    columns = ("stream", "rows", "requests", "by itself")
    rows = []
    for estimate in estimates:
        requests = plan.requests[estimate.stream]
        rows.append(
            (
                estimate.stream,
                "?"
                if estimate.rows is None
                else _number(estimate.rows, is_estimated=ROWS in estimate.estimated),
                _number(requests, is_estimated=REQUESTS in estimate.estimated),
                format_in_two_units(plan.seconds_alone(estimate.stream)),
            )
        )
    total = format_in_two_units(plan.duration.seconds)
    rows.append(("all", "", f"{plan.totals.total():,}", total))
    notes = [f"{estimate.stream}: {note}" for estimate in estimates for note in estimate.notes]
    notes.append(f"The sync takes about {total}. {_reason(plan, limits)}")
    if plan.duration.bottleneck:
        tiers = plan.higher_tiers().items()
        notes += [f"On {tier}: {format_in_two_units(seconds)}." for tier, seconds in tiers]
        if without := plan.without_the_longest():
            streams, seconds = without
            notes.append(f"Without {', '.join(streams)}: {format_in_two_units(seconds)}.")
    return _layout(account_lines(None, limits), columns, rows, notes, numbers=columns[1:])


def _number(number: int, *, is_estimated: bool) -> str:
    return f"{'~' if is_estimated else ''}{number:,}"


def _reason(plan: Plan, limits: dict[str, Any]) -> str:
    bottleneck = plan.duration.bottleneck
    if bottleneck is None:
        return "It does not come to Lev's limits."
    if bottleneck == ACCOUNT:
        requests, whose, capacity = plan.totals.total(), "of the account", "used_of_account"
    else:
        requests, whose, capacity = plan.totals[bottleneck], f"to {bottleneck}", "used_of_endpoint"
    return (
        f"What decides that: {requests:,} requests {whose}, at most {limits[capacity]} in "
        f"{limits['window_seconds']:g} s."
    )


def format_in_two_units(seconds: float) -> str:
    """Write a duration in its two largest units: the plan is more exact than the progress line."""
    if seconds < 1:
        return "< 1 s"
    for (name, size), (small_name, small_size) in pairwise(UNITS):
        # Rounded first: 59.7 s are a minute.
        small_units = round(seconds / small_size)
        if small_units * small_size >= size:
            whole, rest = divmod(small_units, size // small_size)
            return f"{whole} {name} {rest} {small_name}" if rest else f"{whole} {name}"
    return f"{round(seconds)} s"


# -- Output


def _layout(
    header: Sequence[tuple[str, str]],
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    notes: Iterable[str],
    *,
    numbers: Iterable[str] = (),
) -> str:
    """Lay out a report, in colour only on a terminal.

    Args:
        header: The lines above the table, each with its title.
        columns: The names of the columns.
        rows: The cells. Lev's text in them is printed as it is, not as markup.
        notes: The sentences below the table.
        numbers: The columns to align to the right.
    """
    output = io.StringIO()
    is_terminal = sys.stdout.isatty()
    console = Console(
        file=output,
        force_terminal=is_terminal,
        width=None if is_terminal else UNLIMITED_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )
    width = max(len(title) for title, _ in header)
    for title, text in header:
        console.print(Text.assemble((title.ljust(width), "bold"), "  ", quoted(text)))
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    right = set(numbers)
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name == columns[0],
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(quoted(cell), style=STYLES.get(cell, "")) for cell in row))
    console.print(table)
    for number, note in enumerate(notes):
        if not number:
            console.print()
        console.print(Text(note))
    # rich pads every line to the table's width.
    return "".join(f"{line.rstrip()}\n" for line in output.getvalue().splitlines())


def _write(text: str) -> None:
    """Write to stdout, in whatever encoding it has."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout.write(text)
    sys.stdout.flush()  # A failure at exit would come too late for a sentence.


def _write_json(report: Mapping[str, Any]) -> None:
    _write(f"{json.dumps(report, indent=2)}\n")
