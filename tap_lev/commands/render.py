"""What ``--check`` and ``--plan`` tell, for people and for programs."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tap_lev import BEGUN
from tap_lev.api.account import identify
from tap_lev.commands import account, table
from tap_lev.commands.check import FAILING, FORBIDDEN, Finding, check
from tap_lev.commands.duration import ACCOUNT
from tap_lev.commands.estimate import REQUESTS, ROWS, Estimator
from tap_lev.commands.plan import Plan
from tap_lev.config.redaction import Redaction
from tap_lev.errors import LevError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_lev.api.account import Identity
    from tap_lev.commands.estimate import StreamEstimate
    from tap_lev.sync.run import Run

T = TypeVar("T")
UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def show(run: Run, command: str, form: str) -> None:
    """Do what the command says, and write its report.

    Args:
        run: The run.
        command: ``check`` or ``plan``.
        form: ``text`` or ``json``.

    Raises:
        ConfigError: No stream is selected.
        LevError: Something that a sync would need cannot be read; the report is written.
    """
    run.check_selection()
    start = time.monotonic() - BEGUN
    with run.lock:
        identity = identify(run.client, run.config)
        as_json = form == "json"
        failed = (
            _plan(run, start, as_json=as_json)
            if command == "plan"
            else _check(run, identity, as_json=as_json)
        )
    if failed:
        raise run.client.address_fault or LevError(
            f"A sync would not be complete: {', '.join(failed)}. The report says why."
        )


def _cleaned(run: Run, told: T) -> T:
    """Leave the key out of what Lev may have repeated. The log does so by itself."""
    redaction = Redaction.of(run.config["api_key"])
    return cast("T", redaction.cleaned(told)) if redaction else told


# -- Check


def _check(run: Run, identity: Identity, *, as_json: bool) -> list[str]:
    who, limits = _cleaned(run, account.told(identity)), account.limits(run.client, run.config)
    streams = _cleaned(run, [dataclasses.asdict(finding) for finding in check(run)])
    found = [Finding(**finding) for finding in streams]
    if as_json:
        table.write_json(who | {"limits": limits, "streams": streams})
    else:
        table.write(_findings(who, limits, found))
    bad = {FAILING} | ({FORBIDDEN} if run.config["forbidden_streams"] == "fail" else set())
    return [finding.stream for finding in found if finding.result in bad]


def _findings(who: dict[str, Any], limits: dict[str, Any], found: Sequence[Finding]) -> str:
    head = ("stream", "result", "updated_at filter", "refused", "unknown fields")
    rows = [
        (
            finding.stream,
            finding.result,
            finding.updated_at_filter or "",
            ", ".join(finding.refused),
            ", ".join(finding.unknown_fields),
        )
        for finding in found
    ]
    notes = [f"{finding.stream}: {note}" for finding in found for note in finding.notes]
    if who["note"]:
        notes.insert(0, who["note"])
    return table.printed(account.lines(who, limits), head, rows, notes)


# -- Plan


def _plan(run: Run, start: float, *, as_json: bool) -> list[str]:
    survey = Estimator(run)
    for need in survey.needs:
        need.notes = _cleaned(run, need.notes)
    plan, limits = Plan(run, survey, start), account.limits(run.client, run.config)
    if as_json:
        without = plan.without_the_longest()
        table.write_json(
            {
                "limits": limits,
                "streams": [
                    {
                        "stream": need.stream,
                        "rows": need.rows,
                        "requests": plan.requests[need.stream],
                        "seconds": round(plan.by_itself(need.stream), 1),
                        "estimated": sorted(need.about),
                        "notes": need.notes,
                    }
                    for need in survey.needs
                ],
                "requests": plan.totals.total(),
                "seconds": round(plan.now.seconds, 1),
                "bottleneck": plan.now.bottleneck,
                "higher_tiers": {n: round(s, 1) for n, s in plan.higher_tiers().items()},
                "without": without and {"streams": without[0], "seconds": round(without[1], 1)},
            }
        )
    else:
        table.write(_planned(survey.needs, plan, limits))
    return [need.stream for need in survey.needs if need.failed]


def _planned(needs: Sequence[StreamEstimate], plan: Plan, limits: dict[str, Any]) -> str:
    head = ("stream", "rows", "requests", "by itself")
    rows = []
    for need in needs:
        requests = plan.requests[need.stream]
        rows.append(
            (
                need.stream,
                "?" if need.rows is None else _number(need.rows, about=ROWS in need.about),
                _number(requests, about=REQUESTS in need.about),
                duration(plan.by_itself(need.stream)),
            )
        )
    rows.append(("all", "", f"{plan.totals.total():,}", duration(plan.now.seconds)))
    below = [f"{need.stream}: {note}" for need in needs for note in need.notes]
    below.append(f"The sync takes about {duration(plan.now.seconds)}. {_reason(plan, limits)}")
    if plan.now.bottleneck:
        tiers = plan.higher_tiers().items()
        below += [f"On {tier}: {duration(seconds)}." for tier, seconds in tiers]
        if without := plan.without_the_longest():
            below.append(f"Without {', '.join(without[0])}: {duration(without[1])}.")
    return table.printed(account.lines(None, limits), head, rows, below, numbers=head[1:])


def _number(number: int, *, about: bool) -> str:
    return f"{'~' if about else ''}{number:,}"


def _reason(plan: Plan, limits: dict[str, Any]) -> str:
    decides = plan.now.bottleneck
    if decides is None:
        return "It does not come to Lev's limits."
    whole = decides == ACCOUNT
    requests = plan.totals.total() if whole else plan.totals[decides]
    places = limits["used_of_account" if whole else "used_of_endpoint"]
    return (
        f"What decides that: {requests:,} requests {'of the account' if whole else f'to {decides}'}"
        f", at most {places} in {limits['window_seconds']:g} s."
    )


def duration(seconds: float) -> str:
    """Tell a time as people do, in its two largest units."""
    if seconds < 1:
        return "< 1 s"
    smaller = UNITS[1:]
    for (name, size), (small, part) in zip(UNITS, smaller, strict=False):
        if round(seconds / part) * part >= size:
            whole, rest = divmod(round(seconds / part), size // part)
            return f"{whole} {name} {rest} {small}" if rest else f"{whole} {name}"
    return f"{round(seconds)} s"
