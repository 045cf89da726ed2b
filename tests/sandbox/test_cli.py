"""The command line, as a process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "lev_sandbox"]


@contextmanager
def _running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONDEVMODE": "1"},
    )  # fmt: skip
    assert process.stdout
    try:
        lines = [process.stdout.readline().rstrip("\n") for _ in range(2)]
        yield process, dict(line.split("=", 1) for line in lines)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_when_told(number: signal.Signals) -> None:
    with _running("--contacts", "3", "--tier", "free") as (process, said):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/external/v2", said["TAP_LEV_API_URL"])
        assert said["TAP_LEV_API_KEY"].startswith("lev_sk_sandbox_")
        headers = {"Authorization": f"Bearer {said['TAP_LEV_API_KEY']}", "X-Origin-App": "lab"}
        url = said["TAP_LEV_API_URL"]
        body = requests.get(f"{url}/contacts", headers=headers, timeout=5).json()
        assert body["pagination"]["total"] == 3
        me = requests.get(f"{url}/me", headers=headers, timeout=5).json()
        assert me["data"]["platform"]["api_tier"] == "free"
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (0, "", "")


def test_the_key_can_be_chosen() -> None:
    with _running("--key", "lev_sk_mine", "--host", "localhost") as (_, said):
        assert said["TAP_LEV_API_KEY"] == "lev_sk_mine"
        assert said["TAP_LEV_API_URL"].startswith("http://localhost:")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "serves loopback addresses only, not '0.0.0.0'."),  # noqa: S104
        (["--host", "example.com"], "serves loopback addresses only, not 'example.com'."),
        (["--window", "0"], "The limits' window cannot be 0.0."),
        (["--deals", "-3"], "The number of deals cannot be -3."),
        (["--port", "70000"], "port 70000 cannot be used"),
    ],
)
def test_bad_usage_is_one_sentence(arguments: list[str], sentence: str) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, check=False, timeout=30
        )
    assert done.returncode == 2
    assert done.stderr == f"lev-sandbox: port {port} is in use.\n"
