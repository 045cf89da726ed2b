"""``--check``: what the key may read and what Lev does with it, told before a run meets it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tap_lev.streams import STREAMS
from tests.support.expected_rows import ALL, QUERIES
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import Run, in_docs, run_tap, start_tap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev

LISTS = ("deals", "placements", "contacts", "companies")
DEFAULT = [stream.name for stream in STREAMS if stream.selected_by_default]


def check(lev: SandboxServer, *streams: str, exit_code: int = 0, **settings: Any) -> Any:  # noqa: ANN401
    """Check some streams; return the report."""
    config = config_of(lev, **{"max_retries": 0, **settings})
    catalog = catalog_of(*streams) if streams else None
    run = run_tap(config, catalog=catalog, args=["--check", "--format=json"])
    assert run.exit_code == exit_code, run.stderr
    assert "Traceback" not in run.stderr
    assert lev.key not in run.stderr + "".join(run.lines)
    return json.loads("".join(run.lines))


def found(report: Mapping[str, Any], stream: str) -> dict[str, Any]:
    """What the report says of a stream."""
    (finding,) = (each for each in report["streams"] if each["stream"] == stream)
    return dict(finding)


def results(report: Mapping[str, Any]) -> dict[str, str]:
    return {each["stream"]: each["result"] for each in report["streams"]}


def text(lev: SandboxServer, *streams: str, exit_code: int = 0, **settings: Any) -> list[str]:  # noqa: ANN401
    """Check some streams; return the lines of the report for people."""
    config = config_of(lev, **{"max_retries": 0, **settings})
    run = run_tap(config, catalog=catalog_of(*streams), args=["--check"])
    assert run.exit_code == exit_code, run.stderr
    return [line.rstrip("\n") for line in run.lines]


# -- A key that may read everything


def test_whose_key_it_is_and_what_it_may(start_lev: StartLev) -> None:
    lev = start_lev(tier="standard", window=0.5)
    config = {"api_url": lev.url, "api_key": lev.key, "rate_limit_window_seconds": 0.5}
    run = run_tap(config, catalog=catalog_of("pipelines"), args=["--check", "--format=json"])
    report = json.loads("".join(run.lines))
    assert report["account"] == {
        "id": 56, "name": "Sandbox Brokerage", "slug": "sandbox-brokerage",
    }  # fmt: skip
    assert report["tier"] == "standard"
    assert "deals:read" in report["scopes"]
    assert report["limits"] == {
        "window_seconds": 0.5, "account": 100, "endpoint": 20, "used_of_account": 90,
        "used_of_endpoint": 18,
    }  # fmt: skip


def test_all_is_well_and_costs_a_request_or_two_a_stream(lev: SandboxServer) -> None:
    report = check(lev, *ALL, **QUERIES)
    assert results(report) == dict.fromkeys(ALL, "ok")
    assert all(not each["refused"] and not each["unknown_fields"] for each in report["streams"])
    filters = {each["stream"]: each["updated_at_filter"] for each in report["streams"]}
    assert {name for name, said in filters.items() if said == "honoured"} == {*LISTS, "lenders"}
    assert {said for name, said in filters.items() if name not in {*LISTS, "lenders"}} == {None}
    assert len(lev.sandbox.requests) <= 2 * len(ALL)
    assert lev.sandbox.counters()["violations"] == 0


def test_the_streams_that_are_on_by_default_come_in_the_order_of_the_readme(
    lev: SandboxServer,
) -> None:
    report = check(lev)
    assert [each["stream"] for each in report["streams"]] == DEFAULT
    # /me, a page of each of 8 lists, and two requests for each filter: one has to return rows.
    assert len(lev.sandbox.requests) == 1 + 8 + 2 * 4


def test_a_state_changes_nothing(lev: SandboxServer) -> None:
    entry = {"replication_key": "updated_at", "replication_key_value": "2026-01-01T00:00:00Z"}
    state = {"bookmarks": {"contacts": entry}}
    catalog = catalog_of("contacts")
    run = run_tap(config_of(lev), state=state, catalog=catalog, args=["--check", "--format=json"])
    assert json.loads("".join(run.lines))["streams"][0]["updated_at_filter"] == "honoured"


# -- What the key may not read, and what fails


def test_a_scope_that_is_missing_is_named_and_the_others_are_checked(lev: SandboxServer) -> None:
    lev.sandbox.switch(missing_scopes=["documents:read"])
    streams = ("deals", "documents", "vaults", "deal_notes")
    report = check(lev, *streams, exit_code=1)
    assert results(report) == {
        "deals": "ok", "documents": "forbidden", "vaults": "forbidden", "deal_notes": "ok",
    }  # fmt: skip
    (note,) = found(report, "vaults")["notes"]
    assert "Missing required scope: documents:read" in note
    ids = [entry.request_id for entry in lev.sandbox.requests if entry.status == 403]
    assert {found(report, name)["request_id"] for name in ("documents", "vaults")} == set(ids)
    assert found(report, "deals")["request_id"] is None


def test_what_may_be_skipped_is_told_and_ends_with_0(lev: SandboxServer) -> None:
    lev.sandbox.switch(missing_scopes=["contacts:read"])
    report = check(lev, "contacts", "contact_notes", "deals", forbidden_streams="skip")
    assert results(report) == {
        "deals": "ok", "contacts": "forbidden", "contact_notes": "forbidden",
    }  # fmt: skip


def test_a_stream_that_fails_is_failing(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", route="/placements", status=500, times=None)
    lev.sandbox.fault("not_json", route="/pipelines", times=None)
    report = check(lev, "deals", "placements", "pipelines", exit_code=1)
    assert results(report) == {"deals": "ok", "placements": "failing", "pipelines": "failing"}
    assert "500 internal_error" in found(report, "placements")["notes"][0]
    assert "not the JSON of Lev's API" in found(report, "pipelines")["notes"][0]


def test_a_failing_sentence_says_what_is_not_complete(lev: SandboxServer) -> None:
    lev.sandbox.switch(missing_scopes=["contacts:read"])
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"), args=["--check"])
    assert run.log("ERROR") == ["A sync would not be complete: contacts. The report says why."]


def test_a_key_that_is_refused_is_3(lev: SandboxServer) -> None:
    config = config_of(lev, api_key="lev_sk_wrong")
    for command in ("--check", "--plan"):
        run = run_tap(config, args=[command])
        assert run.exit_code == 3
        assert run.lines == []
        assert "lev_sk_wrong" not in run.stderr


def test_a_lev_that_cannot_be_reached_is_one_sentence(lev: SandboxServer) -> None:
    config = config_of(lev, api_url="http://127.0.0.1:1", max_retries=0)
    for command in ("--check", "--plan"):
        run = run_tap(config, args=[command])
        assert run.exit_code == 1
        assert run.lines == []
        (sentence,) = run.log("ERROR")
        assert "The connection to Lev failed" in sentence


def test_a_me_that_fails_is_told_and_hinders_nothing(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", route="/me", status=503, times=None)
    report = check(lev, "contacts")
    assert report["tier"] is report["scopes"] is None
    assert "503" in report["note"]
    assert results(report) == {"contacts": "ok"}


# -- The filter


@pytest.mark.parametrize(
    ("switch", "said"),
    [("honoured", "honoured"), ("ignored", "ignored"), ("400", "refused"), ("422", "refused")],
)
def test_what_lev_does_with_the_filter(lev: SandboxServer, switch: str, said: str) -> None:
    lev.sandbox.switch(updated_at_filter={"contacts": switch})
    report = check(lev, "contacts", "deals")
    assert found(report, "contacts")["updated_at_filter"] == said
    assert found(report, "deals")["updated_at_filter"] == "honoured"
    assert found(report, "contacts")["refused"] == []


def test_a_filter_that_is_insisted_on_and_refused_is_a_failure(lev: SandboxServer) -> None:
    lev.sandbox.switch(updated_at_filter={"contacts": "422"})
    report = check(lev, "contacts", exit_code=1, updated_at_filter="server")
    assert found(report, "contacts")["result"] == "failing"


def test_a_filter_that_is_not_sent_or_cannot_be_told(start_lev: StartLev) -> None:
    lev = start_lev(contacts=0)
    assert found(check(lev, "contacts"), "contacts")["updated_at_filter"] == "not proven"
    report = check(lev, "deals", updated_at_filter="client")
    assert found(report, "deals")["updated_at_filter"] == "not sent"
    assert not [q for entry in lev.sandbox.requests for q in entry.query if "filter" in q[0]]


def test_rows_without_a_date_or_of_the_future_prove_nothing(start_lev: StartLev) -> None:
    lev = start_lev(contacts=20, null_updated_every=2, future_updated_every=3)
    assert found(check(lev, "contacts"), "contacts")["updated_at_filter"] == "honoured"
    lev.sandbox.switch(updated_at_filter="ignored")
    assert found(check(lev, "contacts"), "contacts")["updated_at_filter"] == "ignored"


def test_a_date_after_which_there_is_none_is_no_fault(lev: SandboxServer) -> None:
    rows = [{"id": 1, "updated_at": "9999-12-31T23:59:59Z"}]
    lev.sandbox.fault("wrong_shape", route="/contacts", data=rows, times=None)
    assert found(check(lev, "contacts"), "contacts")["updated_at_filter"] == "not proven"


# -- What Lev does not accept, and what it has added


def test_parameters_that_are_refused_are_named(lev: SandboxServer) -> None:
    lev.sandbox.switch(refuse_include={"properties": 422}, refuse_fields=400)
    config = config_of(lev)
    catalog = catalog_of("deals", "deal_properties", "deal_team_members", deals={"title"})
    run = run_tap(config, catalog=catalog, args=["--check", "--format=json"])
    report = json.loads("".join(run.lines))
    assert run.exit_code == 0, run.stderr
    assert found(report, "deals")["refused"] == ["fields", "include=properties"]
    assert found(report, "deal_properties")["refused"] == ["include=properties"]
    assert found(report, "deal_team_members")["refused"] == []
    # It is read for each deal then.
    assert found(report, "deal_properties")["result"] == "ok"
    assert "/deals/{deal_id}/properties" in {entry.route for entry in lev.sandbox.requests}


def test_a_block_that_comes_in_no_other_way_fails(lev: SandboxServer) -> None:
    lev.sandbox.switch(refuse_include={"pipelines": 422})
    report = check(lev, "deals", "deal_pipelines", exit_code=1)
    assert results(report) == {"deals": "ok", "deal_pipelines": "failing"}


def test_fields_that_are_new_are_named(lev: SandboxServer) -> None:
    lev.sandbox.switch(
        extra_fields={"contacts": ["mood"], "deal_team": {"desk": 4}, "deal_notes": ["tone"]}
    )
    report = check(lev, *LISTS, "deal_team_members", "deal_notes", "vaults")
    news = {e["stream"]: e["unknown_fields"] for e in report["streams"] if e["unknown_fields"]}
    assert news == {"contacts": ["mood"], "deal_team_members": ["desk"], "deal_notes": ["tone"]}


# -- Children


def test_without_a_parent_a_child_is_not_tried(start_lev: StartLev) -> None:
    lev = start_lev(deals=0)
    report = check(lev, "deals", "deal_notes", "checklist_task_notes", "deal_team_members")
    assert found(report, "deal_notes")["result"] == "not tried"
    assert found(report, "deal_notes")["notes"] == [
        "Not tried: there is no row of deals to ask for."
    ]
    assert found(report, "checklist_task_notes")["result"] == "not tried"
    assert found(report, "deal_team_members")["result"] == "ok"


def test_a_child_without_its_list_is_checked_too(lev: SandboxServer) -> None:
    report = check(lev, "checklist_task_notes", "company_notes")
    assert results(report) == {"checklist_task_notes": "ok", "company_notes": "ok"}
    # One more for each list, one for /me, and a second deal where the first has no tasks.
    assert len(lev.sandbox.requests) <= 2 * 2 + 4


def test_a_child_that_has_nothing_to_ask_for_says_so(lev: SandboxServer) -> None:
    report = check(lev, "index_facts")
    assert results(report) == {"index_facts": "not tried"}
    assert "setting" in found(report, "index_facts")["notes"][0]


def test_a_key_that_has_changed_is_told(start_lev: StartLev) -> None:
    report = check(start_lev(deals=2), "contacts", "documents", "index_facts", **QUERIES)
    assert found(report, "contacts")["notes"] == []
    for name, key, former in (
        ("documents", "deal_id, id", "id"),
        ("index_facts", "deal_id, query_hash, id", "deal_id, query, id"),
    ):
        (note,) = found(report, name)["notes"]
        assert note == (
            f"Its key is {key} now, and was {former}: a table of an earlier release has to be "
            "changed, see 'Keys that changed' in docs/schema-changes.md."
        )


def test_one_query_of_many_is_enough(lev: SandboxServer) -> None:
    check(lev, "index_facts", "index_observations", **QUERIES)
    asked = [entry.route for entry in lev.sandbox.requests if entry.method == "POST"]
    assert len(asked) == len(set(asked)) == 2


def test_a_parent_that_is_gone_is_passed_over(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", route="/deals/{deal_id}/notes", status=404, at=1, times=1)
    assert results(check(lev, "deal_notes")) == {"deal_notes": "ok"}
    lev.sandbox.switch(missing_financials="404")
    assert results(check(lev, "deal_financials")) == {"deal_financials": "ok"}


# -- The report


def test_the_table_is_aligned_and_nothing_is_cut(lev: SandboxServer) -> None:
    lev.sandbox.switch(missing_scopes=["checklists:read"], extra_fields={"deals": ["mood"]})
    lines = text(lev, "deals", "checklist_task_notes", exit_code=1)
    head = lines.index("stream                 result      updated_at filter   refused   "
                       "unknown fields")  # fmt: skip
    assert lines[head + 1 : head + 3] == [
        "deals                  ok          honoured                      mood",
        "checklist_task_notes   forbidden",
    ]
    assert lines[0] == "account  id 56, name Sandbox Brokerage, slug sandbox-brokerage"
    assert any(line.startswith("checklist_task_notes: Lev answered GET") for line in lines)
    assert "\x1b" not in "".join(lines)


def test_the_readme_shows_what_is_written(start_lev: StartLev) -> None:
    lev = start_lev(tier="standard")
    lev.sandbox.switch(
        missing_scopes=["documents:read"],
        updated_at_filter={"contacts": "ignored"},
        extra_fields={"deals": ["risk_score"]},
        refuse_include={"team": 422},
    )
    streams = ("deals", "contacts", "deal_team_members", "documents", "deal_notes")
    run = run_tap(
        {"api_url": lev.url, "api_key": lev.key}, catalog=catalog_of(*streams), args=["--check"]
    )
    ids = r"(request_id )[-0-9a-f]+"
    written = re.sub(ids, r"\1", "".join(run.lines))
    assert written == re.sub(ids, r"\1", in_docs("check"))


def on_a_terminal(config: dict[str, Any], env: Mapping[str, str], *args: str) -> tuple[str, Run]:
    """Run a tap whose stdout is a terminal; return what it shows."""
    reader, writer = pty.openpty()
    with start_tap(config, args=args, stdout=writer, env={"TERM": "xterm", **env}) as tap:
        os.close(writer)
        shown = b""
        try:
            while data := os.read(reader, 4096):
                shown += data
        except OSError:
            pass  # so Linux tells the end of a terminal
        run = tap.finish()
    os.close(reader)
    return shown.decode(), run


def test_on_a_narrow_terminal_lines_are_broken_and_nothing_is_left_out(
    lev: SandboxServer,
) -> None:
    lev.sandbox.switch(extra_fields={"deal_team": ["abcdefghij", "klmnopqrst", "uvwxyzabcd"]})
    shown, _ = on_a_terminal(config_of(lev), {"COLUMNS": "70", "NO_COLOR": "1"}, "--check")
    lines = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 70
    assert {line.split()[0] for line in lines if line.strip()} >= set(DEFAULT)
    assert "…" not in shown
    assert "abcdefghij" in shown
    assert "uvwxyzabcd" in shown


@pytest.mark.parametrize("command", ["--check", "--plan"])
def test_colour_is_for_terminals_only(lev: SandboxServer, command: str) -> None:
    config = config_of(lev)
    shown, run = on_a_terminal(config, {"COLUMNS": "200"}, command)
    assert run.exit_code == 0, run.stderr
    assert "\x1b[1m" in shown
    assert ("\x1b[32mok" in shown) == (command == "--check")
    plain, _ = on_a_terminal(config, {"COLUMNS": "200", "NO_COLOR": "1"}, command)
    assert "\x1b[3" not in plain
    assert lev.key not in shown + plain + run.stderr
    assert all(stream in plain for stream in DEFAULT)


def test_what_others_wrote_cannot_draw_on_the_terminal(lev: SandboxServer) -> None:
    evil = "\x1b[2J[red]mood[/red]"
    lev.sandbox.switch(extra_fields={"deals": [evil]})
    lines = "\n".join(text(lev, "deals"))
    assert "\x1b" not in lines
    assert r"\x1b[2J[red]mood[/red]" in lines


@pytest.mark.parametrize("command", ["--check", "--plan"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_key_that_lev_repeats_is_not_told(lev: SandboxServer, command: str, form: str) -> None:
    lev.sandbox.fault("status", route="/contacts", status=500, message=lev.key, times=None)
    lev.sandbox.switch(extra_fields={"deals": [lev.key]})
    account = {"account": {"id": 1, "name": lev.key, "slug": [lev.key]}}
    lev.sandbox.fault("wrong_shape", route="/me", data=account, times=None)
    args = [command, f"--format={form}"]
    run = run_tap(config_of(lev, max_retries=0), args=args, env={"TAP_LEV_LOGLEVEL": "DEBUG"})
    assert run.exit_code == 1
    assert "[api_key]" in "".join(run.lines)
    assert lev.key not in "".join(run.lines) + run.stderr


def test_a_key_is_not_told_in_pieces(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", route="/deals", status=500, message=lev.key, times=None)
    env = {"COLUMNS": "50", "NO_COLOR": "1"}
    shown, _ = on_a_terminal(config_of(lev, max_retries=0), env, "--check")
    assert lev.key not in re.sub(r"\s", "", shown)
    assert "[api_key]" in shown


def test_letters_that_the_output_does_not_have_are_written_all_the_same(
    lev: SandboxServer,
) -> None:
    lev.sandbox.switch(extra_fields={"deals": ["größe"]})
    config, catalog = config_of(lev), catalog_of("deals")
    run = run_tap(config, catalog=catalog, args=["--check"], env={"PYTHONIOENCODING": "ascii"})
    assert run.exit_code == 0
    assert r"gr\xf6\xdfe" in "".join(run.lines)


# -- The command line


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--check", "--plan"], "--check and --plan cannot be asked for at once"),
        (["--check", "--about"], "--about and --check cannot be asked for at once"),
        (["--plan", "--discover"], "--discover and --plan cannot be asked for at once"),
        (["--test", "--check"], "--test and --check cannot be asked for at once"),
        (["--plan", "--refresh", "deals=1"], "--plan and --refresh cannot be asked for at once"),
        (
            ["--plan", "--format", "markdown"],
            "--plan is written as text or json, not as 'markdown'",
        ),
    ],
)
def test_what_does_not_go_together_is_2(lev: SandboxServer, args: list[str], sentence: str) -> None:
    run = run_tap(config_of(lev), args=args)
    assert run.exit_code == 2
    assert run.lines == []
    (said,) = run.log("ERROR")
    assert sentence in said
    assert not lev.sandbox.requests


@pytest.mark.parametrize("command", ["--check", "--plan"])
def test_settings_that_cannot_be_used_are_2(command: str) -> None:
    run = run_tap({"api_key": "lev_sk_x", "page_size": 900}, args=[command])
    assert run.exit_code == 2
    assert run.lines == []


@pytest.mark.parametrize("command", ["--check", "--plan"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(lev: SandboxServer, command: str, signum: signal.Signals) -> None:
    lev.sandbox.fault("hang", route="/contacts")
    with start_tap(config_of(lev), args=[command]) as tap:
        while "/contacts" not in {entry.route for entry in lev.sandbox.requests}:
            assert tap.popen.poll() is None
        tap.popen.send_signal(signum)
        run = tap.finish()
    assert run.exit_code == 128 + signum
    assert run.lines == []
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("command", ["--check", "--plan"])
def test_a_full_disk_is_told(lev: SandboxServer, command: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    run = run_tap(config_of(lev), args=[command], stdout=full)
    os.close(full)
    assert run.exit_code == 1
    assert run.log("ERROR") == ["The output could not be written: No space left on device."]


def test_a_run_loads_nothing_of_it(lev: SandboxServer) -> None:
    config, catalog = config_of(lev), catalog_of("contacts")
    run = run_tap(config, catalog=catalog, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert "tap_lev.records.writer" in run.stderr
    assert "rich.table" not in run.stderr
    assert "tap_lev.commands.render" not in run.stderr
