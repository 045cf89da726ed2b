"""Play a round: faults and changes, a tap that is killed again and again, and a verifier."""

from __future__ import annotations

import dataclasses
import random
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lev_sandbox import SWITCHES, Clock, SandboxServer
from tests.torture.account import Account
from tests.torture.concurrent_changes import ConcurrentChanges
from tests.torture.destination import Destination
from tests.torture.launch import Fresh
from tests.torture.plan import NO_VARIATION, each_run
from tests.torture.rows import Form
from tests.torture.run import TapRunner
from tests.torture.streams import LISTS
from tests.torture.verifier import Finding, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.launch import Launcher
    from tests.torture.mutants import Mutant
    from tests.torture.plan import Kill, Plan, Selection, Variation
    from tests.torture.run import Run

START = "2026-11-02T08:00:00Z"
FRESH = 0.05
"""The share of runs that start a new process."""
TRIES = 4
"""Runs that may fail by faults alone, until the clean runs."""
PATIENT = 60
"""Seconds that a request may take in a clean run."""
MOST_CLEAN_RUNS = 4
"""Runs without faults and changes: two, and more while Lev's count differs for the first time."""
USER = 4241
"""Whose key it is, whoever is in the team."""
STRANGER = 4242
"""An account that the state is not of."""
Catalogs = dict[str, dict[str, Any]]
"""What the tap discovers, by its setting ``unknown_fields``."""


@dataclass
class Outcome:
    """What a round came to.

    Attributes:
        seed: Its seed.
        findings: What must not be.
        counts: Runs, rows, requests and so on.
        kills: The runs that were ended, by how.
        faults: The faults that the tap met, by kind.
        repeated: The requests that each crash had repeated.
        seconds: How long it took.
        story: The plan and the runs, for whoever looks into a finding.
    """

    seed: int
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    repeated: list[int] = field(default_factory=list)
    seconds: float = 0.0
    story: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Tell the round and what is wrong with it."""
        found = [f"  {finding}" for finding in self.findings[:10]]
        more = [f"  and {len(self.findings) - 10} more"] if len(self.findings) > 10 else []
        return "\n".join([f"seed {self.seed}", *self.story, *found, *more])


def play(
    plan: Plan,
    launcher: Launcher,
    catalogs: Catalogs,
    mutant: Callable[[], Mutant] | None = None,
) -> Outcome:
    """Play a round.

    Args:
        plan: The round.
        launcher: Starts the taps.
        catalogs: The tap's catalogs.
        mutant: What is wrong with the tap.
    """
    began, outcome = time.monotonic(), Outcome(plan.seed)
    outcome.story.append(str(plan))
    with tempfile.TemporaryDirectory() as name:
        try:
            _Round(plan, Path(name), launcher, catalogs, outcome).play(mutant() if mutant else None)
        except Exception:  # noqa: BLE001 - a defect of the rounds' own code is a finding, with its seed
            outcome.findings.append(Finding("runner", 0, traceback.format_exc()))
    outcome.seconds = time.monotonic() - began
    return outcome


class _Round:
    def __init__(
        self, plan: Plan, directory: Path, launcher: Launcher, catalogs: Catalogs, outcome: Outcome
    ) -> None:
        self._plan = plan
        self._outcome = outcome
        self._launcher = launcher
        self._chance = random.Random(f"runs {plan.seed}")
        clock = Clock() if plan.limits else Clock(START, frozen=True)
        self._account = Account(clock=clock, **plan.options)
        self._account.switch(accept_jwt=plan.jwt, me_user_id=USER, **plan.switches)
        self._destination = Destination(directory / "state.json", plan.drops)
        self._form = Form(
            plan.config["unknown_fields"] == "collect", account_id=self._account.account_id
        )
        self._catalog = catalogs[plan.config["unknown_fields"]]
        self._early_selections = iter(plan.early_selections)
        self._variations = iter(plan.variations)

    def play(self, mutant: Mutant | None) -> None:
        plan, account, chance = self._plan, self._account, self._chance
        with SandboxServer(account) as server:
            self._url = server.url
            self._tap_runner = TapRunner(account, self._destination, mutant)
            changes = ConcurrentChanges(
                account, plan.streams, self._form, random.Random(f"changes {plan.seed}"),
                rate=plan.change_rate, moves_parents=plan.config["per_parent_scope"] == "changed",
                only_touches=plan.only_touches,
            )  # fmt: skip
            self._verifier = Verifier(plan, account, changes, self._form)
            for poison in plan.poisons:
                account.spoil(poison)
            if plan.settled:
                changes.rate = 0.0
                self._run(None, self._next_selection(), clean=True)
                changes.rate = plan.change_rate
            self._begin_outage()
            for kill in plan.kills:
                self._varied_run(kill)
                account.clock.advance(chance.choice((0, 1, 60, 3600)))
            for _ in range(TRIES):
                if self._run(None, plan.selection).exit_code == 0:
                    break
                account.clock.advance(chance.choice((0, 1, 60)))
            self._end_disturbances(changes)
            for number in range(MOST_CLEAN_RUNS):
                account.clock.advance(chance.choice((2, 60, 3600)))
                run = self._run(None, plan.selection, clean=True)
                if number and (run.exit_code == 0 or not self._verifier.is_recounted):
                    break
            self._verifier.finish(self._destination.tables)
        self._outcome.findings = self._verifier.findings
        self._outcome.repeated = self._verifier.repeats.crashes
        self._outcome.counts["rows"] = self._verifier.counts["rows"]
        self._outcome.counts["changes"] = changes.made

    def _varied_run(self, kill: Kill) -> None:
        """Run the tap, and vary something beside killing it."""
        variation = next(self._variations, NO_VARIATION)
        account, selection = self._account, self._next_selection()
        if variation.state != "usual":
            account.clock.advance(3600)  # stores are not given back within a second
        if variation.weekly:
            whole = tuple(name for name in selection.streams if name in LISTS)
            selection = dataclasses.replace(selection, whole=whole)
        if variation.who == "user":
            account.switch(me_user_id=self._chance.randint(1000, 9999))
        stranger = variation.who == "stranger" and self._destination.is_owned
        if stranger:
            account.switch(me_account_id=STRANGER)
        self._run(kill, selection, variation=variation)
        if stranger:
            account.switch(me_account_id=None)

    def _next_selection(self) -> Selection:
        return next(self._early_selections, self._plan.selection)

    def _begin_outage(self) -> None:
        for fault in self._plan.faults:
            location = fault.get("location")
            given = {"location": self._url + location} if location else {}
            self._account.fault(**{**fault, **given})
        self._account.switch(**self._plan.outage)
        if self._plan.limits:
            self._account.limits.configure(**self._plan.limits)

    def _end_disturbances(self, changes: ConcurrentChanges) -> None:
        changes.stop()
        self._account.clear_faults()
        if any(poison.cured for poison in self._plan.poisons):
            self._account.heal()
        for name in self._plan.outage:
            switch = SWITCHES[name]
            value = self._plan.switches.get(name, switch.default)
            self._account.switch(**{name: {**switch.default, **value} if switch.keys else value})

    def _run(
        self,
        kill: Kill | None,
        selection: Selection,
        *,
        clean: bool = False,
        variation: Variation = NO_VARIATION,
    ) -> Run:
        plan, account = self._plan, self._account
        config = {
            "api_url": self._url, "api_key": plan.key(account), **plan.config,
            **each_run(self._chance),
        }  # fmt: skip
        if clean:
            config["request_timeout_seconds"] = PATIENT  # nothing hangs, but a machine may be slow
        if variation.silent:
            config["emit_activate_version_messages"] = False
        if plan.jwt:
            config["active_account"] = account.rows("my_accounts")[0]["slug"]
        fresh = self._chance.random() < FRESH
        launcher, seed = Fresh() if fresh else self._launcher, self._chance.randrange(1 << 30)
        catalog = _selected(selection, self._catalog)
        run = self._tap_runner.run(launcher, config, catalog, selection, kill, seed, variation)
        self._verifier.check(run, clean=clean)
        counts = self._outcome.counts
        counts["runs"] += 1
        counts["requests"] += run.counters["requests"]
        counts["throttled"] += run.counters["statuses"].get("429", 0)
        counts["fresh"] += fresh
        self._outcome.faults.update(run.struck_faults)
        if run.struck and kill and run.exit_code not in {0, 3}:
            self._outcome.kills[kill.kind] += 1
        self._outcome.story.append(
            f"  run {counts['runs']}: {kill or ('clean' if clean else 'to its end')}"
            f"{', struck' if run.struck else ''}, exit code {run.exit_code}, "
            f"{len(run.messages)} messages, {len(run.asked)} requests"
            f"{'' if selection == plan.selection else f', of {selection}'}"
            f"{'' if variation == NO_VARIATION else f', {variation}'}"
        )
        return run


def _selected(selection: Selection, catalog: dict[str, Any]) -> dict[str, Any]:
    """Select streams and columns in a catalog."""
    streams, left_out = [], dict(selection.columns)
    for entry in catalog["streams"]:
        name, metadata = entry["tap_stream_id"], []
        for each in entry["metadata"]:
            said = dict(each["metadata"])
            if not each["breadcrumb"]:
                said["selected"] = name in selection.streams
                if name in selection.whole:
                    said["forced-replication-method"] = "FULL_TABLE"
            elif each["breadcrumb"][-1] in left_out.get(name, ()):
                said["selected"] = False
            metadata.append({**each, "metadata": said})
        whole = {"replication_method": "FULL_TABLE"} if name in selection.whole else {}
        streams.append({**entry, **whole, "metadata": metadata})
    return {"streams": streams}
