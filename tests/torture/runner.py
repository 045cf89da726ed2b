"""Many rounds, side by side, and what they come to."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tests.torture.forkserver import ForkServer
from tests.torture.plan import draw
from tests.torture.round import play

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from tests.torture.forkserver import ForkLauncher
    from tests.torture.mutants import Mutant
    from tests.torture.plan import Plan
    from tests.torture.round import Outcome

AT_ONCE = 3
"""Rounds that one process plays side by side: a round waits more than it works."""


class RoundRunner:
    """What rounds need, once for each process. Use it in a ``with`` statement."""

    def __enter__(self) -> Self:
        """Have a tap imported, and ask it for its catalogs."""
        with ExitStack() as stack:
            self._server = stack.enter_context(ForkServer())
            with self._server.launcher() as launcher:
                self._catalogs = {
                    value: _discovered(launcher, value) for value in ("warn", "collect")
                }
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._stack.close()

    def play(self, plan: Plan, mutant: Callable[[], Mutant] | None = None) -> Outcome:
        """Play a round."""
        with self._server.launcher(plan.interval) as launcher:
            return play(plan, launcher, self._catalogs, mutant)

    def rounds(self, seeds: Iterable[int], only: Sequence[str] = ()) -> Generator[Outcome]:
        """Play rounds, some at a time. Where not all are waited for, the rest end at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                yield from pool.map(lambda seed: self.play(draw(seed, only)), seeds)
            except BaseException:
                self._server.kill()
                raise


def _discovered(launcher: ForkLauncher, unknown_fields: str) -> dict[str, Any]:
    run = launcher.run({"unknown_fields": unknown_fields}, args=["--discover"])
    assert run.exit_code == 0, run.stderr
    catalog: dict[str, Any] = json.loads("".join(run.lines))
    return catalog


def share_of_rounds(task: tuple[Sequence[int], Sequence[str]]) -> Generator[Outcome]:
    """Play the rounds of some seeds, with streams to choose from; all by default."""
    with RoundRunner() as runner:
        yield from runner.rounds(*task)


@dataclass
class Sum:
    """What rounds come to together."""

    rounds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    repeated: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Add a round."""
        self.rounds += 1
        self.counts += outcome.counts
        self.kills += outcome.kills
        self.faults += outcome.faults
        self.findings += Counter(finding.kind for finding in outcome.findings)
        self.repeated += outcome.repeated

    def lines(self, seconds: float) -> list[tuple[str, str]]:
        """Tell it, a line for each figure.

        Args:
            seconds: How long all of it took.
        """
        found, counts = self.findings, self.counts
        mean = sum(self.repeated) / len(self.repeated) if self.repeated else 0
        other = sum(found.values()) - sum(found[kind] for kind in _TOLD)
        return [
            ("rounds", _number(self.rounds)),
            ("runs of the tap", _number(counts["runs"])),
            ("… in a new process", _number(counts["fresh"])),
            ("runs killed", _number(sum(self.kills.values()))),
            *((f"… {_KILLS[kind]}", _number(self.kills[kind])) for kind in _KILLS),
            ("rows written", _number(counts["rows"])),
            ("requests", _number(counts["requests"])),
            ("rows changed, added, archived, hidden or removed meanwhile",
             _number(counts["changes"])),
            ("faults met", _number(sum(self.faults.values()))),
            *((f"… {kind}", _number(self.faults[kind])) for kind in sorted(self.faults)),
            ("answers 429", _number(counts["throttled"])),
            ("**rows lost**", _number(found["lost"])),
            ("**rows wrong**", _number(found["wrong"] + found["left"])),
            ("**rows that Lev never said, or that were not wanted**",
             _number(found["unsaid"] + found["old"])),
            ("**states that covered an unwritten row**", _number(found["uncovered"])),
            ("**state regressions**", _number(found["regression"])),
            ("**requests outside the allow-list**", _number(found["request"])),
            ("**times the key was seen**", _number(found["key"])),
            ("**other findings**", _number(other)),
            ("requests repeated per crash, mean", f"{mean:.1f}"),
            ("requests repeated per crash, most", _number(max(self.repeated, default=0))),
            ("seconds", _number(round(seconds))),
        ]  # fmt: skip


_KILLS = {
    "kill": "by SIGKILL",
    "term": "by SIGTERM",
    "int": "by SIGINT",
    "pipe": "because the target went away",
    "disk": "because the state could not be stored",
}
_TOLD = (
    "lost", "wrong", "left", "unsaid", "old", "uncovered", "regression", "request", "key",
)  # fmt: skip


def _number(number: int) -> str:
    return f"{number:,}"
