"""Run Meltano as a user does: the repository's project with a separate state store."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devtools.process import kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[1]
MELTANO = ROOT / ".venv-meltano" / "bin" / "meltano"
PLUGINS = ROOT / ".meltano"
KINDS = ("extractors", "loaders")
OWN_VARIABLES = ("MELTANO_", "TAP_LEV_", "TARGET_")


class MeltanoError(Exception):
    """Meltano is not installed, or a command of it failed."""


@dataclass(frozen=True)
class Run:
    """The result of one `meltano run`.

    Attributes:
        code: The exit code.
        log: The log file, one JSON object a line.
    """

    code: int
    log: Path

    def entries(self) -> Iterator[dict[str, Any]]:
        """Read the log."""
        for line in self.log.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"event": line}
            yield entry if isinstance(entry, dict) else {"event": line}

    def records(self, plugin: str) -> Counter[str]:
        """Count the records of each stream by a plugin's metrics."""
        counts: Counter[str] = Counter()
        for entry in self.entries():
            metric = entry.get("metric_info") or {}
            if entry.get("string_id") == plugin and metric.get("metric") == "record_count":
                counts[metric["tags"]["stream"]] += metric["value"]
        return counts

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log as text."""
        events = [
            f"  {entry.get('string_id', 'meltano')}: {str(entry.get('event')).strip()}"
            for entry in self.entries()
            if "metric_info" not in entry and str(entry.get("event") or "").strip()
        ]
        return "\n".join(events[-lines:])


class MeltanoProject:
    """The repository's `meltano.yml`, copied to another directory.

    The plugins are those that `make install` installed. State, run files and settings belong to
    the directory: the repository's `.env` and this program's own variables are not read.

    Args:
        directory: Where to put the project. A project that is already there keeps its state.
        environment: The variables to run with, such as TAP_LEV_API_KEY.
        name: Which of the project's environments to use.
    """

    def __init__(
        self, directory: Path, environment: Mapping[str, str], name: str = "sandbox"
    ) -> None:
        if not MELTANO.exists() or not PLUGINS.exists():
            raise MeltanoError("Meltano and its plugins are not installed: run make install.")
        self.directory = directory
        self.name = name
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(OWN_VARIABLES)},
            **environment,
            "MELTANO_ENVIRONMENT": name,
            "MELTANO_CLI_LOG_FORMAT": "json",
        }
        (directory / ".meltano").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "meltano.yml", directory)
        for kind in KINDS:
            link = directory / ".meltano" / kind
            if not link.exists():
                link.symlink_to(PLUGINS / kind, target_is_directory=True)

    def run(self, *blocks: str) -> Run:
        """Run `meltano run` with some blocks and wait for its end."""
        with self.started(*blocks) as (process, log):
            return Run(process.wait(), log)

    @contextlib.contextmanager
    def started(self, *blocks: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """Start `meltano run`, and end it when the context is left.

        Yields:
            The keeper of the process, which has its exit code, and the log file.
        """
        logs = self.directory / "logs"
        logs.mkdir(exist_ok=True)
        log = logs / f"run-{len(list(logs.iterdir())) + 1}.log"
        command: list[str | Path] = [MELTANO, "run", *blocks]
        with (
            log.open("wb") as output,
            kept(command, output=output, env=self.environment, cwd=self.directory) as process,
        ):
            yield process, log

    def state(
        self, tap: str = "tap-lev", target: str = "target-postgres", suffix: str = ""
    ) -> dict[str, Any]:
        """Read the state of a tap and a target from Meltano's state store.

        Args:
            tap: The tap's name.
            target: The target's name.
            suffix: The value of `--state-id-suffix`, or empty.
        """
        state_id = f"{self.name}:{tap}-to-{target}{suffix and f':{suffix}'}"
        process = subprocess.run(
            [MELTANO, "state", "get", state_id],
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise MeltanoError(
                f"Meltano could not read its state: {process.stderr.strip()[-1000:]}"
            )
        state: dict[str, Any] = json.loads(process.stdout or "{}")
        return state


def plugin_program(kind: str, name: str) -> Path:
    """Find the program of an installed plugin, to run it without Meltano.

    Args:
        kind: `extractors` or `loaders`.
        name: The plugin's name, such as `target-jsonl`.
    """
    program = PLUGINS / kind / name / "venv" / "bin" / name
    if not program.exists():
        raise MeltanoError(f"The plugin {name} is not installed: run make install.")
    return program
