"""Tap, target, Meltano and PostgreSQL are broken off at random, and what is left is looked at.

Run it for many rounds: ``make crashes CRASHES_ARGS="--rounds 30 --seed 7"``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from devtools.meltano import MeltanoProject
from devtools.postgres import running_postgres
from lev_sandbox import Sandbox, SandboxServer
from tests.pipelines.changes import Changes
from tests.pipelines.tables import CORE, UNPACED, in_lev, in_postgres
from tests.pipelines.targets import new_target, pipeline
from tests.support.inprocess import catalog_of, config_of
from tests.support.parallel_runs import EndedError, ended_by_signals, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from devtools.postgres import Server
    from tests.pipelines.tables import Table
    from tests.pipelines.targets import Target

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
STREAMS = (*CORE, "deal_properties", "deal_team_members", "deal_pipelines", "asset_types",
           "placement_notes")  # fmt: skip
SECONDS = 120
STRIKES = 3
"""How often a round is broken off, at most."""
WAYS = ("postgres", "duckdb", "meltano")
"""A pipe into target-postgres, one into target-duckdb, and `meltano run`."""


@dataclass
class Outcome:
    """What a round came to."""

    way: str
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Tell it, for whoever has to find the fault."""
        return "\n  ".join([f"{self.way}, seed {self.seed}", *self.history, *self.findings])


@dataclass(frozen=True)
class Strike:
    """Whom to hit, how, and when."""

    whom: str
    how: signal.Signals
    when: str
    number: float

    def __str__(self) -> str:
        """Say it."""
        return f"{self.whom} {self.how.name} at {self.when} {self.number:.2f}"


WHOM = {
    "postgres": ("tap", "tap", "target", "target", "target", "both", "server"),
    "duckdb": ("tap", "target", "target", "both"),
    "meltano": ("tap", "target", "meltano", "all", "server"),
}
HOW = {
    "tap": (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM),
    "target": (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM),
    "meltano": (signal.SIGKILL, signal.SIGTERM),
    "server": (signal.SIGQUIT, signal.SIGKILL, signal.SIGINT),
}


LINES = {"postgres": (5, 80), "duckdb": (1, 35), "meltano": (10, 100)}
"""Lines of the target's log, or of Meltano's, in which a run's end comes as a rule."""
AFTER_THE_TAP = {"postgres": 1.0, "duckdb": 0.1, "meltano": 1.0}
"""Seconds."""


def draw(way: str, chance: random.Random) -> Strike:
    """Draw a strike."""
    whom = chance.choice(WHOM[way])
    how = chance.choice(HOW.get(whom, (signal.SIGKILL,)))
    # The target goes on when the tap has read all there is.
    late = whom in {"target", "server", "both"}
    when = chance.choice(("lines", "lines", "end") if late else ("requests", "requests", "lines"))
    match when:
        case "requests":
            number: float = chance.randint(1, 30)
        case "lines":
            number = chance.randint(*LINES[way])
        case _:
            number = chance.random() * AFTER_THE_TAP[way]
    return Strike(whom, how, when, number)


class Round:
    """A round: an account that changes, what reads it, and what breaks that off."""

    def __init__(
        self, way: str, seed: int, directory: Path, server: Server, *, early_states: bool = False
    ) -> None:
        self._early_states = early_states
        self.outcome = Outcome(way, seed)
        self.chance = random.Random(f"{way}/{seed}")
        self._server = server
        self._directory = directory
        sizes: dict[str, Any] = {name: self.chance.randint(12, 40) for name in CORE}
        self.sandbox = Sandbox(seed=seed, **sizes)
        self.settings = {
            "page_size": self.chance.randint(3, 9),
            "max_parallel_streams": self.chance.choice((1, 8)),
            "emit_activate_version_messages": True,
        }
        self.batch = self.chance.choice((7, 15, 40))
        # A list of rows that tell when they changed may be read as a whole, too.
        self.whole = {name for name in CORE if self.chance.random() < 0.25}

    def play(self) -> Outcome:
        """Play it."""
        with SandboxServer(self.sandbox) as lev:
            run, tables = self._runs(lev)
            changes = Changes(self.sandbox, self.chance, 0.4)
            for _ in range(self.chance.randint(STRIKES - 1, STRIKES)):
                run(draw(self.outcome.way, self.chance))
            self._complete(run)
            changes.stop()
            for _ in range(2):
                # Two full tables of one second could not be told apart.
                self.sandbox.clock.advance(60)
                self._complete(run)
            self.outcome.counts["changes"] += changes.made
            self._judge(lev, tables(STREAMS), changes)
        return self.outcome

    def _runs(
        self, lev: SandboxServer
    ) -> tuple[Callable[[Strike | None], bool], Callable[[Iterable[str]], dict[str, Table]]]:
        if self.outcome.way == "meltano":
            database = self._server.create_database()
            project = self._project(lev, database.environment())

            def read(streams: Iterable[str]) -> dict[str, Table]:
                return {stream: in_postgres(database, stream) for stream in streams}

            return lambda strike: self._meltano_run(project, strike), read
        name = f"target-{self.outcome.way}"
        target = new_target(name, self._directory, self._server, batch_size_rows=self.batch)
        if self._early_states:
            through = (sys.executable, Path(__file__).parent / "early_state_target.py")
            target = dataclasses.replace(target, through=through)
        config = config_of(lev, **self.settings, **UNPACED)
        catalog = _catalog()
        for entry in catalog["streams"]:
            if entry["tap_stream_id"] in self.whole:
                entry["replication_method"] = "FULL_TABLE"
        return lambda strike: self._piped_run(config, target, catalog, strike), target.tables

    def _project(self, lev: SandboxServer, environment: dict[str, str]) -> MeltanoProject:
        settings = {"api_url": lev.url, "api_key": lev.key, **UNPACED, **self.settings}
        whole = {name: {"replication-method": "FULL_TABLE"} for name in self.whole}
        return MeltanoProject(
            self._directory,
            {
                **{f"TAP_LEV_{name.upper()}": str(value) for name, value in settings.items()},
                "TAP_LEV__SELECT": json.dumps([f"{stream}.*" for stream in STREAMS]),
                "TAP_LEV__METADATA": json.dumps(whole),
                "TARGET_POSTGRES_BATCH_SIZE_ROWS": str(self.batch),
                **environment,
            },
        )

    def _complete(self, run: Callable[[Strike | None], bool]) -> None:
        if not run(None):
            self.outcome.findings.append("a run that nothing broke off has failed")

    # -- Runs

    def _piped_run(
        self, config: dict[str, Any], target: Target, catalog: dict[str, Any], strike: Strike | None
    ) -> bool:
        with pipeline(config, target, catalog) as (tap, loader):
            if strike is not None:
                whom = {"tap": [tap.popen], "target": [loader], "both": [tap.popen, loader]}

                def hit() -> None:
                    for popen in whom[strike.whom]:
                        popen.send_signal(strike.how)

                log = target.directory / "log"
                with self._watched(strike, log, tap.popen.poll, loader.poll) as due:
                    self._strike(strike, hit, due=due)
            codes = (tap.popen.wait(SECONDS), loader.wait(SECONDS))
            said = tap.stderr
        if "Traceback" in said:
            self.outcome.findings.append(f"the tap died of a fault: {said[-500:]}")
        self._tell(strike, codes)
        return codes == (0, 0)

    def _meltano_run(self, project: MeltanoProject, strike: Strike | None) -> bool:
        # What was killed is still at work for Meltano's books.
        with project.started("--force", "tap-lev", "target-postgres") as (keeper, log):
            family = psutil.Process(keeper.pid)
            seen: dict[int, psutil.Process] = {}
            started: set[str] = set()

            def look() -> dict[str, psutil.Process]:
                found = {}
                with contextlib.suppress(psutil.NoSuchProcess):
                    for meltano in family.children():
                        found["meltano"] = meltano
                        for process in meltano.children(recursive=True):
                            with contextlib.suppress(psutil.NoSuchProcess):
                                program = _program(process)
                                seen[process.pid] = process
                                found[program] = process
                                started.add(program)
                return found

            if strike is not None:

                def hit() -> None:
                    found = look()
                    if strike.whom == "all" and "meltano" in found:
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(found["meltano"].pid, strike.how)
                    elif strike.whom in found:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            found[strike.whom].send_signal(strike.how)

                def tap_ended() -> int | None:
                    running = "tap" in look()
                    return 0 if "tap" in started and not running else None

                with self._watched(strike, log, tap_ended, keeper.poll) as due:
                    self._strike(strike, hit, due=due)
            code = keeper.wait(SECONDS)
            # One that outlives Meltano must not write older rows over those of the next run.
            _, alive = psutil.wait_procs(list(seen.values()), SECONDS)
            if alive:
                self.outcome.findings.append("a process is left behind")
        self._tell(strike, (code,))
        return code == 0

    @contextlib.contextmanager
    def _watched(
        self,
        strike: Strike,
        log: Path,
        tap_ended: Callable[[], int | None],
        ended: Callable[[], int | None],
    ) -> Iterator[Callable[[], bool]]:
        """Count what a strike waits for."""
        asked: list[object] = []
        before = _lines(log)
        forget = self.sandbox.on_request(asked.append)
        ends: list[float] = []

        def due() -> bool:
            if ended() is not None:
                return True
            match strike.when:
                case "requests":
                    return len(asked) >= strike.number
                case "lines":
                    return _lines(log) - before >= strike.number
            if not ends and tap_ended() is not None:
                ends.append(time.monotonic())
            return bool(ends) and time.monotonic() - ends[0] > strike.number

        try:
            yield due
        finally:
            forget()

    def _strike(self, strike: Strike, hit: Callable[[], None], due: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not due():
            if time.monotonic() > deadline:
                self.outcome.findings.append(f"it hangs before {strike}")
                break
            time.sleep(0.002)
        if strike.whom == "server":
            self._server.restart(strike.how)
        else:
            hit()

    def _tell(self, strike: Strike | None, codes: tuple[int, ...]) -> None:
        counts = self.outcome.counts
        self.outcome.history.append(f"{strike or 'nothing'}: {', '.join(map(str, codes))}")
        counts["runs"] += 1
        if any(codes) and strike is not None:
            counts["broken"] += 1
            counts[f"broken {strike.whom}"] += 1

    # -- The end

    def _judge(self, lev: SandboxServer, tables: dict[str, Table], changes: Changes) -> None:
        outcome = self.outcome
        for stream in STREAMS:
            lev_says, table = in_lev(lev, stream), tables[stream]
            lost = sorted(lev_says.keys() - table.keys())
            wrong = sorted(key for key in lev_says.keys() & table.keys()
                           if lev_says[key] != table[key])  # fmt: skip
            mirrors = outcome.way != "duckdb" and (stream not in CORE or stream in self.whole)
            left = sorted(key for key in table.keys() - lev_says.keys()
                          if mirrors or not changes.may_be_left(stream, key))  # fmt: skip
            outcome.counts["rows"] += len(lev_says)
            for kind, keys in (("lost", lost), ("wrong", wrong), ("left", left)):
                outcome.counts[kind] += len(keys)
                if keys:
                    outcome.findings.append(f"{stream}: {len(keys)} rows {kind}: {keys[:5]}")


def _catalog() -> dict[str, Any]:
    """Find the catalog. A tap takes the signals of its process for itself; this one is none."""
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        return catalog_of(*STREAMS)
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


def _program(process: psutil.Process) -> str:
    """Tell what a process of Meltano is."""
    names = [Path(part).name for part in process.cmdline()[:2]]
    if "tap-lev" in names:
        return "tap"
    return "target" if "target-postgres" in names else "other"


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n")


def play(
    way: str, seed: int, directory: Path, server: Server, *, early_states: bool = False
) -> Outcome:
    """Play a round.

    Args:
        way: One of `WAYS`.
        seed: What everything is drawn from.
        directory: Where it may write.
        server: A server that may be killed.
        early_states: Whether the target gives back states before it has written the rows.
    """
    return Round(way, seed, directory, server, early_states=early_states).play()


# -- Many rounds


def a_round(task: tuple[str, int]) -> Generator[Outcome]:
    """Play the round of a way and a seed, with a server of its own, since it is killed."""
    with running_postgres(durable=True) as server, tempfile.TemporaryDirectory() as directory:
        yield play(*task, Path(directory), server)


def main(argv: Sequence[str] | None = None) -> int:
    """Play rounds of every way; return 1 if anything was found, 128 + n if signal n ended it."""
    parser = argparse.ArgumentParser(prog="make crashes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", default=",".join(WAYS), help="which, a comma list")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    given = parser.parse_args(argv)
    began, outcomes = time.monotonic(), list[Outcome]()
    seeds = range(given.seed, given.seed + given.rounds)
    rounds = [(way, seed) for seed in seeds for way in given.ways.split(",")]
    signum = 0
    try:
        with ended_by_signals(), closing(spread(a_round, rounds, given.processes)) as played:
            for outcome in played:
                outcomes.append(outcome)
                if outcome.findings:
                    print(outcome, flush=True)
    except EndedError as end:
        signum = end.signum
    text = table(outcomes, given.seed, time.monotonic() - began)
    print(text)
    if signum:
        return 128 + signum
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        marked = re.compile(r"(?<=<!-- crashes -->\n).*?(?=\n<!-- /crashes -->)", re.DOTALL)
        PAGE.write_text(marked.sub(lambda _: text, page), encoding="utf-8")
    return int(any(outcome.findings for outcome in outcomes))


FIGURES = {
    "runs": "runs",
    "broken": "runs broken off",
    "broken tap": "… by an end of the tap",
    "broken target": "… by an end of the target",
    "broken both": "… by an end of both",
    "broken meltano": "… by an end of Meltano",
    "broken all": "… by an end of Meltano, tap and target",
    "broken server": "… by a restart or crash of PostgreSQL",
    "changes": "rows changed, added, archived or removed meanwhile",
    "rows": "rows compared at the end",
    "lost": "**rows lost**",
    "wrong": "**rows wrong**",
    "left": "**rows left that Lev no longer has**",
}


def table(outcomes: Sequence[Outcome], seed: int, seconds: float) -> str:
    """Put the figures into a Markdown table."""
    ways = [way for way in WAYS if any(outcome.way == way for outcome in outcomes)]
    sums = {way: Counter[str]() for way in ways}
    for outcome in outcomes:
        sums[outcome.way].update(outcome.counts)
        sums[outcome.way]["rounds"] += 1
    heads = {"postgres": "target-postgres", "duckdb": "target-duckdb", "meltano": "Meltano"}
    lines = [
        f"| rounds from seed {seed} | {' | '.join(heads[way] for way in ways)} |",
        f"| --- |{' ---: |' * len(ways)}",
    ]
    for name, text in {"rounds": "rounds", **FIGURES}.items():
        lines.append(f"| {text} | {' | '.join(f'{sums[way][name]:,}' for way in ways)} |")
    found = [f"{outcome.way} {outcome.seed}" for outcome in outcomes if outcome.findings]
    return "\n".join(
        [*lines, "", f"Rounds with findings: {', '.join(found) or 'none'}. {seconds:.0f} seconds."]
    )


if __name__ == "__main__":
    sys.exit(main())
