"""A shell in which the commands of a page are run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from devtools.meltano import MELTANO, MeltanoProject, plugin_program
from tests.pipelines.tables import SCHEMA, UNPACED

if TYPE_CHECKING:
    from devtools.postgres import Database
    from lev_sandbox import SandboxServer

ROOT = Path(__file__).parents[2]


def commands(page: str) -> list[str]:
    """Find the commands of a page, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def recipes(page: str) -> dict[str, list[str]]:
    """Find the commands of each section of a page, by its heading."""
    _, *sections = re.split(r"^## ", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        section.partition("\n")[0]: found
        for section in sections
        if (found := re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    }


class Shell:
    """A shell in a Meltano project, with the programs that the page names.

    Args:
        lev: The Lev to read.
        database: Where the rows go.
        directory: Where the project is.
        name: The project's environment.
    """

    def __init__(
        self, lev: SandboxServer, database: Database, directory: Path, name: str = "sandbox"
    ) -> None:
        access = {"api_url": lev.url, "api_key": lev.key, "page_size": 5, **UNPACED}
        self.project = MeltanoProject(
            directory,
            {
                **{f"TAP_LEV_{name.upper()}": str(value) for name, value in access.items()},
                **database.environment(),
                "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": SCHEMA,
            },
            name,
        )
        programs = (
            MELTANO,
            plugin_program("extractors", "tap-lev"),
            plugin_program("loaders", "target-postgres"),
        )
        self.path = os.pathsep.join([*(str(p.parent) for p in programs), os.environ["PATH"]])

    def __call__(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command as it stands on the page."""
        return subprocess.run(
            ["/bin/bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.project.directory,
            env={**self.project.environment, **more, "PATH": self.path},
            capture_output=True,
            text=True,
            check=False,
        )

    def well(self, command: str, **more: str) -> str:
        """Run one that ends well, and return what it prints."""
        done = self(command, **more)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout
