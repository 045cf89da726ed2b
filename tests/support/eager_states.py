"""The tap with a STATE after each page: for tests that cut a real process at an exact line.

``python eager_states.py`` takes what ``tap-lev`` does.
"""

from __future__ import annotations

from tap_lev.sync import state_writer
from tap_lev.tap import TapLev

if __name__ == "__main__":
    state_writer.STATE_INTERVAL = 0.0
    TapLev.cli()
