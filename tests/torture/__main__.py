"""``make torture``: plays rounds, tells what they come to, and writes docs/reliability.md."""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.parallel_runs import EndedError, ended_by_signals, spread
from tests.torture.runner import Sum, share_of_rounds
from tests.torture.streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.torture.round import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
WORTH_WRITING = 1000
"""Rounds from which on the figures go into the docs by themselves."""
SHARE = 24
"""Rounds that a process takes at a time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Play rounds; return 1 if anything was found, 128 + n if signal n has ended it."""
    given = _arguments(argv)
    only = tuple(name for name in given.streams.split(",") if name)
    if unknown := set(only) - STREAMS.keys():
        print(f"There are no streams {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    print(f"{given.rounds} rounds from seed {given.seed}", flush=True)
    began, result, failed = time.monotonic(), Sum(), list[int]()
    ends = given.seed + given.rounds
    shares = [
        (range(first, min(first + SHARE, ends)), only) for first in range(given.seed, ends, SHARE)
    ]
    signum = 0
    try:
        with (
            ended_by_signals(),
            closing(spread(share_of_rounds, shares, given.processes)) as outcomes,
        ):
            for outcome in outcomes:
                result.add(outcome)
                if outcome.findings:
                    failed.append(outcome.seed)
                    print(f"\n{outcome}\n  again: {replay(outcome, only)}\n", flush=True)
                if result.rounds % 100 == 0:
                    print(f"{result.rounds} rounds, {time.monotonic() - began:.0f} s", flush=True)
    except EndedError as end:
        signum = end.signum
    lines = result.lines(time.monotonic() - began)
    for name, value in lines:
        print(f"{name.strip('*'):62} {value:>12}")
    if failed:
        print("seeds with findings:", *sorted(failed))
    if signum:
        return 128 + signum
    if given.write or (given.rounds >= WORTH_WRITING and not only):
        write(table(lines, given.seed, failed))
    return int(bool(failed))


def replay(outcome: Outcome, only: Sequence[str]) -> str:
    """Tell how to play a round again."""
    streams = f" --streams {','.join(only)}" if only else ""
    return f'make torture TORTURE_ARGS="--rounds 1 --seed {outcome.seed}{streams}"'


def table(lines: Sequence[tuple[str, str]], seed: int, failed: Sequence[int]) -> str:
    """Put the figures into a Markdown table."""
    rows = [f"| rounds from seed {seed} | |", "| --- | ---: |"]
    rows += [f"| {name} | {value} |" for name, value in lines]
    seeds = ", ".join(map(str, sorted(failed))) or "none"
    return "\n".join([*rows, "", f"Seeds with findings: {seeds}."])


def write(text: str) -> None:
    """Put the figures into the docs."""
    page = PAGE.read_text(encoding="utf-8")
    marked = re.compile(r"(?<=<!-- torture -->\n).*?(?=\n<!-- /torture -->)", re.DOTALL)
    assert marked.search(page)
    PAGE.write_text(marked.sub(lambda _: text, page), encoding="utf-8")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--streams", default="", help="streams to choose from, a comma list")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md anyway")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
