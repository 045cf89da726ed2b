"""Meltano as a user runs it: the repository's project, with a state store of its own."""

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

from demo.process import kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]
MELTANO = ROOT / ".venv-meltano" / "bin" / "meltano"
PLUGINS = ROOT / ".meltano"
KINDS = ("extractors", "loaders")
OWN_VARIABLES = ("MELTANO_", "TAP_LEV_", "TARGET_")


class MeltanoError(Exception):
    """Meltano cannot run, or what it was asked to run failed."""


@dataclass(frozen=True)
class Run:
    """One `meltano run` that has ended.

    Attributes:
        code: Its exit code.
        log: The file with its log, a JSON object a line.
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
        """Count the records of each stream that a plugin says it handled."""
        counts: Counter[str] = Counter()
        for entry in self.entries():
            metric = entry.get("metric_info") or {}
            if entry.get("string_id") == plugin and metric.get("metric") == "record_count":
                counts[metric["tags"]["stream"]] += metric["value"]
        return counts

    def tail(self, lines: int = 15) -> str:
        """Return the end of the log, to be read by people."""
        said = [
            f"  {entry.get('string_id', 'meltano')}: {str(entry.get('event')).strip()}"
            for entry in self.entries()
            if "metric_info" not in entry and str(entry.get("event") or "").strip()
        ]
        return "\n".join(said[-lines:])


class MeltanoProject:
    """The repository's `meltano.yml` in a directory of its own.

    The plugins are those that `make install` installed. State, run files and settings are the
    directory's: a `.env` in the repository and this program's own variables have no part in it.

    Args:
        directory: Where to put the project. It may hold one already, whose state is then taken up.
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
        """Run blocks one after the other, as `meltano run` does, and wait for their end."""
        with self.started(*blocks) as (process, log):
            return Run(process.wait(), log)

    @contextlib.contextmanager
    def started(self, *blocks: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """Start a run of blocks, which ends with the block of code at the latest.

        Yields:
            Its keeper, which answers with its exit code, and its log.
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
        """Read what Meltano's state store holds for a tap and a target.

        Args:
            tap: The tap's name.
            target: The target's name.
            suffix: What `--state-id-suffix` was.
        """
        whose = f"{self.name}:{tap}-to-{target}{suffix and f':{suffix}'}"
        done = subprocess.run(
            [MELTANO, "state", "get", whose],
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MeltanoError(f"Meltano could not read its state: {done.stderr.strip()[-1000:]}")
        found: dict[str, Any] = json.loads(done.stdout or "{}")
        return found


def plugin_program(kind: str, name: str) -> Path:
    """Return the program of an installed plugin, to run it in a pipe without Meltano.

    Args:
        kind: `extractors` or `loaders`.
        name: The plugin's name, such as `target-jsonl`.
    """
    program = PLUGINS / kind / name / "venv" / "bin" / name
    if not program.exists():
        raise MeltanoError(f"The plugin {name} is not installed: run make install.")
    return program
