"""Runs one command and tells what it took, as a JSON object: a script of its own.

The kernel counts a process's peak memory from that of the process which started it, so the starter
has to be a small one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

KIB = 1024


def main() -> None:
    """Run the command of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, required=True, help="where its stdout goes")
    parser.add_argument("--errors", type=Path, required=True, help="where its stderr goes")
    parser.add_argument("--patience", type=int, default=0, help="seconds until it is killed")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    with options.output.open("wb") as output, options.errors.open("wb") as errors:
        begun = time.perf_counter()
        # Not awaited by subprocess, which would not tell what the child used.
        child = subprocess.Popen(
            options.command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )
        signal.signal(signal.SIGALRM, lambda *_: child.kill())
        signal.alarm(options.patience)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else KIB
    taken = {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * unit,
        "exit_code": child.returncode,
    }
    sys.stdout.write(json.dumps(taken))


if __name__ == "__main__":
    main()
