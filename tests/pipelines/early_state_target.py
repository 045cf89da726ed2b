"""A target that is wrong on purpose: it gives back each STATE before it has written the rows.

``python early_state_target.py <the real target> <its options>``
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Hand everything on, and the states back at once."""
    # In a kill of this process the real target must not live on and write the rows after all.
    with subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509
    ) as real:
        assert real.stdin is not None
        for line in sys.stdin.buffer:
            real.stdin.write(line)
            real.stdin.flush()
            message = json.loads(line)
            if message["type"] == "STATE":
                print(json.dumps(message["value"]), flush=True)
        real.stdin.close()
        return real.wait()


if __name__ == "__main__":
    sys.exit(main())
