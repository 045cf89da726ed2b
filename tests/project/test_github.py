"""What the repository tells GitHub to do, and what is released."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from devtools import catalog_snapshot
from devtools.release_notes import notes

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent

each_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=[file.stem for file in WORKFLOWS])


def workflow(file: Path | str) -> dict[str, Any]:
    """A workflow."""
    return dict(yaml.safe_load((GITHUB / "workflows" / file).read_text(encoding="utf-8")))


def jobs(file: Path | str) -> dict[str, Any]:
    """The jobs of a workflow."""
    return dict(workflow(file)["jobs"])


@each_workflow
def test_every_action_is_pinned_and_its_version_told(file: Path) -> None:
    uses = re.findall(r"uses: (.*)", file.read_text(encoding="utf-8"))
    assert uses
    others = [use for use in uses if not use.startswith("./.github/workflows/")]
    assert [
        u for u in others if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", u)
    ] == []


def test_an_action_has_the_same_version_everywhere() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in WORKFLOWS)
    pins = set(re.findall(r"uses: ([\w/-]+)@(.*)", text))
    assert len(pins) == len({action for action, _ in pins})


@each_workflow
def test_nothing_is_permitted_but_what_a_job_asks_for(file: Path) -> None:
    assert workflow(file)["permissions"] == {}
    granted = {name: job["permissions"] for name, job in jobs(file).items()}
    writes = {
        (name, what)
        for name, permissions in granted.items()
        for what, how in permissions.items()
        if how != "read"
    }
    expected = {
        "dependencies": {
            ("propose", "actions"), ("propose", "contents"), ("propose", "pull-requests"),
        },
        "release": {
            ("attest", "attestations"), ("attest", "id-token"),
            ("publish", "id-token"), ("announce", "contents"),
        },
    }  # fmt: skip
    assert writes == expected.get(file.stem, set())


@each_workflow
def test_every_job_ends_and_leaves_no_credentials(file: Path) -> None:
    for job in jobs(file).values():
        assert "uses" in job or 0 < job["timeout-minutes"] <= 120
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_tests_run_on_every_python_that_is_promised() -> None:
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert jobs("ci.yml")["test"]["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_the_container_is_built_with_every_target_of_the_project() -> None:
    loaders = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))["plugins"][
        "loaders"
    ]
    targets = jobs("ci.yml")["container"]["strategy"]["matrix"]["target"]
    assert sorted(f"target-{target}" for target in targets) == sorted(e["name"] for e in loaders)


def test_every_command_of_make_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):.*## ", makefile, re.MULTILINE))
    text = "".join(file.read_text(encoding="utf-8") for file in WORKFLOWS)
    asked = {word for line in re.findall(r"run: make ([a-z ]+)", text) for word in line.split()}
    nightly = [
        entry["what"] for entry in jobs("nightly.yml")["try"]["strategy"]["matrix"]["include"]
    ]
    assert asked >= {"lint", "typecheck", "demo", "build", "audit", "lock"}
    assert asked | set(nightly) <= targets
    assert all(f"$({what.upper()}_ARGS)" in makefile for what in nightly)


def test_the_newest_singer_sdk_is_tried_every_week() -> None:
    triggers = workflow("dependencies.yml")[True]  # YAML takes the word "on" for true
    (schedule,) = triggers["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
    newest = jobs("dependencies.yml")["newest"]
    assert newest["steps"][-1] == {"run": "make newest"}
    assert "needs" not in newest
    done = subprocess.run(
        ["make", "--dry-run", "newest"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    upgrade, needs = [line for line in done.stdout.splitlines() if "singer-sdk" in line]
    for line in (upgrade, needs):
        assert line.startswith("PIP_PRE=1 UV_PRERELEASE=allow "), "pre-releases, too"
    assert "--upgrade singer-sdk" in upgrade
    assert "--upgrade" not in needs, "all else stays as pinned"


def test_the_pinned_singer_sdk_is_one_that_the_package_takes() -> None:
    (bound,) = [each for each in PROJECT["dependencies"] if each.startswith("singer-sdk")]
    for name in ("dev", "tap"):
        pins = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        (version,) = re.findall(r"^singer-sdk(?:\[\w+\])?==(\S+)", pins, re.MULTILINE)
        assert Requirement(bound).specifier.contains(version), "run: make lock"


def test_only_what_was_checked_and_attested_is_published() -> None:
    release = jobs("release.yml")
    assert release["check"]["uses"] == "./.github/workflows/ci.yml"
    assert release["attest"]["needs"] == ["check", "build"]
    assert release["publish"]["needs"] == "attest"
    assert release["publish"]["environment"] == "release"
    assert release["publish"]["permissions"] == {"id-token": "write"}
    assert release["announce"]["needs"] == "publish"


def test_every_update_waits_a_week() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert [update["package-ecosystem"] for update in updates] == ["github-actions", "docker"]
    for update in updates:
        assert update["cooldown"]["default-days"] >= 7
        assert (ROOT / update["directory"].lstrip("/")).is_dir()
    assert "--exclude-newer P7D" in str(jobs("dependencies.yml")["lock"]["steps"])


CHECKS = {
    "zizmor": [BIN / "zizmor", "--offline", "--pedantic", "--strict-collection", "--quiet"],
    "workflow": [BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
    "dependabot": [BIN / "check-jsonschema", "--builtin-schema", "vendor.dependabot"],
    "form": [BIN / "check-jsonschema", "--builtin-schema", "vendor.github-issue-forms"],
}


@pytest.mark.parametrize(
    ("check", "file", "good", "bad"),
    [
        ("zizmor", "workflows/ci.yml", "@de0fac2e4500dabe0009e67214ff5f5447ce83dd #", "@v6 #"),
        ("zizmor", "workflows/ci.yml", "persist-credentials: false", "fetch-depth: 1"),
        ("zizmor", "workflows/nightly.yml", "seed $seed", "${{ github.head_ref }}"),
        ("zizmor", "workflows/release.yml", "permissions: {}", "permissions: write-all"),
        ("zizmor", "dependabot.yml", "default-days: 7", "default-days: 1"),
        ("workflow", "workflows/ci.yml", "runs-on:", "run-on:"),
        ("dependabot", "dependabot.yml", "interval: weekly", "interval: sometimes"),
        ("form", "ISSUE_TEMPLATE/bug.yml", "type: textarea", "type: text"),
    ],
)
def test_a_fault_would_be_found(tmp_path: Path, check: str, file: str, good: str, bad: str) -> None:
    copy = tmp_path / "repository" / ".github" / file
    shutil.copytree(GITHUB, tmp_path / "repository" / ".github")
    what = copy.parents[1] if check == "zizmor" and copy.parent.name == "workflows" else copy
    command = [*CHECKS[check], what]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    text = copy.read_text(encoding="utf-8")
    assert good in text
    copy.write_text(text.replace(good, bad), encoding="utf-8")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


# -- What is released


def test_the_changelog_tells_of_the_version_that_is_next() -> None:
    versions = re.findall(r"^## \[(\d[^\]]*)\]", CHANGELOG, re.MULTILINE)
    assert versions[0] == PROJECT["version"]
    release = catalog_snapshot.released(CHANGELOG)
    assert release is None or release.exists(), f"{release} is missing: see CONTRIBUTING.md."


def test_the_notes_are_the_section_of_the_tag() -> None:
    log = "## [Unreleased]\n- c\n\n## [1.1.0] - 2026-12-01\n\n- b\n\n## [1.0.0] - 2026-11-01\n- a\n"
    assert notes("v1.1.0", "1.1.0", log) == "- b\n"
    assert notes("v1.0.0", "1.0.0", log) == "- a\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "sentence"),
    [
        (
            "v1.0.1",
            "## [1.0.0] - 2026-11-01\n\n- a\n",
            "The tag is v1.0.1, but pyproject.toml says",
        ),
        ("1.0.0", "## [1.0.0] - 2026-11-01\n\n- a\n", "The tag is 1.0.0, but pyproject.toml says"),
        ("v1.0.0", "## [1.0.0rc1] - 2026-11-01\n\n- a\n", "CHANGELOG.md has no section [1.0.0]"),
        (
            "v1.0.0",
            "## [1.0.0] - Unreleased\n\n- a\n",
            "CHANGELOG.md says 'Unreleased' for the date",
        ),
        ("v1.0.0", "## [1.0.0] - 2026-11-01\n\n## [0.9]", "CHANGELOG.md says nothing of 1.0.0"),
    ],
)
def test_a_tag_that_does_not_fit_is_told(
    tag: str,
    changelog: str,
    sentence: str,
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        notes(tag, "1.0.0", changelog)


def test_the_script_fails_with_a_sentence() -> None:
    command = [sys.executable, "-m", "devtools.release_notes", "v0.0.0"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("The tag is v0.0.0, but pyproject.toml says ")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(("directory", "package"), [(".", "tap_lev"), ("sandbox", "lev_sandbox")])
def test_the_types_are_in_the_wheel(tmp_path: Path, directory: str, package: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", tmp_path]
    subprocess.run(command, cwd=ROOT / directory, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert f"{package}/py.typed" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {package}
