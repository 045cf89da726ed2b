"""Print the notes of a release: ``python -m devtools.release_notes v0.1.0``.

The tag must name the version in pyproject.toml, and CHANGELOG.md must have a dated section for it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(tag: str, version: str, changelog: str) -> str:
    """Extract the section of a release from a changelog.

    Args:
        tag: The tag that is released.
        version: The version in pyproject.toml.
        changelog: The text of CHANGELOG.md.

    Raises:
        ValueError: The three do not agree.
    """
    if tag != f"v{version}":
        raise ValueError(f"The tag is {tag}, but pyproject.toml says {version}: tag v{version}.")
    section = re.search(
        rf"^## \[{re.escape(version)}\] - (\S+)\n(.*?)(?=^## |\Z)",
        changelog,
        re.DOTALL | re.MULTILINE,
    )
    if not section:
        raise ValueError(
            f"CHANGELOG.md has no section [{version}]: write '## [{version}] - ' and the date."
        )
    date, text = section.groups()
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
        raise ValueError(f"CHANGELOG.md says '{date}' for the date of {version}: write the date.")
    if not text.strip():
        raise ValueError(f"CHANGELOG.md says nothing of {version}: write what is new.")
    return text.strip() + "\n"


def main(tag: str) -> int:
    """Print the notes of a release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    try:
        sys.stdout.write(notes(tag, project["version"], changelog))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
