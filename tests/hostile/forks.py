"""A tap's whole command at the price of a fork: a process of its own, but not from the start."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import Run, files
from tests.torture.launch import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.torture.launch import Forked

SECONDS = 60


class Forks:
    """Runs taps, one at a time.

    Args:
        launcher: Starts them.
    """

    def __init__(self, launcher: Forked) -> None:
        self._launcher = launcher

    def run(
        self,
        config: object = None,
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        **given: object,
    ) -> Run:
        """Run a tap to its end.

        Args:
            config: As for ``start_tap``.
            args: Further arguments.
            env: Further environment variables.
            **given: The state and the catalog, as for ``start_tap``.
        """
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            work, out, err = (directory / part for part in ("work", "stdout", "stderr"))
            work.mkdir()
            command = [*args, *files(directory, config=config, **given)]
            with out.open("wb") as stdout, err.open("wb") as stderr:
                process = self._launcher.start(
                    command, work, stdout.fileno(), stderr.fileno(), seed=0, env=env
                )
            watchdog = threading.Timer(SECONDS, process.signal, (SIGNALS["kill"],))
            watchdog.start()
            try:
                exit_code = process.wait()
            finally:
                watchdog.cancel()
            lines = out.read_text(encoding="utf-8").splitlines(keepends=True)
            return Run(exit_code, lines, err.read_text(encoding="utf-8"))
