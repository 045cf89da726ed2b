"""The command as its users meet it: a process, its exit code and what it says."""

from __future__ import annotations

import contextlib
import fcntl
import http.server
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox import Sandbox, SandboxServer
from tap_lev.streams import STREAMS
from tap_lev.streams.child import ChildStream
from tests.support.expected_rows import ALL, QUERIES
from tests.support.inprocess import catalog_of
from tests.support.process import UNLIMITED, Run, TapProcess, run_tap, start_tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_lev.streams.base import LevStream

KEY = "lev_sk_test_0123456789"
NOWHERE = "http://127.0.0.1:1"
DEBUG = {"TAP_LEV_LOGLEVEL": "DEBUG"}
DEFAULT = {
    "account_team_members",
    "asset_types",
    "base_rates",
    "companies",
    "contacts",
    "deal_pipelines",
    "deal_properties",
    "deal_team_members",
    "deals",
    "pipelines",
    "placements",
}


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    sandbox = Sandbox(key=KEY, deals=3, placements=4, contacts=450, companies=5)
    with SandboxServer(sandbox) as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> SandboxServer:
    """A Lev as if just started."""
    running.sandbox.reset()
    return running


@pytest.fixture
def config(server: SandboxServer) -> dict[str, Any]:
    """All that a tap needs."""
    return {"api_url": server.url, "api_key": KEY, "max_retries": 0, **UNLIMITED}


def assert_clean(run: Run) -> None:
    """Make sure that nothing came out which must not: no traceback, no key, no other output."""
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr
    assert KEY not in run.stderr
    assert KEY not in "".join(run.lines)
    assert {message["type"] for message in run.messages} <= {"SCHEMA", "RECORD", "STATE"}


def refused(run: Run, exit_code: int = 2) -> str:
    """Make sure that a run ended with one sentence; return it."""
    assert_clean(run)
    assert run.exit_code == exit_code, run.stderr
    (sentence,) = run.log("ERROR")
    return sentence


# -- A run that goes well


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_a_good_run_writes_messages_to_stdout_and_a_summary_to_stderr(
    server: SandboxServer, config: dict[str, Any], level: str
) -> None:
    run = run_tap(config, env={"TAP_LEV_LOGLEVEL": level})
    assert_clean(run)
    assert run.exit_code == 0
    assert {message["stream"] for message in run.of("SCHEMA")} == DEFAULT
    assert len(run.of("SCHEMA")) == len(DEFAULT), "once for each stream"
    assert len(run.records("contacts")) == 450
    assert run.messages[-1]["type"] == "STATE"
    rows, requests = len(run.of("RECORD")), len(server.sandbox.requests)
    summary, seconds = run.log("INFO")[-1].rsplit(", ", 1)
    assert summary == (
        f"Sync complete: 11 streams, {rows} rows, {requests} requests, 0 retries, 0 times 429, "
        "0.0 s waited, 0% of the budget used"
    )
    assert re.fullmatch(r"[\d.]+ s in all\.", seconds)
    assert run.log("ERROR") == run.log("WARNING") == []


def test_a_stream_that_fails_leaves_the_others_complete_and_ends_with_1(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    server.sandbox.switch(missing_scopes=["contacts:read"])
    run = run_tap(config)
    assert_clean(run)
    assert run.exit_code == 1
    (request_id,) = (e.request_id for e in server.sandbox.requests if e.status == 403)
    failure, summary, advice = run.log("ERROR")
    assert failure == (
        "The stream contacts is not complete: Lev answered GET /contacts with 403 forbidden: "
        f"Missing required scope: contacts:read (request_id {request_id}). Give the key "
        "that scope, deselect the stream, or set forbidden_streams to skip."
    )
    assert summary.startswith(
        f"Sync failed: 1 of 11 streams are not complete: contacts (request_id {request_id}); "
    )
    assert advice == "Run it again, from the last state: it goes on where each stream stopped."
    assert run.state is not None
    assert set(run.state["bookmarks"]) >= DEFAULT - {"contacts"}
    assert len(run.records("placements")) == 4


# -- The settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param({"api_key": None}, "The setting api_key is missing: create", id="no key"),
        pytest.param({"api_key": ""}, "The setting api_key is missing: create", id="empty key"),
        pytest.param({"api_key": 5}, "The setting api_key is missing: create", id="key a number"),
        pytest.param({"api_key": f"{KEY}\n"}, "The setting api_key holds a", id="key with newline"),
        pytest.param({"api_key": f"{KEY} 1"}, "The setting api_key holds a", id="key with space"),
        pytest.param({"api_key": f"{KEY}é"}, "The setting api_key holds a", id="key not ASCII"),
        pytest.param({"page_size": 0}, "The setting page_size is wrong: 0 ", id="page_size 0"),
        pytest.param({"page_size": 201}, "The setting page_size is wrong", id="page_size 201"),
        pytest.param({"page_size": "abc"}, "The setting page_size is wrong", id="page_size text"),
        pytest.param({"page_size": KEY}, "The setting page_size is wrong", id="key in its place"),
        pytest.param({"api_url": [KEY]}, "The setting api_url is wrong", id="key in a list"),
        pytest.param({"origin_app": f"{KEY} x"}, "The setting origin_app must", id="origin_app"),
        pytest.param({"start_date": "never"}, "The setting start_date must", id="start_date"),
        pytest.param(
            {"api_url": "http://api.lev.com"},
            "The setting api_url must be https: over http the key could be read on its way to "
            "api.lev.com.",
            id="http",
        ),
        pytest.param(
            {"api_url": f"https://{KEY}@api.lev.com"},
            "The setting api_url must not hold a user or a password",
            id="url with user",
        ),
        pytest.param(
            {"api_url": f"https://api.lev.com?key={KEY}"},
            "The setting api_url must end with the path, without ? or #.",
            id="url with query",
        ),
        pytest.param({"api_url": "api.lev.com"}, "The setting api_url must be a URL", id="no url"),
        pytest.param(
            {"stream_maps": {"contacts": {"email": f"'{KEY}' +"}}},
            "The setting stream_maps cannot be used: Failed to parse expression",
            id="stream_maps",
        ),
        pytest.param(
            {"stream_maps": {"contacts": {"email": 5}}},
            "The setting stream_maps.contacts is wrong",
            id="stream_maps type",
        ),
        pytest.param(
            {"stream_maps": {"contacts": {}, "__else__": "__NULL_STREAM__"}},
            "The setting stream_maps.__else__ must be null or '__NULL__'",
            id="stream_maps else",
        ),
        pytest.param(
            {"stream_maps": {"contact": {"email": None}}},
            "The setting stream_maps names 'contact', which is no stream: is it 'contacts'?",
            id="stream_maps of no stream",
        ),
        pytest.param(
            {"stream_maps": {"contacts": {"__filter__": ")"}}},
            "The setting stream_maps cannot be used: Failed to parse expression",
            id="stream_maps filter",
        ),
        pytest.param(
            {"flattening_enabled": True, "flattening_max_depth": 0},
            "The setting flattening_enabled needs flattening_max_depth too",
            id="flattening of no level",
        ),
        pytest.param(
            {"flattening_enabled": True},
            "The setting flattening_enabled needs flattening_max_depth too",
            id="flattening without depth",
        ),
        pytest.param(
            {"flattening_enabled": True, "flattening_max_depth": -1},
            "The setting flattening_enabled needs flattening_max_depth too",
            id="flattening to no depth",
        ),
    ],
)
def test_a_wrong_setting_is_a_sentence_and_no_request(
    server: SandboxServer, config: dict[str, Any], settings: dict[str, Any], sentence: str
) -> None:
    assert refused(run_tap(config | settings, env=DEBUG)).startswith(sentence)
    assert server.sandbox.requests == []


@pytest.mark.parametrize("name", ["TAP_LEV_LOGLEVEL", "LOGLEVEL"])
def test_a_level_of_the_log_that_there_is_not_is_a_sentence(
    server: SandboxServer, config: dict[str, Any], name: str
) -> None:
    run = run_tap(config, env={name: "bogus"})
    assert refused(run) == (
        f"The environment variable {name} must be a level such as INFO or DEBUG, not 'bogus'."
    )
    assert len(run.stderr.splitlines()) == 1
    assert server.sandbox.requests == []


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", "", "version: 1\nhandlers: {a: {class: no.Such}}", b"\xff", None],
    ids=["no YAML", "list", "empty", "no such class", "no UTF-8", "directory"],
)
def test_a_log_config_that_cannot_be_used_is_a_sentence(
    server: SandboxServer, config: dict[str, Any], tmp_path: Path, text: str | bytes | None
) -> None:
    file = tmp_path
    if text is not None:
        file /= "log.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    sentence = refused(run_tap(config, env={"SINGER_SDK_LOG_CONFIG": str(file)}))
    assert sentence.startswith("The file that SINGER_SDK_LOG_CONFIG names cannot be used: ")
    assert server.sandbox.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fact_queries", r'["\ud800"]'),
        ("stream_maps", r'{"contacts": {"\ud800": "1"}}'),
    ],
)
def test_half_a_character_in_the_environment_is_a_sentence(
    server: SandboxServer, config: dict[str, Any], name: str, value: str
) -> None:
    given = {"TAP_LEV_API_URL": config["api_url"], "TAP_LEV_API_KEY": KEY}
    run = run_tap(None, env=given | {f"TAP_LEV_{name.upper()}": value})
    assert refused(run) == rf"The setting {name} holds half a character, such as \ud800."
    assert server.sandbox.requests == []


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        pytest.param(Path("missing.json"), "cannot be read: No such file or directory.", id="none"),
        pytest.param(Path("/"), "cannot be read: Is a directory.", id="directory"),
        pytest.param(b"", "is not JSON: Expecting value: line 1", id="empty"),
        pytest.param(b"{", "is not JSON: Expecting property name", id="no JSON"),
        pytest.param(b"\xff", "is not JSON: 'utf-8' codec can't decode", id="no UTF-8"),
        pytest.param(b"[" * 1_000_000, "is nested too deeply", id="bottomless"),
        pytest.param(b"[]", "does not hold a JSON object.", id="list"),
        pytest.param(b'"x"', "does not hold a JSON object.", id="text"),
        pytest.param(b"null", "does not hold a JSON object.", id="null"),
    ],
)
def test_a_config_file_that_is_none_is_a_sentence(file: Path | bytes, sentence: str) -> None:
    told = refused(run_tap(file))
    assert told.startswith("The config file '")
    assert f"' {sentence}" in told


def test_the_environment_goes_before_the_file(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    given = config | {"page_size": 5}
    env = {"TAP_LEV_PAGE_SIZE": "7"}
    assert run_tap(given, env=env, args=["--config=ENV"]).exit_code == 0
    asked = {dict(e.query)["limit"] for e in server.sandbox.requests if e.path == "/contacts"}
    assert asked == {"7"}


def test_an_unknown_setting_is_a_hint_only(config: dict[str, Any]) -> None:
    run = run_tap(config | {"pagesize": 5, "key": KEY})
    assert_clean(run)
    assert run.exit_code == 0
    assert run.log("WARNING")[-1] == "There is no setting 'pagesize': is it 'page_size'?"


def test_nulls_count_as_not_given(server: SandboxServer, config: dict[str, Any]) -> None:
    nothing = dict.fromkeys(["page_size", "start_date", "origin_app", "stream_maps"])
    run = run_tap(config | nothing)
    assert_clean(run)
    assert run.exit_code == 0
    assert ("limit", "200") in server.sandbox.requests[-1].query
    assert {entry.origin_app for entry in server.sandbox.requests} == {"tap-lev"}


def test_an_expression_that_fails_on_a_row_is_a_sentence(config: dict[str, Any]) -> None:
    run = run_tap(config | {"stream_maps": {"deals": {"title": "1 / 0"}}})
    assert_clean(run)
    assert run.exit_code == 1
    assert run.log("ERROR")[0] == (
        "The stream deals is not complete: An expression of the setting stream_maps fails on a "
        "row of deals: ZeroDivisionError('division by zero')"
    )
    assert len(run.records("contacts")) == 450


# -- The environment


def environment(config: dict[str, Any], **more: str) -> dict[str, str]:
    return {f"TAP_LEV_{name.upper()}": str(value) for name, value in config.items()} | more


def test_without_a_config_file_the_environment_counts(config: dict[str, Any]) -> None:
    run = run_tap(env=environment(config, TAP_LEV_EMIT_ACTIVATE_VERSION_MESSAGES="true"))
    assert run.exit_code == 0
    whole = DEFAULT - {"companies", "contacts", "deals", "placements"}
    assert sorted(m["stream"] for m in run.of("ACTIVATE_VERSION")) == sorted(whole)


def test_lists_and_objects_can_stand_in_the_environment(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    run = run_tap(
        env=environment(
            config,
            TAP_LEV_REFRESH='{"deals": [2], "contacts": [78, 9]}',
            TAP_LEV_PER_PARENT_SCOPE="changed",
        )
    )
    assert_clean(run)
    assert run.exit_code == 0
    assert [row["id"] for row in run.records("deals")] == [2]
    assert [row["id"] for row in run.records("contacts")] == [78, 9]
    assert run.of("STATE") == []
    paths = {entry.path for entry in server.sandbox.requests}
    assert paths == {"/me", "/deals/2", "/contacts/78", "/contacts/9"}


def test_a_dotenv_file_counts_as_environment(server: SandboxServer, config: dict[str, Any]) -> None:
    lines = [f"{name}={value}" for name, value in environment(config).items()]
    run = run_tap(dotenv="\n".join([*lines, "TAP_LEV_ORIGIN_APP=warehouse-sync"]))
    assert_clean(run)
    assert run.exit_code == 0
    assert {entry.origin_app for entry in server.sandbox.requests} == {"warehouse-sync"}


def test_the_environment_completes_a_config_file_when_asked_to(config: dict[str, Any]) -> None:
    key = {"TAP_LEV_API_KEY": config.pop("api_key")}
    assert "api_key is missing" in refused(run_tap(config, env=key))
    assert run_tap(config, env=key, args=["--config=ENV"]).exit_code == 0


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TAP_LEV_API_KEY": ""}, "The setting api_key is missing"),
        ({"TAP_LEV_API_KEY": KEY, "TAP_LEV_PAGE_SIZE": "0"}, "The setting page_size is wrong: 0 "),
        (
            {"TAP_LEV_API_KEY": KEY, "TAP_LEV_PAGE_SIZE": "abc"},
            "The environment variable TAP_LEV_PAGE_SIZE must be a whole number, not 'abc'.",
        ),
        (
            {"TAP_LEV_API_KEY": KEY, "TAP_LEV_STREAM_MAPS": "{"},
            "The environment variable TAP_LEV_STREAM_MAPS must be a JSON object such as",
        ),
    ],
    ids=["empty key", "page_size 0", "page_size text", "stream_maps"],
)
def test_a_wrong_variable_is_a_sentence(variables: dict[str, str], sentence: str) -> None:
    run = run_tap(env={"TAP_LEV_API_URL": NOWHERE} | variables | DEBUG)
    assert refused(run).startswith(sentence)


def test_all_that_is_wrong_is_told_at_once(server: SandboxServer, config: dict[str, Any]) -> None:
    run = run_tap(
        env=environment(
            config,
            TAP_LEV_PAGE_SIZE="0",
            TAP_LEV_FACT_QUERIES='["rent"',
            TAP_LEV_EMIT_ACTIVATE_VERSION_MESSAGES="enabled",
            TAP_LEV_START_DATE=f"{KEY} ago",
            TAP_LEV_STREAM_MAPS='{"contact": null}',
            TAP_LEV_PAGESIZE="5",
        )
    )
    sentence = refused(run)
    for fault in (
        "The setting page_size is wrong: 0 ",
        "TAP_LEV_FACT_QUERIES must be a JSON list such as",
        "TAP_LEV_EMIT_ACTIVATE_VERSION_MESSAGES must be true or false, not 'enabled'.",
        "The setting start_date must be a date such as 2026-01-31, or a date-time, not '[api_key]",
        "The setting stream_maps names 'contact', which is no stream: is it 'contacts'?",
    ):
        assert sentence.count(fault) == 1, fault
    (warning,) = run.log("WARNING")
    assert warning.endswith("variable 'TAP_LEV_PAGESIZE': is it TAP_LEV_PAGE_SIZE?")
    assert server.sandbox.requests == []


def test_a_key_in_quotes_is_the_key_and_stays_out_of_the_log(config: dict[str, Any]) -> None:
    """A JWT has no form by which it would be known in a log."""
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI1In0.sig-of-somebody"
    given = environment(config, TAP_LEV_API_KEY=f'"{token}"', TAP_LEV_ORIGIN_APP=f"{token} x")
    run = run_tap(env=given)
    assert run.exit_code == 2
    assert "[api_key] x" in run.stderr
    assert token not in run.stderr


@pytest.mark.parametrize("command", [[], ["--check"], ["--plan"]], ids=["sync", "check", "plan"])
def test_nothing_selected_is_a_sentence_and_no_request(
    server: SandboxServer, config: dict[str, Any], command: list[str]
) -> None:
    catalog = catalog_of("none")
    run = run_tap(config, catalog=catalog, args=command)
    assert refused(run).startswith(
        "No stream is selected. Select one: in Meltano by a line such as deals.* below select in "
        "meltano.yml"
    )
    assert run.lines == []
    assert server.sandbox.requests == []


@pytest.mark.parametrize(
    "name", ["TAP_LEV_START_DATE", "TAP_LEV_EMIT_ACTIVATE_VERSION_MESSAGES", "TAP_LEV_REFRESH"]
)
def test_a_variable_that_is_not_read_is_a_warning(config: dict[str, Any], name: str) -> None:
    value = '{"deals": [1]}' if name == "TAP_LEV_REFRESH" else "true"
    run = run_tap(config, env={name: value}, catalog=catalog_of("pipelines"))
    assert run.exit_code == 0
    assert run.log("WARNING") == [
        f"The environment variable {name} is not read: --config names a file: add --config=ENV."
    ]


def test_maps_that_are_not_read_end_the_run(server: SandboxServer, config: dict[str, Any]) -> None:
    maps = '{"contacts": {"email": "md5(email) if email else None"}}'
    sentence = refused(run_tap(config, env={"TAP_LEV_STREAM_MAPS": maps}))
    assert sentence == (
        "The environment variable TAP_LEV_STREAM_MAPS is not read: --config names a file: add "
        "--config=ENV. What it should hide would be written."
    )
    assert server.sandbox.requests == []
    assert run_tap(config, env={"TAP_LEV_STREAM_MAPS": maps}, args=["--config=ENV"]).exit_code == 0


# -- Stream maps


def test_a_map_of_a_stream_that_is_not_selected_is_no_fault(config: dict[str, Any]) -> None:
    maps = {
        "contacts": {"email": "md5(email) if email else None"},
        "documents": {"deal_id": "deal_id", "id": "id", "__else__": None},
    }
    given = config | {"stream_maps": maps, "flattening_enabled": True, "flattening_max_depth": 1}
    run = run_tap(given, catalog=catalog_of("pipelines"))
    assert run.exit_code == 0, run.stderr
    assert {message["stream"] for message in run.of("SCHEMA")} == {"pipelines"}
    run = run_tap(given, catalog=catalog_of("contacts"))
    assert run.exit_code == 0, run.stderr
    assert len(run.records("contacts")) == 450
    assert not any("@" in str(row["email"]) for row in run.records("contacts"))


def test_a_test_run_maps_also_what_is_not_selected(config: dict[str, Any]) -> None:
    maps = {"documents": {"file_name": None}}
    run = run_tap(config | QUERIES | {"stream_maps": maps}, args=["--test"])
    assert run.exit_code == 0, run.stderr
    (row,) = run.records("documents")
    assert {"id", "extension"} <= row.keys()
    assert "file_name" not in row


@pytest.mark.parametrize("nothing", [None, "__NULL__"])
def test_all_others_are_left_out(config: dict[str, Any], nothing: str | None) -> None:
    mapped = {"id": "id", "email": "md5(email) if email else None", "__else__": nothing}
    maps = {"contacts": mapped, "__else__": nothing}
    run = run_tap(config | {"stream_maps": maps})
    assert run.exit_code == 0, run.stderr
    assert {message["stream"] for message in run.of("RECORD")} == {"contacts"}
    assert all(row.keys() == {"id", "email"} for row in run.records("contacts"))


# -- The .env file

DOTENV_FAULTS = [
    pytest.param(
        "TAP_LEV_API_KEY=x\n".encode("utf-16"),
        "' is UTF-16, not UTF-8, as PowerShell's > writes it: save it as UTF-8 (PowerShell: "
        "Set-Content -Encoding utf8).",
        id="UTF-16",
    ),
    pytest.param(
        b"TAP_LEV_API_KEY=x\n# cl\xe9\n",
        "' is not UTF-8: line 2 holds the byte 0xe9. Save it as UTF-8.",
        id="Latin-1",
    ),
    pytest.param(
        None,
        "' cannot be read: Too many levels of symbolic links. Let the user who runs tap-lev read "
        "it, or run tap-lev in another directory.",
        id="unreadable",
    ),
]


def in_directory(
    directory: Path, *args: str, env: dict[str, str], gone: bool = False, output: str = ""
) -> Run:
    """Run a tap from a shell, in a directory that may be gone by then, or without an output."""
    command = shlex.join([sys.executable, "-m", "tap_lev", *args])
    script = f"cd {shlex.quote(str(directory))}; {f'rmdir {directory};' if gone else ''} "
    done = subprocess.run(
        ["/bin/sh", "-c", f"{script} exec {command} {output}"],
        env={"PATH": os.environ["PATH"], "HOME": "/", "LC_ALL": "C.UTF-8", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout.splitlines(keepends=True), done.stderr)


def write_dotenv(directory: Path, content: bytes | None) -> None:
    if content is None:
        (directory / ".env").symlink_to(".env")
    else:
        (directory / ".env").write_bytes(content)


@pytest.mark.parametrize(("content", "fault"), DOTENV_FAULTS)
def test_a_dotenv_file_that_cannot_be_read_is_a_sentence(
    server: SandboxServer,
    config: dict[str, Any],
    tmp_path: Path,
    content: bytes | None,
    fault: str,
) -> None:
    write_dotenv(tmp_path, content)
    run = in_directory(tmp_path, env=environment(config))
    assert refused(run) == f"The file '{tmp_path}/.env{fault}"
    assert server.sandbox.requests == []


@pytest.mark.parametrize(("content", "fault"), DOTENV_FAULTS)
@pytest.mark.parametrize("command", ["--discover", "--about", "--help", "--version"])
def test_what_needs_no_settings_works_without_a_dotenv_file(
    tmp_path: Path, content: bytes | None, fault: str, command: str
) -> None:
    write_dotenv(tmp_path, content)
    run = in_directory(tmp_path, command, env={})
    assert run.exit_code == 0
    assert run.lines
    assert "Traceback" not in run.stderr
    told = [f"The file '{tmp_path}/.env{fault}"] if command in {"--discover", "--about"} else []
    assert run.log("WARNING") == told


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_dotenv_file_of_another_user_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("")
    (tmp_path / ".env").chmod(0)
    sentence = refused(in_directory(tmp_path, env={}))
    assert sentence.startswith(f"The file '{tmp_path}/.env' cannot be read: Permission denied.")


def test_a_dotenv_file_may_have_a_byte_order_mark(config: dict[str, Any], tmp_path: Path) -> None:
    lines = "\n".join(f"{name}='{value}'" for name, value in environment(config).items())
    write_dotenv(tmp_path, b"\xef\xbb\xbf" + lines.encode())
    assert in_directory(tmp_path, env={}).exit_code == 0


def test_a_directory_may_be_called_as_a_dotenv_file(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    run = in_directory(tmp_path, env=environment(config))
    assert run.exit_code == 0
    assert run.log("WARNING") == []


def test_a_working_directory_that_is_gone_has_no_dotenv_file(
    config: dict[str, Any], tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    run = in_directory(place, env=environment(config), gone=True)
    assert run.exit_code == 0, run.stderr
    assert len(run.records("contacts")) == 450
    place.mkdir()
    assert "api_key is missing" in refused(in_directory(place, env={}, gone=True))


def test_only_the_dotenv_file_of_the_working_directory_is_read(
    config: dict[str, Any], tmp_path: Path
) -> None:
    """Neither that of a directory above it, nor one where the tap is installed."""
    installed = tmp_path / "installed"
    installed.mkdir()
    for package in ("tap_lev", "singer_sdk", "dotenv"):
        place = Path(__import__(package).__file__ or "").parent
        (installed / package).symlink_to(place, target_is_directory=True)
    below = tmp_path / "project" / "below"
    below.mkdir(parents=True)
    for place in (installed, tmp_path / "project"):
        (place / ".env").write_text("TAP_LEV_START_DATE=2090-01-01\nTAP_LEV_PAGE_SIZE=0\n")
    (below / ".env").write_text("TAP_LEV_ORIGIN_APP=warehouse-sync\n")
    env = environment(config, PYTHONPATH=str(installed))
    run = in_directory(below, env=env)
    assert run.exit_code == 0, run.stderr
    assert len(run.records("contacts")) == 450


def test_a_setting_that_is_empty_in_the_environment_comes_from_the_dotenv_file(
    config: dict[str, Any],
) -> None:
    empty = dict.fromkeys(environment(config), "")
    lines = [f"{name}={value}" for name, value in environment(config).items()]
    assert run_tap(env=empty, dotenv="\n".join(lines)).exit_code == 0


# -- Files, and the output


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_may_have_a_byte_order_mark(config: dict[str, Any], encoding: str) -> None:
    given = {
        "config": config,
        "state": {"bookmarks": {"contacts": {}, "a_former_stream": {"a": 1}}},
        "catalog": catalog_of("contacts"),
    }
    files = {name: json.dumps(value).encode(encoding) for name, value in given.items()}
    run = run_tap(files.pop("config"), **files)
    assert run.exit_code == 0, run.stderr
    assert {message["stream"] for message in run.of("SCHEMA")} == {"contacts"}
    assert run.state is not None
    assert run.state["bookmarks"]["a_former_stream"] == {"a": 1}


@pytest.mark.parametrize("args", [[], ["--discover"], ["--about"], ["--check"], ["--help"]])
def test_an_output_that_is_closed_is_a_sentence(
    config: dict[str, Any], tmp_path: Path, args: list[str]
) -> None:
    run = in_directory(tmp_path, *args, env=environment(config), output=">&-")
    assert refused(run, exit_code=1) == (
        "The output could not be written: stdout is closed. Pipe it to a target or a file."
    )


# -- The key


def test_a_refused_key_ends_the_run_and_says_how_to_get_another(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    server.sandbox.switch(latency=0.3)
    run = run_tap(config | {"api_key": "lev_sk_another"}, env=DEBUG)
    sentence = refused(run, exit_code=3)
    assert "401 unauthorized: Authentication required (request_id " in sentence
    assert "create one in Lev (the read_only preset is enough)" in sentence
    assert "lev_sk_another" not in run.stderr
    assert len(server.sandbox.requests) == 1
    assert " 0 rows, 1 requests," in run.stderr  # those that waited for their turn do not count
    assert run.state is None


@pytest.mark.parametrize(
    ("status", "form"), [(400, "C"), (401, "A"), (403, "A"), (403, "B"), (429, "C"), (500, "A")]
)
def test_a_key_that_lev_repeats_stays_out_of_the_log(
    server: SandboxServer, config: dict[str, Any], status: int, form: str
) -> None:
    server.sandbox.fault(
        "status", status=status, form=form, message=f"{KEY} may not", times=None, route="/contacts"
    )
    run = run_tap(config, env=DEBUG)
    assert_clean(run)
    assert run.exit_code == 1
    assert ": [api_key] may not (request_id" in run.stderr


def test_a_redirect_to_another_host_is_a_sentence_and_the_key_stays(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    came = []

    class Other(http.server.BaseHTTPRequestHandler):
        def handle(self) -> None:
            came.append(self.rfile.readline())

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{other.server_port}/{KEY}"
        server.sandbox.fault("redirect", location=url, times=None)
        run = run_tap(config, env=DEBUG)
        other.shutdown()
    assert_clean(run)
    assert run.exit_code == 1
    assert came == []
    there = re.escape(url.replace(KEY, "[api_key]"))
    assert re.fullmatch(
        rf"Something between here and Lev seems to redirect GET [/\w-]+ to '{there}' \(307\)\. The "
        r"key is not sent to another address: if Lev's API has moved there, set api_url to it\.",
        run.log("ERROR")[-1],
    )


def test_nobody_there_is_one_sentence(config: dict[str, Any]) -> None:
    sentence = refused(run_tap(config | {"api_url": NOWHERE}, env=DEBUG), exit_code=1)
    assert sentence.startswith("The connection to Lev failed during GET /")


# -- Commands that need no key


@pytest.mark.parametrize("settings", [None, {}, {"page_size": 0}], ids=["none", "empty", "wrong"])
def test_discovery_needs_no_key_and_no_lev(settings: dict[str, Any] | None) -> None:
    run = run_tap(settings, args=["--discover"])
    assert run.exit_code == 0
    catalog = json.loads("".join(run.lines))
    names = [entry["tap_stream_id"] for entry in catalog["streams"]]
    assert sorted(names) == sorted(ALL)
    selected = {
        entry["tap_stream_id"]
        for entry in catalog["streams"]
        for metadata in entry["metadata"]
        if not metadata["breadcrumb"] and metadata["metadata"]["selected-by-default"]
    }
    assert selected == DEFAULT
    assert all(entry["schema"]["description"].endswith(".") for entry in catalog["streams"])
    assert run.log("ERROR") == run.log("WARNING") == []


def test_version_needs_no_key() -> None:
    run = run_tap(args=["--version"])
    assert run.exit_code == 0
    assert run.lines[0].startswith("tap-lev v")


def test_about_needs_no_key() -> None:
    text = run_tap(args=["--about"])
    markdown = run_tap(args=["--about", "--format=markdown"])
    about = json.loads("".join(run_tap(args=["--about", "--format=json"]).lines))
    assert (text.exit_code, markdown.exit_code) == (0, 0)
    settings = about["settings"]["properties"]
    assert settings["api_key"]["secret"]
    for name in settings:
        assert name in "".join(text.lines)
        assert name in "".join(markdown.lines)
    assert "batch" not in about["capabilities"]
    assert "batch_config" not in settings


def test_help_is_help_and_a_wrong_option_is_2() -> None:
    assert run_tap(args=["--help"]).exit_code == 0
    run = run_tap(args=["--no-such-option"])
    assert run.exit_code == 2
    assert "No such option '--no-such-option'" in run.stderr
    assert run.lines == []


# -- Trying it


def source(stream: type[LevStream]) -> type[LevStream]:
    """The list that a stream's rows, or the parents of its rows, come from."""
    return source(stream.parent) if issubclass(stream, ChildStream) else stream


def test_a_test_run_reads_a_row_of_each_stream(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    run = run_tap(config | QUERIES, args=["--test"])
    assert run.exit_code == 0
    assert_clean(run)
    assert Counter(message["stream"] for message in run.of("RECORD")) == dict.fromkeys(ALL, 1)
    asked = Counter(entry.route for entry in server.sandbox.requests)
    lists = Counter(source(stream).path for stream in STREAMS)
    assert {path: asked[path] for path in lists} == lists, "each stream reads one page of its list"


def test_a_test_run_says_nothing_is_complete(server: SandboxServer, config: dict[str, Any]) -> None:
    """It has not read all, even where it finds a row less than it may write."""
    server.sandbox.update("contacts", 2, updated_at="2090-01-01T00:00:00Z")
    late = {"start_date": "2089-01-01T00:00:00Z", "updated_at_filter": "client"}
    run = run_tap(config | QUERIES | late, args=["--test"])
    assert [row["id"] for row in run.records("contacts")] == [2]
    told = [message["value"]["bookmarks"].get("contacts", {}) for message in run.of("STATE")]
    assert not any(entry.keys() & {"replication_key_value", "completed_at"} for entry in told)


def test_a_test_of_the_schemas_makes_no_request(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    run = run_tap(config, args=["--test=schema"])
    assert run.exit_code == 0
    assert {message["stream"] for message in run.messages} == set(ALL)
    assert server.sandbox.requests == []


def test_a_test_run_tells_a_refused_key(config: dict[str, Any]) -> None:
    run = run_tap(config | {"api_key": "lev_sk_another"}, args=["--test"])
    assert run.exit_code == 3
    assert_clean(run)


# -- Signals


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def wait_for_request(server: SandboxServer, number: int, route: str = "/contacts") -> None:
    wait_for(lambda: [e.route for e in server.sandbox.requests].count(route) >= number)


@contextlib.contextmanager
def draining(tap: TapProcess) -> Iterator[list[str]]:
    """Read what a tap writes while the test does something else."""
    lines: list[str] = []
    assert tap.popen.stdout is not None
    reader = threading.Thread(target=lines.extend, args=(tap.popen.stdout,))
    reader.start()
    yield lines
    tap.popen.wait(10)
    reader.join()


def assert_ended_by(signum: int, run: Run) -> None:
    assert run.exit_code == 128 + signum
    assert_clean(run)
    assert all(line.endswith("\n") for line in run.lines)
    assert run.log("ERROR") == ["Ended by a signal; the state written last is consistent."]
    rows = len(run.of("RECORD"))
    assert re.search(rf"Sync broken off: \d+ streams, {rows} rows, ", run.stderr)


SIGNALS = pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])


@SIGNALS
def test_a_signal_ends_a_request_that_hangs(
    server: SandboxServer, config: dict[str, Any], signum: int
) -> None:
    server.sandbox.fault("hang", route="/contacts", at=2)
    with start_tap(config) as tap:
        with draining(tap) as lines:
            wait_for_request(server, 2)
            tap.popen.send_signal(signum)
        run = tap.finish(lines)
    assert_ended_by(signum, run)
    assert len(run.records("contacts")) == 200
    assert run.messages[-1]["type"] == "STATE"
    assert run.messages[-1]["value"]["bookmarks"]["contacts"]["walk"]["cursor"]


@SIGNALS
def test_a_signal_ends_a_wait(server: SandboxServer, config: dict[str, Any], signum: int) -> None:
    server.sandbox.fault(
        "status", status=429, headers={"Retry-After": "600"}, route="/contacts", at=3
    )
    with start_tap(config | {"max_retries": 1}) as tap:
        with draining(tap) as lines:
            wait_for(lambda: "All requests wait for 600.0 s (try 1 of 1)." in tap.stderr)
            tap.popen.send_signal(signum)
        run = tap.finish(lines)
    assert_ended_by(signum, run)
    assert len(run.records("contacts")) == 400
    assert run.messages[-1]["type"] == "STATE"


def test_a_signal_before_the_first_row_leaves_nothing_half_done(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    server.sandbox.fault("hang")
    with start_tap(config) as tap:
        with draining(tap) as lines:
            wait_for(lambda: server.sandbox.requests)
            tap.popen.send_signal(signal.SIGTERM)
        run = tap.finish(lines)
    assert_ended_by(signal.SIGTERM, run)
    assert run.of("RECORD") == []


@SIGNALS
@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_signal_while_the_target_is_slow_lets_the_page_be_written(
    server: SandboxServer, config: dict[str, Any], signum: int, parallel: int, env: dict[str, str]
) -> None:
    # Nobody reads: a page of 200 rows is more than a pipe holds, so the tap stands in a write.
    config |= {"max_parallel_streams": parallel}
    with start_tap(config, catalog=catalog_of("contacts"), env=env) as tap:
        wait_for_request(server, 1)
        wait_for(lambda: is_blocked(tap))
        tap.popen.send_signal(signum)
        run = tap.finish(timeout=10)
    assert_ended_by(signum, run)
    assert len(run.records("contacts")) == 200
    assert run.messages[-1]["type"] == "STATE"


def test_an_impatient_user_need_not_wait_for_a_target_that_reads_nothing(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    with start_tap(config, catalog=catalog_of("contacts")) as tap:
        wait_for_request(server, 1)
        wait_for(lambda: is_blocked(tap))

        def ends() -> bool:
            tap.popen.send_signal(signal.SIGTERM)
            return tap.popen.poll() is not None

        wait_for(ends)
        assert tap.popen.returncode == 128 + signal.SIGTERM
        assert "Traceback" not in tap.stderr


@SIGNALS
@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_second_signal_in_the_middle_of_a_write_leaves_only_whole_lines_and_a_broken_one(
    server: SandboxServer, config: dict[str, Any], signum: int, env: dict[str, str]
) -> None:
    config |= {"max_parallel_streams": 1}
    bookmark = {"replication_key": "updated_at", "replication_key_value": "2001-01-01T00:00:00Z"}
    state = {"bookmarks": {"contacts": bookmark}}
    with start_tap(config, state=state, catalog=catalog_of("contacts"), env=env) as tap:
        wait_for_request(server, 1)
        wait_for(lambda: is_blocked(tap))
        tap.popen.send_signal(signum)
        time.sleep(0.2)  # Two at once could be one.
        tap.popen.send_signal(signum)
        assert tap.popen.wait(5) == 128 + signum
        assert tap.popen.stdout is not None
        *lines, rest = tap.popen.stdout.read().split("\n")
        assert {json.loads(line)["type"] for line in lines} <= {"SCHEMA", "RECORD", "STATE"}
        assert '"STATE"' not in rest
        assert "Traceback" not in tap.stderr


def is_blocked(tap: TapProcess) -> bool:
    """Say whether a pipe is as good as full: what is left of 200 rows does not fit."""
    assert tap.popen.stdout is not None
    waiting = fcntl.ioctl(tap.popen.stdout, termios.FIONREAD, bytes(4))
    return int.from_bytes(waiting, sys.byteorder) > 60_000


# -- A target that is gone, a disk that is full


@pytest.mark.parametrize(
    "args", [[], ["--discover"], ["--about"]], ids=["sync", "catalog", "about"]
)
def test_a_target_that_is_gone_ends_the_run_without_a_word(
    config: dict[str, Any], args: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = run_tap(config, args=args, stdout=writer)
    os.close(writer)
    assert run.exit_code == 1
    assert_clean(run)
    assert run.log("ERROR") == []


@pytest.mark.parametrize(
    "args",
    [[], ["--discover"], ["--about"], ["--version"]],
    ids=["sync", "catalog", "about", "version"],
)
def test_a_full_disk_is_a_sentence(config: dict[str, Any], args: list[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    run = run_tap(config, args=args, stdout=full)
    os.close(full)
    assert refused(run, exit_code=1) == (
        "The output could not be written: No space left on device."
    )
