"""What a user hands over beside the settings: every fault of it is one sentence."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lev_sandbox import Sandbox, SandboxServer
from tap_lev.config import input_files
from tap_lev.errors import ConfigError
from tap_lev.state.walk import NO_WALK, digest_of
from tap_lev.tap import STREAMS_BY_NAME
from tests.support.expected_rows import QUERIES
from tests.support.process import EAGER_STATES, UNLIMITED, Run, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "lev_sk_test_0123456789"
NOWHERE = {"api_url": "http://127.0.0.1:1", "api_key": KEY, "max_retries": 0, **UNLIMITED}
BOOKMARK = {"replication_key": "updated_at", "replication_key_value": "2026-11-01T08:00:00Z"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted(STREAMS_BY_NAME)) | st.text()


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    sandbox = Sandbox(key=KEY, deals=3, placements=4, contacts=45, companies=5)
    with SandboxServer(sandbox) as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> SandboxServer:
    """A Lev as if just started."""
    running.sandbox.reset()
    return running


@pytest.fixture
def config(server: SandboxServer) -> dict[str, Any]:
    return {"api_url": server.url, "api_key": KEY, "max_retries": 0, "page_size": 10, **UNLIMITED}


@pytest.fixture(scope="module")
def discovered() -> dict[str, Any]:
    """The catalog that the tap makes itself."""
    catalog: dict[str, Any] = json.loads("".join(run_tap(args=["--discover"]).lines))
    return catalog


def told(run: Run) -> str:
    """Make sure that a run ended with one sentence before anything was written; return it."""
    assert run.exit_code == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert KEY not in run.stderr
    assert run.lines == []
    (sentence,) = run.log("ERROR")
    return sentence


# -- The catalog


def test_the_tap_s_own_catalog_reads_what_is_on_by_default(
    server: SandboxServer, config: dict[str, Any], discovered: dict[str, Any]
) -> None:
    run = run_tap(config, catalog=discovered)
    assert run.exit_code == 0
    default = {name for name, stream in STREAMS_BY_NAME.items() if stream.selected_by_default}
    assert {m["stream"] for m in run.of("SCHEMA")} == default
    assert len(run.records("contacts")) == server.sandbox.count("contacts")


def test_a_catalog_that_selects_every_stream_reads_them_all(
    server: SandboxServer, config: dict[str, Any], discovered: dict[str, Any]
) -> None:
    catalog = copy.deepcopy(discovered)
    for name in STREAMS_BY_NAME:
        catalog = with_entry(catalog, name, selected=True)
    run = run_tap(config | QUERIES, catalog=catalog)
    assert run.exit_code == 0
    assert {m["stream"] for m in run.of("SCHEMA")} == set(STREAMS_BY_NAME)
    assert {m["stream"] for m in run.of("RECORD")} == set(STREAMS_BY_NAME)
    assert len(run.records("term_sheets")) == server.sandbox.count("term_sheets")


def test_only_what_a_catalog_selects_is_read(
    config: dict[str, Any], discovered: dict[str, Any]
) -> None:
    catalog = copy.deepcopy(discovered)
    for entry in catalog["streams"]:
        for metadata in entry["metadata"]:
            if metadata["breadcrumb"] == []:
                metadata["metadata"]["selected"] = entry["tap_stream_id"] == "companies"
    run = run_tap(config, catalog=catalog)
    assert run.exit_code == 0
    assert {m.get("stream") for m in run.of("SCHEMA")} == {"companies"}
    assert len(run.records("companies")) == 5


@pytest.mark.parametrize("said", [[], ["email", "id"]], ids=["nothing", "some columns"])
def test_a_catalog_that_says_nothing_of_a_stream_itself_reads_it(
    server: SandboxServer, config: dict[str, Any], discovered: dict[str, Any], said: list[str]
) -> None:
    (entry,) = (e for e in discovered["streams"] if e["tap_stream_id"] == "contacts")
    metadata = [{"breadcrumb": ["properties", name], "metadata": {}} for name in said]
    run = run_tap(config, catalog={"streams": [{**entry, "metadata": metadata}]})
    assert run.exit_code == 0
    columns = entry["schema"]["properties"].keys()
    assert [row.keys() for row in run.records("contacts")] == [columns] * server.sandbox.count(
        "contacts"
    )


def with_entry(catalog: dict[str, Any], name: str, **changes: object) -> dict[str, Any]:
    """Change a catalog's entry of one stream; names in its metadata have a hyphen, or select."""
    changed = copy.deepcopy(catalog)
    (entry,) = (e for e in changed["streams"] if e["tap_stream_id"] == name)
    (root,) = (m["metadata"] for m in entry["metadata"] if m["breadcrumb"] == [])
    for key, value in changes.items():
        (root if "-" in key or key == "selected" else entry)[key] = value
    return changed


@pytest.mark.parametrize(
    ("name", "changes", "asked", "possible"),
    [
        (
            "contacts",
            {"replication_method": "LOG_BASED"},
            "replication method 'LOG_BASED'",
            "'FULL_TABLE' or 'INCREMENTAL'",
        ),
        (
            "pipelines",
            {"replication_method": "INCREMENTAL"},
            "replication method 'INCREMENTAL'",
            "'FULL_TABLE'",
        ),
        ("deals", {"replication_key": "id"}, "replication key 'id'", "'updated_at'"),
        ("pipelines", {"replication_key": "id"}, "replication key 'id'", "none"),
        ("contacts", {"key_properties": ["email"]}, "key ['email']", "['id']"),
        ("contacts", {"key_properties": 5}, "key 5", "['id']"),
        ("contacts", {"forced-replication-method": "X"}, "replication method 'X'", "'FULL_TABLE'"),
        ("contacts", {"replication-key": "id"}, "replication key 'id'", "'updated_at'"),
        ("contacts", {"table-key-properties": ["email"]}, "key ['email']", "['id']"),
        ("contacts", {"stream": "people"}, "name 'people'", "'contacts'"),
        ("contacts", {"stream_alias": "people"}, "name 'people'", "'contacts'"),
        ("deal_properties", {"key_properties": ["id"]}, "key ['id']", "['deal_id', 'id']"),
        (
            "deal_pipelines",
            {"replication_key": "updated_at"},
            "replication key 'updated_at'",
            "none",
        ),
        (
            "term_sheets",
            {"replication_method": "INCREMENTAL"},
            "replication method 'INCREMENTAL'",
            "'FULL_TABLE'",
        ),
    ],
)
def test_what_a_catalog_cannot_choose_is_a_sentence(
    discovered: dict[str, Any], name: str, changes: dict[str, Any], asked: str, possible: str
) -> None:
    catalog = with_entry(discovered, name, **changes)
    with pytest.raises(ConfigError) as caught:
        input_files.check_catalog(catalog, STREAMS_BY_NAME)
    assert str(caught.value).startswith(
        f"The catalog asks for the {asked} of {name}, which can be read by {possible}"
    )


def test_a_replication_that_there_is_not_ends_the_run(discovered: dict[str, Any]) -> None:
    catalog = with_entry(discovered, "contacts", replication_method="LOG_BASED")
    assert told(run_tap(NOWHERE, catalog=catalog)) == (
        "The catalog asks for the replication method 'LOG_BASED' of contacts, which can be read "
        "by 'FULL_TABLE' or 'INCREMENTAL' only."
    )


FORMER = {"documents": ["id"], "index_facts": ["deal_id", "query", "id"]}


def former_catalog(discovered: dict[str, Any], *selected: str) -> dict[str, Any]:
    """The catalog as an earlier release wrote it, with some streams selected."""
    catalog = copy.deepcopy(discovered)
    for name in STREAMS_BY_NAME:
        catalog = with_entry(catalog, name, selected=name in selected)
    for name, key in FORMER.items():
        keys = {"key_properties": key, "table-key-properties": key}
        catalog = with_entry(catalog, name, **keys)
        (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == name)
        entry["schema"]["properties"].pop("query_hash", None)
        entry["metadata"] = [m for m in entry["metadata"] if "query_hash" not in m["breadcrumb"]]
    return catalog


@pytest.mark.parametrize("name", FORMER)
@pytest.mark.parametrize("args", [[], ["--check"]], ids=["sync", "check"])
def test_a_catalog_with_a_key_that_has_changed_leads_to_the_docs(
    discovered: dict[str, Any], name: str, args: list[str]
) -> None:
    catalog = former_catalog(discovered, "contacts", name)
    now = ", ".join(STREAMS_BY_NAME[name].primary_keys)
    assert told(run_tap(NOWHERE | QUERIES, catalog=catalog, args=args)) == (
        f"The catalog selects {name} with the key of an earlier release, "
        f"{', '.join(FORMER[name])}. The key is {now} now: change the table first (see 'Keys that "
        "changed' in docs/schema-changes.md), then make the catalog again with tap-lev --discover."
    )
    page = (Path(__file__).parents[2] / "docs" / "schema-changes.md").read_text(encoding="utf-8")
    assert "\n## Keys that changed\n" in page


def test_a_key_that_has_changed_is_no_matter_where_the_stream_is_not_selected(
    config: dict[str, Any], discovered: dict[str, Any]
) -> None:
    run = run_tap(config, catalog=former_catalog(discovered, "companies", "deal_notes"))
    assert run.exit_code == 0, run.stderr
    assert {m["stream"] for m in run.of("SCHEMA")} == {"companies", "deal_notes"}


def test_a_catalog_without_the_key_s_column_is_a_sentence(discovered: dict[str, Any]) -> None:
    catalog = copy.deepcopy(discovered)
    for entry in catalog["streams"]:
        entry["schema"]["properties"].pop("user_id", None)
    with pytest.raises(ConfigError) as caught:
        input_files.check_catalog(catalog, STREAMS_BY_NAME)
    assert str(caught.value) == (
        "The catalog's schema of account_team_members lacks the key: user_id."
    )


def test_what_a_catalog_leaves_out_is_as_the_tap_has_it(config: dict[str, Any]) -> None:
    schema = {"properties": {"id": {"type": "integer"}, "email": {"type": "string"}}}
    catalog = {"streams": [{"tap_stream_id": "contacts", "schema": schema}]}
    run = run_tap(config, catalog=catalog)
    assert run.exit_code == 0
    (message,) = run.of("SCHEMA")
    assert message["key_properties"] == ["id"]
    assert message["bookmark_properties"] == ["updated_at"]
    assert run.records("contacts")[0].keys() == {"id", "email"}
    assert run.state is not None
    assert run.state["bookmarks"]["contacts"]["replication_key"] == "updated_at"


def test_an_incremental_stream_can_be_read_as_a_full_table(
    server: SandboxServer, config: dict[str, Any], discovered: dict[str, Any]
) -> None:
    catalog = with_entry(discovered, "contacts", replication_method="FULL_TABLE")
    state = {"bookmarks": {"contacts": {**BOOKMARK, "replication_key_value": "2999-01-01"}}}
    run = run_tap(config, catalog=catalog, state=state)
    assert run.exit_code == 0
    assert len(run.records("contacts")) == server.sandbox.count("contacts")


@pytest.mark.parametrize("place", ["beside", "schema"])
def test_an_old_catalog_selects_beside_the_streams(
    config: dict[str, Any], discovered: dict[str, Any], place: str
) -> None:
    catalog = copy.deepcopy(discovered)
    for entry in catalog["streams"]:
        del entry["metadata"]
        selected = {"contacts": True, "pipelines": None}.get(entry["tap_stream_id"], False)
        if selected is not None:
            (entry if place == "beside" else entry["schema"])["selected"] = selected
        if entry["tap_stream_id"] == "contacts":
            for name in ("email", "id"):
                entry["schema"]["properties"][name]["selected"] = False
    run = run_tap(config, catalog=catalog)
    assert run.exit_code == 0, run.stderr
    (message,) = run.of("SCHEMA")
    assert message["stream"] == "contacts"
    columns = message["schema"]["properties"].keys()
    assert {"id", "first_name"} <= columns
    assert "email" not in columns
    assert all(row.keys() == columns for row in run.records("contacts"))


@pytest.mark.parametrize("beside", [True, False])
def test_a_catalog_that_contradicts_itself_is_a_sentence(
    discovered: dict[str, Any], *, beside: bool
) -> None:
    catalog = with_entry(discovered, "contacts", selected=not beside)
    (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == "contacts")
    entry["selected"] = beside
    assert told(run_tap(NOWHERE, catalog=catalog)) == (
        f'The catalog says "selected": {json.dumps(not beside)} in the metadata of contacts, but '
        f"{json.dumps(beside)} beside it: leave the one in the metadata."
    )


@pytest.mark.parametrize("selected", ["false", 0, [], "yes"])
@pytest.mark.parametrize("place", ["beside", "metadata", "schema", "column"])
def test_a_selection_that_is_neither_true_nor_false_is_a_sentence(
    discovered: dict[str, Any], selected: object, place: str
) -> None:
    catalog = copy.deepcopy(discovered)
    (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == "contacts")
    column = entry["schema"]["properties"]["email"]
    if place == "metadata":
        catalog = with_entry(catalog, "contacts", selected=selected)
    else:
        entry["metadata"] = []
        {"beside": entry, "schema": entry["schema"], "column": column}[place]["selected"] = selected
    what = "contacts.email" if place == "column" else "contacts"
    assert told(run_tap(NOWHERE, catalog=catalog)) == (
        f'The catalog\'s "selected" of {what} must be true or false, not {selected!r}.'
    )


def test_an_unknown_stream_is_a_sentence_that_lists_the_known(discovered: dict[str, Any]) -> None:
    catalog = copy.deepcopy(discovered)
    catalog["streams"][0]["tap_stream_id"] = "invoices"
    assert told(run_tap(NOWHERE, catalog=catalog)) == (
        "The catalog names streams that tap-lev does not have: invoices. It has: "
        f"{', '.join(sorted(STREAMS_BY_NAME))}."
    )


@pytest.mark.parametrize(
    "catalog",
    [
        pytest.param({}, id="empty object"),
        pytest.param([], id="empty list"),
        pytest.param([{"tap_stream_id": "contacts"}], id="list"),
        pytest.param("streams", id="text"),
        pytest.param(5, id="number"),
        pytest.param({"streams": None}, id="no streams"),
        pytest.param({"streams": {"contacts": {}}}, id="streams an object"),
        pytest.param({"streams": ["contacts"]}, id="names only"),
        pytest.param({"streams": [{"stream": "contacts"}]}, id="no tap_stream_id"),
        pytest.param({"streams": [{"tap_stream_id": ["contacts"]}]}, id="tap_stream_id a list"),
        pytest.param(
            {"streams": [{"tap_stream_id": "contacts", "schema": []}]}, id="schema a list"
        ),
        pytest.param(
            {"streams": [{"tap_stream_id": "contacts", "schema": {}, "metadata": {"a": 1}}]},
            id="metadata an object",
        ),
    ],
)
def test_what_is_no_catalog_is_a_sentence(catalog: object) -> None:
    sentence = told(run_tap(NOWHERE, catalog=catalog))
    assert sentence.startswith("The catalog is not a Singer catalog (")
    assert sentence.endswith("): make one with tap-lev --discover.")


@pytest.mark.parametrize("option", ["catalog", "state"])
@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (b"{", "is not JSON: Expecting property name"),
        (b"\xff", "is not JSON: 'utf-8' codec can't decode"),
        (b"[" * 1_000_000, "is nested too deeply."),
    ],
    ids=["no JSON", "no UTF-8", "bottomless"],
)
def test_a_file_that_is_no_json_is_a_sentence(option: str, file: bytes, fault: str) -> None:
    sentence = told(run_tap(NOWHERE, **{option: file}))
    assert sentence.startswith(f"The {option} file '")
    assert f"' {fault}" in sentence


@pytest.mark.parametrize("option", ["catalog", "state"])
def test_a_file_that_is_not_there_is_named(option: str) -> None:
    run = run_tap(NOWHERE, **{option: Path("missing.json")})
    assert run.exit_code == 2
    assert run.lines == []
    assert f"Invalid value for '--{option}': 'missing.json': No such file" in run.stderr


# -- The state


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        pytest.param([BOOKMARK], "The state is not a Singer state with bookmarks.", id="list"),
        pytest.param("state", "The state is not a Singer state with bookmarks.", id="text"),
        pytest.param(
            {"type": "STATE", "value": {"bookmarks": {}}},
            "The state is not a Singer state with bookmarks.",
            id="a whole message",
        ),
        pytest.param(
            {"bookmarks": []}, "The state is not a Singer state with bookmarks.", id="bookmarks"
        ),
        pytest.param(
            {"bookmarks": {"invoices": BOOKMARK, "users": BOOKMARK}},
            "The state is of another tap: it has bookmarks of invoices, users and of no stream of "
            "tap-lev.",
            id="other streams",
        ),
        pytest.param(
            {"bookmarks": {"contacts": {**BOOKMARK, "replication_key": "lastmodifieddate"}}},
            "The state is of another tap: its bookmark of contacts is by 'lastmodifieddate', not "
            "by updated_at.",
            id="another replication key",
        ),
        pytest.param(
            {"bookmarks": {"pipelines": BOOKMARK}},
            "The state is of another tap: its bookmark of pipelines is by 'updated_at', not by "
            "any column.",
            id="a replication key where there is none",
        ),
        pytest.param(
            {"bookmarks": {"contacts": "2026-11-01"}},
            "The state's bookmark of contacts is not an object.",
            id="bookmark a text",
        ),
        pytest.param(
            {"bookmarks": {"contacts": BOOKMARK, "deals": None}},
            "The state's bookmark of deals is not an object.",
            id="bookmark null",
        ),
        pytest.param(
            {"bookmarks": {"contacts": {**BOOKMARK, "replication_key_value": "yesterday"}}},
            "The state's bookmark of contacts is not a date-time: 'yesterday'.",
            id="bookmark no date",
        ),
        pytest.param(
            {"bookmarks": {"contacts": {**BOOKMARK, "replication_key_value": 1761984000}}},
            "The state's bookmark of contacts is not a date-time: 1761984000.",
            id="bookmark a number",
        ),
    ],
)
def test_a_state_that_is_not_this_tap_s_is_a_sentence(state: object, sentence: str) -> None:
    advice = "Give the state that tap-lev wrote last, or none to read everything."
    assert told(run_tap(NOWHERE, state=state)) == f"{sentence} {advice}"


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(b"", id="empty file"),
        pytest.param({}, id="empty object"),
        pytest.param({"bookmarks": {}}, id="no bookmarks"),
        pytest.param({"bookmarks": {"contacts": {}}}, id="an empty bookmark"),
        pytest.param(
            {"bookmarks": {"contacts": {"replication_key_value": None, "walk": None}}}, id="nulls"
        ),
    ],
)
def test_an_empty_state_reads_everything(
    server: SandboxServer, config: dict[str, Any], state: object
) -> None:
    run = run_tap(config, state=state)
    assert run.exit_code == 0
    assert run.log("WARNING") == []
    assert len(run.records("contacts")) == server.sandbox.count("contacts")


def test_a_stream_that_is_gone_from_the_tap_does_not_spoil_the_state(
    config: dict[str, Any],
) -> None:
    state = {"bookmarks": {"contacts": BOOKMARK, "a_former_stream": BOOKMARK}}
    run = run_tap(config, state=state)
    assert run.exit_code == 0
    assert run.state is not None
    assert run.state["bookmarks"]["a_former_stream"] == BOOKMARK


# -- Rubbish in a walk

RUBBISH = [
    {"deals": "walk", "contacts": 5, "placements": [], "companies": {"a": 1}, "pipelines": True},
    {"deals": "", "contacts": 0, "placements": [[]], "companies": {"cursor": 5}, "pipelines": 0.5},
]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=["first", "second"])
def test_rubbish_in_a_walk_is_a_warning_and_a_new_walk(
    server: SandboxServer, config: dict[str, Any], rubbish: dict[str, Any]
) -> None:
    state = {"bookmarks": {name: {"walk": walk} for name, walk in rubbish.items()}}
    run = run_tap(config, state=state)
    assert run.exit_code == 0, run.stderr
    assert "Traceback" not in run.stderr
    warnings = run.log("WARNING")
    for name in rubbish:
        (warning,) = (text for text in warnings if text.startswith(f"Reading {name} again"))
        assert "from the beginning: the state's walk cannot be used: it is " in warning or (
            "from the beginning: the state's walk cannot be used: an older release" in warning
        )
        assert len(run.records(name)) == server.sandbox.count(name)
    assert len(warnings) == len(rubbish)
    assert run.state is not None
    assert all(entry["walk"] == NO_WALK for entry in run.state["bookmarks"].values())


EDITS: list[Any] = [
    pytest.param({"cursor": "rubbish"}, "Lev refuses the cursor: ", id="cursor"),
    pytest.param(
        {"request": "rubbish"}, "other columns or settings are selected now.", id="request"
    ),
    pytest.param({"started_at": "rubbish"}, "the state's walk cannot be used: ", id="start"),
    pytest.param({"since": "rubbish"}, "the state's walk cannot be used: ", id="since"),
    pytest.param({"version": "rubbish"}, "the state's walk cannot be used: ", id="version"),
    pytest.param({"parent": "rubbish"}, "the state's walk cannot be used: ", id="parent"),
]
"""Changes of a walk, and why it restarts if its digest fits nevertheless."""


def cut_walk(server: SandboxServer, config: dict[str, Any], **changes: object) -> dict[str, Any]:
    """End a run behind two pages of contacts, and edit the walk in its state."""
    server.sandbox.fault("status", status=403, route="/contacts", at=3, times=None)
    interrupted = run_tap(config, program=EAGER_STATES)
    server.sandbox.clear_faults()
    assert interrupted.state is not None
    state = copy.deepcopy(interrupted.state)
    assert len(interrupted.records("contacts")) == 20
    assert state["bookmarks"]["contacts"]["walk"]["seen"] == 20
    state["bookmarks"]["contacts"]["walk"].update(changes)
    return state


@pytest.mark.parametrize(("changes", "reason"), EDITS)
def test_a_walk_that_was_edited_is_a_warning_and_a_new_walk(
    server: SandboxServer, config: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    state = cut_walk(server, config, **changes)
    edited = run_tap(config, state=state)
    (warning,) = edited.log("WARNING")
    assert warning == (
        "Reading contacts again from the beginning: the state's walk cannot be used: its digest "
        "does not match: it is edited, or mixed from two walks."
    )
    walk = state["bookmarks"]["contacts"]["walk"]
    walk["digest"] = digest_of(walk)
    forged = run_tap(config, state=state)
    (warning,) = forged.log("WARNING")
    assert warning.startswith(f"Reading contacts again from the beginning: {reason}")
    for run in (edited, forged):
        assert run.exit_code == 0, run.stderr
        assert len(run.records("contacts")) == server.sandbox.count("contacts")


def test_a_walk_that_was_not_edited_is_resumed(
    server: SandboxServer, config: dict[str, Any]
) -> None:
    run = run_tap(config, state=cut_walk(server, config))
    assert run.exit_code == 0
    assert run.log("WARNING") == []
    assert len(run.records("contacts")) == server.sandbox.count("contacts") - 20


@pytest.mark.parametrize("failed", [5, [5], [[5, "2026-11-01"]], [[None, "2026-11-01", 1]]])
def test_failed_rows_that_cannot_be_read_are_a_sentence(
    server: SandboxServer, config: dict[str, Any], failed: object
) -> None:
    state = {"bookmarks": {"contacts": {**BOOKMARK, "failed": failed}}}
    assert told(run_tap(config, state=state)).startswith(
        "The state's list of failed rows of contacts is not a list of [id, since, count]: "
    )
    assert [entry.path for entry in server.sandbox.requests] == ["/me"]


# -- Whatever comes


@given(JSON | st.fixed_dictionaries({"bookmarks": st.dictionaries(NAMES, JSON, max_size=3)}))
def test_no_state_whatever_crashes_the_check(state: object) -> None:
    try:
        input_files.check_state(state, STREAMS_BY_NAME)
    except ConfigError as error:
        assert str(error).startswith("The state")  # noqa: PT017 - it need not be raised


ENTRY = st.fixed_dictionaries(
    {"tap_stream_id": NAMES},
    optional={
        "schema": JSON | st.just({"type": "object", "properties": {"id": {"type": "integer"}}}),
        "metadata": JSON,
        "replication_method": JSON,
        "replication_key": JSON,
        "key_properties": JSON,
        "stream": JSON,
    },
)


@given(JSON | st.fixed_dictionaries({"streams": st.lists(ENTRY | JSON, max_size=3)}))
def test_no_catalog_whatever_crashes_the_check(catalog: object) -> None:
    try:
        input_files.check_catalog(catalog, STREAMS_BY_NAME)
    except ConfigError as error:
        assert str(error).startswith("The catalog")  # noqa: PT017 - it need not be raised
