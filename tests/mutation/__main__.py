"""``make mutants``: break the tap's code on purpose, one thing at a time, and see which test fails.

It runs in a copy of the checkout, since tap processes must see the broken code, too. Each file of
tests runs in a fork of this process, which has everything but the tap imported already.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.mutation.mutants import mutants
from tests.mutation.tests import NEAR, WIDE, file_of, find_tests

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.mutation.mutants import Mutant

IMPORTED = "hypothesis", "jsonschema", "lev_sandbox", "requests", "singer_sdk.testing"
PATIENCE = 20
"""The shortest limit for a test in seconds; it hangs if it takes as long as its whole file."""
NOISE = 5
"""How many times longer a file of tests may take than it did."""
PYTEST = (
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # of what is imported already
    "-x", "-q", "--tb=line", "--show-capture=no", "-p", "no:cacheprovider",
    "-o", "faulthandler_exit_on_timeout=true",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Break modules; return 1 if a mutant survives."""
    given = _arguments(argv)
    for name in IMPORTED:
        importlib.import_module(name)
    unbroken = Unbroken()
    survived = 0
    rows = ["| module | mutants | tried | killed | equivalent | score |", "| --- |" + 5 * " ---: |"]
    for module in given.modules:
        tests = (*NEAR[module], *(() if given.near else WIDE[module]))
        path = file_of(module)
        code = path.read_text(encoding="utf-8")
        every = [m for m in mutants(module, code) if given.line in {None, m.line}]
        chosen = random.Random(given.seed).sample(every, min(given.sample, len(every)))
        results: Counter[str] = Counter()
        for mutant in sorted(chosen, key=lambda mutant: mutant.line):
            killer = None
            if mutant.is_equivalent:
                result = "equivalent"
            else:
                killer = _try(mutant, tests, path, unbroken)
                result = "killed" if killer else "survived"
            results[result] += 1
            if result == "survived" or given.verbose:
                print(f"{result} {killer or ''} {mutant}", flush=True)
        survived += results["survived"]
        relevant = results["killed"] + results["survived"]
        score = f"{results['killed'] / relevant:.0%}" if relevant else ""
        values = [len(every), len(chosen), results["killed"], results["equivalent"], score]
        rows.append(" | ".join([f"| `{module}`", *map(str, values)]) + " |")
        print(rows[-1], flush=True)
    print("", *rows, sep="\n")
    return int(bool(survived))


class Unbroken(dict[str, float]):
    """The seconds that each file of tests takes while nothing is broken, measured once."""

    def __missing__(self, test: str) -> float:
        """Run it.

        Raises:
            SystemExit: It fails.
        """
        began = time.monotonic()
        if failed := run(test, math.inf):
            raise SystemExit(f"Nothing is broken, but {failed} fails.")
        self[test] = max(time.monotonic() - began, PATIENCE)
        return self[test]


def _try(mutant: Mutant, tests: Sequence[str], path: Path, unbroken: Unbroken) -> str | None:
    """Return the test that fails, or None."""
    code = path.read_text(encoding="utf-8")
    for test in tests:
        limit = unbroken[test]
        _write(path, mutant.code)
        killer = run(test, limit)
        _write(path, code)
        if killer:
            return killer
    return None


def _write(path: Path, code: str) -> None:
    path.write_text(code, encoding="utf-8")
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
        # Python would take it for the compiled form of code of the same age and length.
        compiled.unlink()


def run(test: str, limit: float) -> str | None:
    """Run the tests of a file in a process of their own, up to the first that fails.

    Args:
        test: The name of the file.
        limit: The longest that one of its tests may take, in seconds.

    Returns:
        What failed, None if nothing did.
    """
    with tempfile.TemporaryFile("w+") as output:
        pid = os.fork()
        if not pid:
            os.setsid()
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            hangs = ("-o", f"faulthandler_timeout={limit}") if limit < math.inf else ()
            code = int(pytest.main([*PYTEST, *hangs, str(find_tests(test))]))
            sys.stdout.flush()
            os._exit(code)
        ended = _wait(pid, NOISE * limit)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if ended == 0:
            return None
        output.seek(0)
        failed = re.search(r"^(?:FAILED|ERROR) tests/(\S+)", output.read(), re.MULTILINE)
        return failed[1] if failed else f"{test} (it hangs or crashes)"


def _wait(pid: int, timeout: float) -> int | None:
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(NEAR), choices=[*NEAR, []])
    parser.add_argument("--sample", type=int, default=sys.maxsize, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--line", type=int, help="only mutants of this line")
    parser.add_argument("--near", action="store_true", help="run only the tests that are near")
    parser.add_argument("--verbose", action="store_true", help="print the killed mutants, too")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
