"""What whole runs write, line by line: a change of the code that changes none of it shows here.

Each run's output is in ``tests/sync/golden``. Where a line is meant to change, write the files
again with ``.venv/bin/python -m tests.sync.test_golden`` and read the difference.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox import Clock, Sandbox, SandboxServer
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import EAGER_STATES, Run, run_tap, start_tap

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent / "golden"
SIZES = {"deals": 7, "placements": 5, "contacts": 12, "companies": 6, "lenders": 3}
STREAMS = ("deals", "deal_properties", "deal_notes", "placements", "contacts", "asset_types")
MASKS = (
    (re.compile(r"^[-\d]+ [:,\d]+ \| ", re.MULTILINE), "TIME | "),
    (re.compile(r"\b[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\b"), "REQUEST-ID"),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
    (re.compile(r"lev_sk_sandbox_\w+"), "KEY"),
    (re.compile(r" +(?:< )?\d+(?:\.\d+)? (?:s|ms|min)\b"), " N s"),
    (re.compile(r"(?<=\btap-lev )v?\d+\.\d+\.\d+\S*"), "VERSION"),
    (re.compile(r"(/\w+)+/tmp\w+"), "DIRECTORY"),
    (re.compile(r'"pid":\d+'), '"pid":N'),
    (re.compile(r'("metric":"(?:sync_duration|seconds_waited)","value":)[\d.e-]+'), r"\1N"),
)
EXTRACTED = re.compile(r'"time_extracted":"[^"]+"')


class Golden:
    """A Lev whose clock stands still, and the tap's settings for it.

    Attributes:
        server: The Lev.
        config: The settings: one request at a time, so that the lines have one order.
        catalog: The catalog.
        written: The output so far.
    """

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.config = config_of(
            server, page_size=5, max_parallel_streams=1, start_date="2020-01-01T00:00:00Z"
        )
        self.catalog = catalog_of(*STREAMS)
        self.written = ""

    def run(self, **given: Any) -> Run:  # noqa: ANN401 - run_tap says what
        """Run the tap, and keep what it writes."""
        given = {"catalog": self.catalog, "program": EAGER_STATES} | given
        run = run_tap(given.pop("config", self.config), **given)
        self.keep(run)
        return run

    def keep(self, run: Run) -> None:
        """Keep what a run wrote."""
        before: dict[str, Any] = {}
        lines = [outline(line, before) for line in run.lines]
        self.written += "\n".join([f"exit code {run.exit_code}", *lines, "", run.stderr]) + "\n"


def outline(line: str, before: dict[str, Any]) -> str:
    """Shorten a line of stdout: what it is, and a digest of all of it.

    Args:
        line: The line.
        before: The entries of the last state, of which only those that changed are shown.
    """
    try:
        message = json.loads(line)
        kind = message["type"]
    except (ValueError, TypeError, KeyError):
        return line.rstrip("\n")
    digest = hashlib.sha256(EXTRACTED.sub("", line).encode()).hexdigest()[:12]
    if kind == "STATE":
        entries = message["value"]["bookmarks"]
        changed = {name: entry for name, entry in entries.items() if entry != before.get(name)}
        before |= entries
        return f"STATE {digest} {json.dumps(changed)}"
    key = message.get("record", {}).get("id", "")
    version = message.get("version", "")
    return f"{kind} {message['stream']} {key} {version} {digest}"


def masked(text: str) -> str:
    """Replace what differs from one run to the next."""
    for pattern, name in MASKS:
        text = pattern.sub(name, text)
    return text


def first(golden: Golden) -> None:
    golden.run()


def incremental(golden: Golden) -> None:
    state = golden.run().state
    golden.server.sandbox.clock.advance(3600)
    golden.server.sandbox.touch("contacts", 3)
    golden.server.sandbox.touch("deals", 2)
    golden.server.sandbox.clock.advance(3600)
    golden.run(state=state)


def resumed(golden: Golden) -> None:
    golden.server.sandbox.fault("status", status=500, route="/contacts", at=3, times=99)
    state = golden.run(config=golden.config | {"max_retries": 0}).state
    golden.server.sandbox.clear_faults()
    golden.server.sandbox.clock.advance(3600)
    golden.run(state=state)


def full_table(golden: Golden) -> None:
    for entry in golden.catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    golden.run(config=golden.config | {"emit_activate_version_messages": True})


def everything(golden: Golden) -> None:
    settings = {"fact_queries": ["rent"], "observation_metric_ids": [1]}
    for entry in golden.catalog["streams"]:
        for metadata in entry["metadata"]:
            if not metadata["breadcrumb"]:
                metadata["metadata"]["selected"] = True
    golden.run(config=golden.config | settings)


def terminated(golden: Golden) -> None:
    sandbox = golden.server.sandbox
    sandbox.fault("hang", route="/contacts", at=2)
    given = {"catalog": golden.catalog, "program": EAGER_STATES}
    with start_tap(golden.config, **given) as tap:
        assert tap.popen.stdout is not None
        lines = []
        for line in tap.popen.stdout:
            lines.append(line)
            if re.search(r'"contacts":.*?"cursor":"', line):
                break
        while not any(entry.fault == "hang" for entry in sandbox.requests):
            assert tap.popen.poll() is None
        tap.popen.send_signal(signal.SIGTERM)
        golden.keep(tap.finish(lines))
    sandbox.clear_faults()


def forbidden(golden: Golden) -> None:
    golden.server.sandbox.switch(missing_scopes=["contacts:read"])
    golden.run()


def unauthorized(golden: Golden) -> None:
    golden.run(config=golden.config | {"api_key": "lev_sk_wrong"})


def failed_parent(golden: Golden) -> None:
    golden.server.sandbox.fault("status", status=500, route="/deals/{deal_id}/notes", at=3, times=9)
    golden.run(config=golden.config | {"max_retries": 0})


def wrong_setting(golden: Golden) -> None:
    golden.run(config=golden.config | {"page_size": 0, "start_date": "yesterday"})


def check(golden: Golden) -> None:
    golden.run(args=["--check"])


def plan(golden: Golden) -> None:
    golden.run(args=["--plan"])


def refresh(golden: Golden) -> None:
    golden.run(args=["--refresh", "contacts=1"])


RUNS: tuple[Callable[[Golden], None], ...] = (
    first, incremental, resumed, full_table, everything, terminated, forbidden, unauthorized,
    failed_parent, wrong_setting, check, plan, refresh,
)  # fmt: skip


def output(play: Callable[[Golden], None]) -> str:
    """Play a run, or several, and return what they wrote."""
    clock = Clock("2026-11-02T08:00:00Z", frozen=True)
    with SandboxServer(Sandbox(clock=clock, **SIZES)) as server:
        golden = Golden(server)
        play(golden)
        return masked(golden.written)


@pytest.mark.parametrize("play", RUNS, ids=lambda play: play.__name__)
def test_a_run_writes_what_it_wrote_before(play: Callable[[Golden], None]) -> None:
    assert output(play) == (FOLDER / f"{play.__name__}.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in RUNS:
        if sys.argv[1:] in ([], [each.__name__]):
            (FOLDER / f"{each.__name__}.txt").write_text(output(each), encoding="utf-8")
