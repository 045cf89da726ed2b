"""The verifier notices: each of these taps is wrong in one way, and what it does shows it."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox import Clock
from tests.torture import run as run_module
from tests.torture.account import Account
from tests.torture.concurrent_changes import ConcurrentChanges
from tests.torture.faults import COUNTED
from tests.torture.mutants import MUTANTS
from tests.torture.plan import NO_VARIATION, Kill, Poison, Selection, Variation, draw
from tests.torture.rows import Form
from tests.torture.run import Run
from tests.torture.verifier import Verifier

if TYPE_CHECKING:
    from tests.torture.plan import Plan
    from tests.torture.runner import RoundRunner

STREAMS = ("deals", "deal_notes", "contacts", "companies")
DOZENS = 36
FOUND_AS = {
    "drops-rows": {"lost"},
    "checks-too-early": {"uncovered"},
    "skips-a-page": {"lost", "uncovered"},
    "forgets-since": {"old"},
    "bookmarks-the-end": {"uncovered"},
    "never-checks": {"repeated"},
    "goes-back": {"regression"},
    "makes-things-up": {"unsaid"},
    "keeps-the-gone": {"left"},
    "forgets-the-rest": {"regression"},
    "trusts-the-filter": {"complete"},
    "trusts-the-end": {"complete"},
    "says-complete": {"complete"},
    "cries-wolf": {"exit"},
    "warns-of-nothing": {"alarm"},
    "forgets-the-failed": {"uncovered"},
    "drops-too-much": {"dropped"},
    "writes-no-versions": {"left"},
    "leaves-out-nulls": {"lost", "uncovered"},
}
SEEDS: dict[str, tuple[int, ...]] = {
    "skips-a-page": (12,),
    "bookmarks-the-end": (5,),
    "makes-things-up": (0, 4),
    "keeps-the-gone": (5,),
    "never-checks": (2,),
}
"""Where each was found out before: tried first, to be quick about it."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_tap_that_is_wrong_is_found_out(runner: RoundRunner, name: str) -> None:
    kinds: set[str] = set()
    for seed in (*SEEDS.get(name, ()), *range(DOZENS)):
        kinds |= {found.kind for found in runner.play(a_plan(name, seed), MUTANTS[name]).findings}
        if FOUND_AS[name] & kinds:
            break
    assert FOUND_AS[name] & kinds
    assert "runner" not in kinds


def early_ends(plan: Plan) -> dict[str, Any]:
    early = {"kind": "early_end", "route": "/contacts", "rate": 0.5, "at": 1, "times": 3}
    return {
        "streams": ("contacts",), "columns": (), "early_selections": (), "poisons": (),
        "outage": {}, "faults": (early,), "only_touches": True,
        "options": plan.options | {"contacts": 30},
        "switches": plan.switches | COUNTED | {"pagination_shape": {}},
    }  # fmt: skip


def bad_notes(plan: Plan) -> dict[str, Any]:
    return {
        "streams": ("contact_notes",), "columns": (), "early_selections": (), "outage": {},
        "faults": (),
        "options": plan.options | {"contacts": 20, "contact_notes": 2},
        "poisons": (Poison("contacts", 5, "keyless_child"), Poison("contacts", 15, "no_children")),
    }  # fmt: skip


def weekly(plan: Plan) -> dict[str, Any]:
    return {
        "streams": ("contacts",), "whole": ("contacts",), "columns": (), "poisons": (),
        "early_selections": (Selection(("contacts",)),) * 4, "settled": True, "drops": "older",
        "faults": (), "outage": {}, "change_rate": 0.5, "interval": 0.0,
        "options": plan.options | {"contacts": 45}, "limits": None,
        "switches": plan.switches | {"updated_at_filter": {}, "pagination_shape": {}},
        "config": plan.config | {"emit_activate_version_messages": True},
        "kills": (Kill("kill", "requests", 4, drained=True),) * 6,
        "variations": (),
    }  # fmt: skip


def refreshed(_plan: Plan) -> dict[str, Any]:
    return {"variations": (NO_VARIATION, Variation(state="full-refresh")) * 3, "settled": True}


def others(plan: Plan) -> dict[str, Any]:
    both, one = Selection(("contacts", "companies")), Selection(("contacts",))
    return {
        "streams": both.streams, "whole": (), "columns": (), "early_selections": (both, one) * 3,
        "settled": True, "variations": (), "poisons": (), "outage": {},
        "options": plan.options | {"contacts": 10, "companies": 10},
    }  # fmt: skip


FAULTS = {
    "forgets-the-rest": others,
    "trusts-the-end": early_ends,
    "says-complete": bad_notes,
    "forgets-the-failed": bad_notes,
    "writes-no-versions": weekly,
    "leaves-out-nulls": refreshed,
}


def a_plan(name: str, seed: int) -> Plan:
    plan = draw(seed, STREAMS)
    if name in FAULTS:
        # What it does wrong shows only in rounds of a kind.
        return dataclasses.replace(plan, **FAULTS[name](plan))
    if name != "never-checks":
        return plan
    # What is repeated can be told only where nothing else makes the tap read twice.
    quiet = plan.switches | {
        "empty_page_every": None,
        "pagination_shape": {},
        "updated_at_filter": {},
    }
    return dataclasses.replace(
        plan, streams=("contacts",), columns=(), early_selections=(), faults=(), outage={},
        limits=None, poisons=(), variations=(), interval=0.0, whole=(),
        settled=False, options=plan.options | {"contacts": 45}, switches=quiet,
        kills=(Kill("kill", "requests", 5, drained=True),) * 4,
    )  # fmt: skip


@pytest.fixture
def account() -> Account:
    return Account(seed=1, contacts=3, clock=Clock("2026-11-02T08:00:00Z", frozen=True))


@pytest.fixture
def verifier(account: Account) -> Verifier:
    plan = dataclasses.replace(
        draw(1), streams=("contacts",), early_selections=(), jwt=False, outage={}
    )
    form = Form()
    changes = ConcurrentChanges(
        account, plan.streams, form, random.Random(1), rate=0.0, moves_parents=False
    )
    return Verifier(plan, account, changes, form)


def a_run(kill: str | None = None, **given: Any) -> Run:  # noqa: ANN401
    counters: dict[str, Any] = dict.fromkeys(("violations", "unknown", "unsuitable"), 0) | {
        "routes": {}
    }
    run = Run(
        Kill(kill, "rows", 1, drained=True) if kill else None, Selection(("contacts",)), 10, None,
        {}, {},
        struck=kill is not None, counters=counters,
        # Lev has no row yet when the run begins, unless a test says so.
        began=-1,
    )  # fmt: skip
    return dataclasses.replace(run, **given)


def kinds(verifier: Verifier) -> Counter[str]:
    return Counter(finding.kind for finding in verifier.findings)


def test_nothing_is_found_where_nothing_is_wrong(verifier: Verifier) -> None:
    verifier.check(a_run(), clean=True)
    verifier.check(a_run("kill", exit_code=-9), clean=False)
    verifier.check(a_run("term", exit_code=143), clean=False)
    verifier.check(a_run("pipe", exit_code=1), clean=False)
    assert verifier.findings == []


@pytest.mark.parametrize(
    ("kill", "exit_code", "clean"),
    [("term", 0, False), ("term", -15, False), ("int", 143, False), ("pipe", -13, False),
     (None, 1, True), (None, 2, False), (None, 3, False)],
)  # fmt: skip
def test_a_run_that_ends_the_wrong_way(
    verifier: Verifier, kill: str | None, exit_code: int, *, clean: bool
) -> None:
    verifier.check(a_run(kill, exit_code=exit_code, log="tap-lev v1"), clean=clean)
    assert kinds(verifier) == {"exit": 1}


def test_a_signal_may_come_before_the_tap_has_begun(verifier: Verifier) -> None:
    verifier.check(a_run("term", exit_code=-15), clean=False)
    assert verifier.findings == []


def test_a_run_that_ended_before_the_signal_came_is_as_good(verifier: Verifier) -> None:
    verifier.check(a_run("term", exit_code=0, log="Sync complete: 1 streams"), clean=False)
    assert verifier.findings == []


def test_the_key_in_the_output_or_the_log(verifier: Verifier, account: Account) -> None:
    verifier.check(a_run(log=f"sent {account.key}"), clean=True)
    verifier.check(a_run(output=f"x{account.key}x".encode()), clean=True)
    assert kinds(verifier) == {"key": 2}


def test_a_traceback_and_a_line_that_is_no_message(verifier: Verifier) -> None:
    verifier.check(a_run(log="Traceback (most recent call last):", faults=["hello"]), clean=True)
    assert kinds(verifier) == {"exit": 1, "output": 1}


def test_a_request_outside_the_allow_list(verifier: Verifier) -> None:
    run = a_run()
    verifier.check(dataclasses.replace(run, counters=run.counters | {"violations": 1}), clean=True)
    assert kinds(verifier) == {"request": 1}


def test_what_is_not_in_the_destination(verifier: Verifier, account: Account) -> None:
    rows = {(row["id"],): row for row in account.rows("contacts")}
    verifier.finish({"contacts": rows})
    assert verifier.findings == []
    first, second, *_ = rows
    rows[first] = rows[first] | {"city": "Elsewhere"}
    del rows[second]
    verifier.finish({"contacts": rows})
    assert kinds(verifier) == {"lost": 1, "wrong": 1}


def test_a_run_that_does_not_end(verifier: Verifier) -> None:
    verifier.check(a_run(stuck=True, exit_code=-9), clean=False)
    assert kinds(verifier) == {"stuck": 1}


def test_a_run_that_makes_requests_without_end(
    runner: RoundRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every run asks who it is, and then for rows.
    monkeypatch.setattr(run_module, "MOST_REQUESTS", 2)
    assert "stuck" in {found.kind for found in runner.play(draw(1, STREAMS)).findings}
