"""The judge notices: each of these taps is wrong in one way, and is found out by what it does."""

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
from tests.torture.judge import Judge
from tests.torture.mutants import MUTANTS
from tests.torture.plan import NO_TWIST, Kill, Poison, Selection, Twist, draw
from tests.torture.rows import Form
from tests.torture.run import Run
from tests.torture.weather import COUNTED

if TYPE_CHECKING:
    from tests.torture.plan import Plan
    from tests.torture.rig import Rig

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
def test_a_tap_that_is_wrong_is_found_out(rig: Rig, name: str) -> None:
    kinds: set[str] = set()
    for seed in (*SEEDS.get(name, ()), *range(DOZENS)):
        kinds |= {found.kind for found in rig.play(a_plan(name, seed), MUTANTS[name]).findings}
        if FOUND_AS[name] & kinds:
            break
    assert FOUND_AS[name] & kinds
    assert "rig" not in kinds


def early_ends(plan: Plan) -> dict[str, Any]:
    early = {"kind": "early_end", "route": "/contacts", "rate": 0.5, "at": 1, "times": 3}
    return {
        "streams": ("contacts",), "columns": (), "moods": (), "poisons": (), "storm": {},
        "faults": (early,), "only_touches": True, "options": plan.options | {"contacts": 30},
        "switches": plan.switches | COUNTED | {"pagination_shape": {}},
    }  # fmt: skip


def bad_notes(plan: Plan) -> dict[str, Any]:
    return {
        "streams": ("contact_notes",), "columns": (), "moods": (), "storm": {}, "faults": (),
        "options": plan.options | {"contacts": 20, "contact_notes": 2},
        "poisons": (Poison("contacts", 5, "keyless_child"), Poison("contacts", 15, "no_children")),
    }  # fmt: skip


def weekly(plan: Plan) -> dict[str, Any]:
    return {
        "streams": ("contacts",), "whole": ("contacts",), "columns": (), "poisons": (),
        "moods": (Selection(("contacts",)),) * 4, "settled": True, "drops": "older",
        "faults": (), "storm": {}, "change_rate": 0.5, "interval": 0.0,
        "options": plan.options | {"contacts": 45}, "limits": None,
        "switches": plan.switches | {"updated_at_filter": {}, "pagination_shape": {}},
        "config": plan.config | {"emit_activate_version_messages": True},
        "kills": (Kill("kill", "requests", 4, drained=True),) * 6,
        "twists": (),
    }  # fmt: skip


def refreshed(_plan: Plan) -> dict[str, Any]:
    return {"twists": (NO_TWIST, Twist(state="full-refresh")) * 3, "settled": True}


def others(plan: Plan) -> dict[str, Any]:
    both, one = Selection(("contacts", "companies")), Selection(("contacts",))
    return {
        "streams": both.streams, "whole": (), "columns": (), "moods": (both, one) * 3,
        "settled": True, "twists": (), "poisons": (), "storm": {},
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
        plan, streams=("contacts",), columns=(), moods=(), faults=(), storm={}, limits=None,
        poisons=(), twists=(), interval=0.0, whole=(),
        settled=False, options=plan.options | {"contacts": 45}, switches=quiet,
        kills=(Kill("kill", "requests", 5, drained=True),) * 4,
    )  # fmt: skip


@pytest.fixture
def account() -> Account:
    return Account(seed=1, contacts=3, clock=Clock("2026-11-02T08:00:00Z", frozen=True))


@pytest.fixture
def judge(account: Account) -> Judge:
    plan = dataclasses.replace(draw(1), streams=("contacts",), moods=(), jwt=False, storm={})
    form = Form()
    changes = ConcurrentChanges(
        account, plan.streams, form, random.Random(1), rate=0.0, moves_parents=False
    )
    return Judge(plan, account, changes, form)


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


def kinds(judge: Judge) -> Counter[str]:
    return Counter(finding.kind for finding in judge.findings)


def test_nothing_is_found_where_nothing_is_wrong(judge: Judge) -> None:
    judge.see(a_run(), calm=True)
    judge.see(a_run("kill", exit_code=-9), calm=False)
    judge.see(a_run("term", exit_code=143), calm=False)
    judge.see(a_run("pipe", exit_code=1), calm=False)
    assert judge.findings == []


@pytest.mark.parametrize(
    ("kill", "exit_code", "calm"),
    [("term", 0, False), ("term", -15, False), ("int", 143, False), ("pipe", -13, False),
     (None, 1, True), (None, 2, False), (None, 3, False)],
)  # fmt: skip
def test_a_run_that_ends_the_wrong_way(
    judge: Judge, kill: str | None, exit_code: int, *, calm: bool
) -> None:
    judge.see(a_run(kill, exit_code=exit_code, log="tap-lev v1"), calm=calm)
    assert kinds(judge) == {"exit": 1}


def test_a_signal_may_come_before_the_tap_has_begun(judge: Judge) -> None:
    judge.see(a_run("term", exit_code=-15), calm=False)
    assert judge.findings == []


def test_a_run_that_ended_before_the_signal_came_is_as_good(judge: Judge) -> None:
    judge.see(a_run("term", exit_code=0, log="Sync complete: 1 streams"), calm=False)
    assert judge.findings == []


def test_the_key_in_the_output_or_the_log(judge: Judge, account: Account) -> None:
    judge.see(a_run(log=f"sent {account.key}"), calm=True)
    judge.see(a_run(output=f"x{account.key}x".encode()), calm=True)
    assert kinds(judge) == {"key": 2}


def test_a_traceback_and_a_line_that_is_no_message(judge: Judge) -> None:
    judge.see(a_run(log="Traceback (most recent call last):", faults=["hello"]), calm=True)
    assert kinds(judge) == {"exit": 1, "output": 1}


def test_a_request_outside_the_allow_list(judge: Judge) -> None:
    run = a_run()
    judge.see(dataclasses.replace(run, counters=run.counters | {"violations": 1}), calm=True)
    assert kinds(judge) == {"request": 1}


def test_what_is_not_in_the_destination(judge: Judge, account: Account) -> None:
    rows = {(row["id"],): row for row in account.rows("contacts")}
    judge.finish({"contacts": rows})
    assert judge.findings == []
    first, second, *_ = rows
    rows[first] = rows[first] | {"city": "Elsewhere"}
    del rows[second]
    judge.finish({"contacts": rows})
    assert kinds(judge) == {"lost": 1, "wrong": 1}


def test_a_run_that_does_not_end(judge: Judge) -> None:
    judge.see(a_run(stuck=True, exit_code=-9), calm=False)
    assert kinds(judge) == {"stuck": 1}


def test_a_run_that_makes_requests_without_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every run asks who it is, and then for rows.
    monkeypatch.setattr(run_module, "MOST_REQUESTS", 2)
    assert "stuck" in {found.kind for found in rig.play(draw(1, STREAMS)).findings}
