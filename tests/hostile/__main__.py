"""The long version: ``make fuzz FUZZ_ARGS="--examples 20000"``. Its figures go into the docs."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.hostile import counts

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "hostile-input.md"
FIGURES = re.compile(r"(?<=<!-- fuzz -->\n).*?(?=<!-- /fuzz -->)", re.DOTALL)
PYTEST = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--show-capture=no"]
FAILED = re.compile(r"^FAILED (\S+)", re.MULTILINE)
NOT_RUN = re.compile(r"^ERROR ", re.MULTILINE)


def main() -> int:
    """Run the tests with many inputs."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument(
        "--examples", type=int, default=2000, help="inputs of each kind (default: 2000)"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    asked = parser.parse_args()
    sys.stdout.write(f"seed {asked.seed}\n")
    sys.stdout.flush()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        run = subprocess.run(
            [*PYTEST, f"--hypothesis-seed={asked.seed}", str(HERE)],
            env=os.environ | {counts.EXAMPLES: str(asked.examples), counts.DIRECTORY: directory},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        total: Counter[str] = Counter()
        for file in Path(directory).iterdir():
            total.update(json.loads(file.read_text()))
    sys.stdout.write(run.stdout)
    if run.returncode not in {0, 1} or NOT_RUN.search(run.stdout):
        return run.returncode  # what could not be run says nothing of the inputs
    found = set(FAILED.findall(run.stdout))
    figures = table(total, len(found), time.monotonic() - begun)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(FIGURES.sub(lambda _: figures, page), encoding="utf-8")
    return run.returncode


def table(total: Counter[str], faults: int, seconds: float) -> str:
    """Write the figures as they stand in the docs."""
    rows = [f"| {kind} | {number:,} |" for kind, number in sorted(total.items())]
    minutes = max(1, round(seconds / 60))
    return "\n".join(
        [
            "| inputs | tried |",
            "|---|---:|",
            *rows,
            f"| **all** | **{total.total():,}** |",
            "",
            f"Faults found: {faults}. It took {minutes} min.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
