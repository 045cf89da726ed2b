"""The container of docs/container.md: the tap into a target, and the state that is kept."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devtools.meltano import plugin_program
from tests.pipelines.tables import CORE, in_lev
from tests.pipelines.targets import SETTINGS, TARGETS, Target, new_target
from tests.support.inprocess import catalog_of, config_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devtools.postgres import Server
    from lev_sandbox import SandboxServer

ROOT = Path(__file__).parents[2]
SYNC = ROOT / "deploy" / "container" / "sync.py"
DOCKERFILE = ROOT / "deploy" / "container" / "Dockerfile"
PYTHON = Path(sys.executable)
SECONDS = 60

STATES = """
import json, sys
for line in sys.stdin:
    if json.loads(line)["type"] == "STATE":
        print(json.dumps(json.loads(line)["value"]), flush=True)
{then}
"""
"""A target that writes nothing and gives back every state."""


class Container:
    """The directory and the environment of a container, without one."""

    def __init__(self, directory: Path, lev: SandboxServer) -> None:
        self.directory = directory
        self.state_file = directory / "state.json"
        settings = {f"TAP_LEV_{k.upper()}": str(v) for k, v in config_of(lev).items()}
        self.environment = settings | {
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
            "STATE_DIRECTORY": str(directory),
        }

    @property
    def state(self) -> dict[str, Any]:
        """The state that is kept."""
        return dict(json.loads(self.state_file.read_text(encoding="utf-8")))

    @contextlib.contextmanager
    def started(self, *target: str | Path) -> Iterator[subprocess.Popen[str]]:
        """Start it; kill it at the end if it still runs."""
        with subprocess.Popen(
            [PYTHON, SYNC, *target],
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as popen:
            try:
                yield popen
            finally:
                popen.kill()

    def run(self, *target: str | Path) -> tuple[int, str]:
        """Run it; return its exit code and its log."""
        with self.started(*target) as popen:
            _, log = popen.communicate(timeout=SECONDS)
        assert "Traceback" not in log
        return popen.returncode, log

    def select(self, *streams: str) -> None:
        """Have it read these only."""
        catalog = json.dumps(catalog_of(*streams))
        (self.directory / "catalog.json").write_text(catalog, encoding="utf-8")


def target_of(then: str = "") -> list[str | Path]:
    """A target that gives back every state, and does something else at its end."""
    return [PYTHON, "-c", STATES.format(then=then)]


def wait_for(file: Path) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + SECONDS
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def container(tmp_path: Path, lev: SandboxServer) -> Container:
    """A container with an empty state."""
    return Container(tmp_path, lev)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path, postgres: Server) -> Target:
    """A real target."""
    directory = tmp_path / "target"
    directory.mkdir()
    return new_target(request.param, directory, postgres)


def command_of(target: Target) -> list[str | Path]:
    """How it is started."""
    config = target.directory / "config.json"
    config.write_text(json.dumps(target.settings), encoding="utf-8")
    return [plugin_program("loaders", target.name), "--config", config]


def test_a_real_target_loads_all_and_the_next_run_goes_on_from_its_state(
    container: Container, lev: SandboxServer, target: Target
) -> None:
    container.directory = target.directory
    code, log = container.run(*command_of(target))
    assert code == 0, log
    tables = target.tables(CORE)
    assert tables == {stream: in_lev(lev, stream) for stream in CORE}
    first = container.state

    lev.sandbox.clock.advance(60)
    lev.sandbox.touch("contacts", 3)
    lev.sandbox.clear_log()
    assert container.run(*command_of(target))[0] == 0
    assert target.tables(CORE) == {stream: in_lev(lev, stream) for stream in CORE}
    assert container.state["bookmarks"]["contacts"] != first["bookmarks"]["contacts"]
    asked = dict(next(e for e in lev.sandbox.requests if e.path == "/contacts").query)
    assert "filter[updated_at][gte]" in asked


@pytest.mark.parametrize(
    "output", ["", '{"bookmarks": {"deals"', '{"cut": 1}', "hello\\n", "[]\\n"]
)
def test_without_a_whole_state_the_one_before_stays(container: Container, output: str) -> None:
    before = '{"bookmarks": {}}'
    container.state_file.write_text(before, encoding="utf-8")
    script = f"import sys; sys.stdin.read(); sys.stdout.write('{output}')"
    code, log = container.run(PYTHON, "-c", script)
    assert code == 0
    assert container.state_file.read_text(encoding="utf-8") == before
    assert output.replace("\\n", "") in log


def test_the_exit_code_of_the_target_comes_first(container: Container) -> None:
    assert container.run(*target_of("sys.exit(7)"))[0] == 7
    assert container.state["bookmarks"].keys() >= {"deals", "contacts"}


def test_a_target_that_dies_early_ends_the_tap(container: Container) -> None:
    assert container.run(PYTHON, "-c", "import os; os.kill(os.getpid(), 9)")[0] == 128 + 9
    assert not container.state_file.exists()


def test_the_exit_code_of_the_tap_counts_when_the_target_is_content(container: Container) -> None:
    container.environment["TAP_LEV_API_KEY"] = "wrong"
    assert container.run(*target_of())[0] == 3


def test_a_target_that_leaves_early_without_a_word_is_no_success(container: Container) -> None:
    assert container.run(PYTHON, "-c", "input()")[0] != 0


def test_a_failed_stream_keeps_its_place_for_the_next_run(
    container: Container, lev: SandboxServer
) -> None:
    container.select("contacts", "companies")
    container.environment["TAP_LEV_PAGE_SIZE"] = "20"
    container.environment["TAP_LEV_MAX_RETRIES"] = "0"
    lev.sandbox.fault("status", status=500, route="/contacts", at=3, times=None)
    assert container.run(*target_of())[0] == 1
    assert container.state["bookmarks"]["contacts"]["walk"]["cursor"]
    lev.sandbox.clear_faults()
    lev.sandbox.clear_log()
    assert container.run(*target_of())[0] == 0
    first = next(e for e in lev.sandbox.requests if e.path == "/contacts")
    assert "cursor" in dict(first.query)
    assert container.state["bookmarks"]["contacts"]["walk"]["cursor"] is None


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_tap_and_the_target_still_gives_its_state(
    container: Container, lev: SandboxServer, signum: int
) -> None:
    container.select("contacts")
    container.environment["TAP_LEV_PAGE_SIZE"] = "20"
    lev.sandbox.fault("hang", route="/contacts", at=3)
    with container.started(*target_of("open('ended', 'w')")) as popen:
        while len([e for e in lev.sandbox.requests if e.path == "/contacts"]) < 3:
            time.sleep(0.02)
        wait_for(container.state_file)
        popen.send_signal(signum)
        popen.communicate(timeout=SECONDS)
    assert popen.returncode == 128 + signum
    assert container.state["bookmarks"]["contacts"]["walk"]["cursor"]
    assert (container.directory / "ended").exists()


def test_a_kill_leaves_a_whole_state(container: Container, lev: SandboxServer) -> None:
    container.environment["TAP_LEV_PAGE_SIZE"] = "5"
    # Rows still come once there is a state.
    lev.sandbox.fault("hang", route="/contacts", at=5, seconds=2)
    kill = """
    import os
    if os.path.exists("state.json"):
        os.kill(os.getppid(), 9)
        break
"""
    with container.started(*target_of(kill)) as popen:
        popen.communicate(timeout=SECONDS)
    assert popen.returncode == -9
    assert container.state["bookmarks"]
    assert container.run(*target_of())[0] == 0


def test_a_catalog_beside_the_state_chooses_the_streams(
    container: Container, lev: SandboxServer
) -> None:
    container.select("pipelines")
    assert container.run(*target_of())[0] == 0
    # A state belongs to an account, so /me comes first.
    assert {e.path.rsplit("/", 1)[-1] for e in lev.sandbox.requests} == {"me", "pipelines"}


def test_two_do_not_share_a_state(container: Container, lev: SandboxServer) -> None:
    container.select("contacts")
    lev.sandbox.fault("hang", route="/contacts", at=1)
    with container.started(*target_of()) as popen:
        wait_for(container.directory / ".lock")
        while not lev.sandbox.requests:
            time.sleep(0.02)
        code, log = container.run(*target_of())
        assert code == 1
        assert log.count("\n") == 1
        assert log.startswith("Another sync is at work")
        popen.send_signal(signal.SIGTERM)
        popen.communicate(timeout=SECONDS)


def test_a_state_that_cannot_be_written_ends_it_in_one_sentence(container: Container) -> None:
    (container.directory / "state.new").mkdir()
    code, log = container.run(*target_of())
    assert code == 1
    assert f"The state cannot be kept in {container.directory}: Is a directory." in log
    assert not container.state_file.exists()


@pytest.mark.parametrize(
    ("target", "code", "sentence"),
    [
        ([], 2, "Name the target and its arguments, such as: target-postgres --config ENV\n"),
        (["target-none"], 2, "There is no program target-none here. Name the target"),
        (["true"], 1, "The state cannot be kept in /nowhere: No such file or directory.\n"),
    ],
)
def test_what_cannot_run_is_told_in_one_sentence(
    container: Container, target: list[str], code: int, sentence: str
) -> None:
    container.environment["STATE_DIRECTORY"] = "/nowhere"
    found, log = container.run(*target)
    assert found == code
    assert log.startswith(sentence)
    assert log.count("\n") == 1


def test_the_tap_alone_can_be_run_too(container: Container) -> None:
    with container.started("tap-lev", "--version") as popen:
        assert popen.communicate(timeout=SECONDS)[0].startswith("tap-lev v")
    assert popen.returncode == 0


# -- The image


def test_the_image_takes_nothing_that_is_not_locked() -> None:
    lines = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    (base,) = [line for line in lines if line.startswith("FROM python:")]
    assert re.fullmatch(r"FROM python:[\d.]+-slim-\w+@sha256:[0-9a-f]{64} AS python", base)
    installs = re.findall(r"pip --python \S+ (?:install|wheel) ([^&\n]*)", "\n".join(lines))
    assert len(installs) == 6
    assert all("--no-deps" in install for install in installs)
    assert all(re.search(r"-r requirements/|dist/\*\.whl| \.\s", install) for install in installs)
    lists = {f"target-{name.partition('-')[2]}.txt" for name in SETTINGS}
    for name in {"build.txt", "tap.txt"} | lists:
        locked = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        assert locked.count("==") <= locked.count("--hash=")


def test_the_image_gets_what_it_copies_and_nothing_else() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    lines = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.*) \S+$", text, re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    kept = {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    assert "*" in ignored.splitlines()
    assert kept == {re.sub(r"^requirements/.*", "requirements/*.txt", c) for c in copied} - {
        "tap_lev"
    } | {"tap_lev/**"}
    assert "USER lev" in text


def engine() -> bool:
    """Whether there is a Docker that builds."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not engine(), reason="no Docker engine to build an image with")
def test_the_image_is_built_and_knows_the_tap() -> None:
    build = [
        "docker",
        "build",
        "--quiet",
        "--build-arg",
        "TARGET=jsonl",
        "--file",
        str(DOCKERFILE),
        str(ROOT),
    ]
    image = subprocess.run(build, check=True, capture_output=True, text=True).stdout.strip()
    about = ["docker", "run", "--rm", image, "tap-lev", "--about"]
    told = subprocess.run(about, check=True, capture_output=True, text=True).stdout
    assert "tap-lev" in told
