"""One run of the tap, to its end or to the moment that it is killed."""

from __future__ import annotations

import copy
import fcntl
import itertools
import json
import os
import random
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.torture.launch import PIPE, SIGNALS
from tests.torture.mutants import Mutant
from tests.torture.plan import NO_VARIATION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lev_sandbox.request import Request
    from tests.torture.account import Account, Asked
    from tests.torture.destination import Destination, Message
    from tests.torture.launch import Launcher, Process
    from tests.torture.plan import Kill, Selection, Variation
    from tests.torture.streams import Key, Row

LONGEST = 120.0
"""Seconds after which a run is stuck."""
MOST_REQUESTS = 4000
"""Requests after which a run goes on without end: the accounts are small."""
RECORD = b'{"type":"RECORD"'
CHUNK = 512


@dataclass
class Run:
    """What a run did, as far as the target and the sandbox saw.

    Attributes:
        kill: How it was to be ended, if it was.
        selection: What it was to read.
        page_size: The rows that it asked for with each page.
        struck: Whether that moment came before its end.
        exit_code: Its exit code; negative when a signal ended it.
        messages: The Singer messages that the target took.
        faults: Lines that were no messages.
        output: All of stdout that was read.
        log: All of stderr.
        asked: The requests.
        statuses: Their answers' statuses.
        struck_faults: The faults that it met, by kind.
        state: The state that it was given.
        tables: The destination before it.
        versions: The versions of the destination's rows before it.
        stuck: Whether it had to be ended because it did not end.
        variation: What was done to it beside.
        interval: Seconds between two of its states; None where that is its own choice.
        began: Lev's time at its start, in microseconds.
        empties: The streams whose tables its first state empties.
    """

    kill: Kill | None
    selection: Selection
    page_size: int
    state: dict[str, Any] | None
    tables: dict[str, dict[Key, Row]]
    versions: dict[tuple[str, Key], int | None]
    struck: bool = False
    stuck: bool = False
    exit_code: int = 0
    messages: list[Message] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    output: bytes = b""
    log: str = ""
    asked: list[Asked] = field(default_factory=list)
    struck_faults: Counter[str] = field(default_factory=Counter)
    counters: dict[str, Any] = field(default_factory=dict)
    variation: Variation = NO_VARIATION
    interval: float | None = 0.0
    began: int = 0
    empties: Collection[str] = ()

    @property
    def states(self) -> list[dict[str, Any]]:
        """The states that the target took."""
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    @property
    def refused(self) -> set[str]:
        """The lists of which Lev refused a parameter: the tap may read again what it has read."""
        return {asked.root[0] for asked in self.asked if asked.status in {400, 422}}


class TapRunner:
    """Runs the tap against one account and into one destination.

    Args:
        account: The account.
        destination: Where the rows go.
        mutant: What is wrong with the tap, in the tests of the verifier.
    """

    def __init__(
        self, account: Account, destination: Destination, mutant: Mutant | None = None
    ) -> None:
        self._account = account
        self._destination = destination
        self._mutant = mutant or Mutant()

    def run(  # noqa: PLR0913, PLR0917
        self,
        launcher: Launcher,
        config: dict[str, Any],
        catalog: dict[str, Any],
        selection: Selection,
        kill: Kill | None,
        seed: int,
        variation: Variation = NO_VARIATION,
    ) -> Run:
        """Run the tap once.

        Args:
            launcher: Starts it.
            config: Its settings.
            catalog: The catalog.
            selection: What it selects.
            kill: How it is ended, if it is.
            seed: Where it draws its waits from.
            variation: What is done to it beside.
        """
        state = self._destination.give(variation.state, selection.streams, random.Random(seed))
        tables = {name: dict(table) for name, table in self._destination.tables.items()}
        versions = dict(self._destination.versions)
        run = Run(
            kill, selection, config["page_size"], state, tables, versions, variation=variation,
            interval=launcher.interval, began=self._account.now(),
            empties=self._destination.empties,
        )  # fmt: skip
        self._mutant.streams = selection.streams
        given = self._mutant.given(copy.deepcopy(state), config)
        account = self._account
        account.clear_log()
        account.asked.clear()
        with tempfile.TemporaryDirectory() as name:
            cwd = Path(name)
            args = []
            for option, value in (("config", config), ("catalog", catalog), ("state", given)):
                if value is not None:
                    (cwd / f"{option}.json").write_text(json.dumps(value))
                    args += [f"--{option}", f"{option}.json"]
            reader, writer = os.pipe()
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE)
            with (cwd / "stderr").open("wb") as log:
                process = launcher.start(args, cwd, writer, log.fileno(), seed)
                os.close(writer)
            hooks = [account.on_request(_Limit(process, run))]
            if _by_request(kill):
                hooks.append(account.on_request(_Strike(process, run)))
            try:
                self._read(process, reader, run)
            finally:
                for forget in hooks:
                    forget()
            run.log = self._mutant.log((cwd / "stderr").read_text())
            run.exit_code = self._mutant.exit_code(run.exit_code)
        run.asked = list(account.asked)
        run.counters = account.counters()
        run.struck_faults = Counter(run.counters["faults"])
        return run

    def _read(self, process: Process, reader: int, run: Run) -> None:
        parts: list[bytes] = []

        def end() -> None:
            run.stuck = True
            process.signal(SIGNALS["kill"])

        watchdog = threading.Timer(LONGEST, end)
        watchdog.start()
        try:
            lost = self._follow(process, reader, run, parts)
            os.close(reader)
            run.exit_code = process.wait()
        finally:
            watchdog.cancel()
        run.output = b"".join(parts)
        drained = not lost and (run.kill is None or not run.struck or run.kill.drained)
        self._destination.end(drained=drained)
        self._destination.full = False

    def _follow(self, process: Process, reader: int, run: Run, parts: list[bytes]) -> bool:
        """Read to the end of the output, or of the target; return whether the target went away."""
        kill, count, rest = run.kill, 0, b""
        while True:
            most = CHUNK
            if kill and kill.unit == "bytes" and not run.struck:
                most = min(CHUNK, kill.at - count)
            chunk = os.read(reader, max(1, most))
            if not chunk:
                return False
            parts.append(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            try:
                for line in lines:
                    for message in self._messages(line, run):
                        run.messages.append(message)
                        self._destination.take(message)
            except OSError:
                run.messages.pop()
                return True
            if kill is None or run.struck or kill.unit == "requests":
                continue
            count += len(chunk) if kill.unit == "bytes" else sum(RECORD in line for line in lines)
            if count >= kill.at and self._strike(process, run):
                return True

    def _strike(self, process: Process, run: Run) -> bool:
        """End the run; return whether it is the target that ends."""
        run.struck = True
        assert run.kill is not None
        if run.kill.kind in SIGNALS:
            process.signal(SIGNALS[run.kill.kind])
        elif run.kill.kind == "disk":
            self._destination.full = True
        return run.kill.kind == "pipe"

    def _messages(self, line: bytes, run: Run) -> Iterator[Message]:
        try:
            message = json.loads(line)
        except ValueError:
            run.faults.append(line.decode(errors="replace"))
            return
        if not isinstance(message, dict) or "type" not in message:
            run.faults.append(line.decode(errors="replace"))
            return
        yield from self._mutant.out(message, self._account.timestamp)


def _by_request(kill: Kill | None) -> bool:
    return kill is not None and kill.unit == "requests"


class _Limit:
    """Ends a run that makes requests without end."""

    def __init__(self, process: Process, run: Run) -> None:
        self._process = process
        self._run = run
        # Requests come in several threads at once: ``+=`` could pass over a number.
        self._numbers = itertools.count(1)

    def __call__(self, _request: Request) -> None:
        if next(self._numbers) == MOST_REQUESTS:
            self._run.stuck = True
            self._process.signal(SIGNALS["kill"])


class _Strike:
    """Ends the run when it makes its so-manieth request."""

    def __init__(self, process: Process, run: Run) -> None:
        self._process = process
        self._run = run
        self._numbers = itertools.count(1)

    def __call__(self, _request: Request) -> None:
        assert self._run.kill is not None
        if next(self._numbers) == self._run.kill.at:
            self._run.struck = True
            self._process.signal(SIGNALS[self._run.kill.kind])
