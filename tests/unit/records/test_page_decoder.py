"""Pages that go out as they come, and that nothing shows which way a row took."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lev_sandbox import Sandbox, SandboxServer
from tap_lev.records.page_decoder import RowDecoder
from tap_lev.streams import STREAMS
from tap_lev.streams.base import LevStream
from tests.support.expected_rows import QUERIES, landed, truth
from tests.support.inprocess import catalog_of, config_of, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import StartLev
    from tests.support.process import Message

DEALS = ("deals", "deal_properties", "deal_team_members", "deal_pipelines")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(
        [
            "2026-03-10T14:30:00Z",
            "2026-03-10T14:30:00.250+00:00",
            "2026-03-10T16:30:00+02:00",
            "2026-03-10T14:30:00",
            "2026-03-10",
            [],
            {},
            ["a"],
            [{"e164": "+16175550100", "signed_url": "https://example.com/?sig=1"}],
            {"pdf_url": "https://example.com/?sig=1", "id": 1},
        ]
    ),
)
NAMES = st.sampled_from(
    [
        *("title", "created_at", "phones", "archived", "is_primary", "loan_amount", "financials"),
        *("team", "properties", "pipelines", "api_key", "signed_url", "brand_new"),
    ]
)
CHANGES = st.lists(st.tuples(st.integers(0, 9), NAMES, st.one_of(st.just(...), VALUES)), max_size=3)


@pytest.fixture(scope="module")
def account() -> Iterator[SandboxServer]:
    """A Lev that no test changes but by faults."""
    with SandboxServer(Sandbox(deals=10, contacts=10, companies=3, placements=3)) as server:
        yield server


def row_by_row() -> Any:  # noqa: ANN401 - a patch
    """Have every row looked at by itself."""
    return mock.patch.object(LevStream, "is_plain", new=False)


def timeless(messages: list[Message]) -> list[Message]:
    """Leave out when the rows came, and put them in order: streams and rows may take turns."""
    for message in messages:
        message.pop("time_extracted", None)
    return sorted(messages, key=lambda message: (message["stream"], json.dumps(message)))


@settings(max_examples=80)
@given(stream=st.sampled_from(["contacts", "deals"]), changes=CHANGES, within=st.booleans())
def test_it_cannot_be_told_how_a_row_was_read(
    account: SandboxServer, stream: str, changes: list[tuple[int, str, Any]], *, within: bool
) -> None:
    embeds = "financials,properties,team,pipelines" if stream == "deals" else ""
    rows = copy.deepcopy(account.sandbox.rows(stream, include=embeds))
    for number, name, value in changes:
        row = rows[number]
        if within:
            embedded = row.get("team") or row.get("phones")
            # Another change may have left no list of rows there.
            if isinstance(embedded, list) and embedded and isinstance(embedded[0], dict):
                row = embedded[0]
        if value is ...:
            row.pop(name, None)
        else:
            row[name] = value
    streams = DEALS if stream == "deals" else (stream,)
    config = config_of(account, max_parallel_streams=1)
    runs = []
    for way in (mock.MagicMock(), row_by_row()):
        account.sandbox.clear_faults()
        account.sandbox.fault("wrong_shape", route=f"/{stream}", data=rows, times=None)
        with way:
            runs.append(sync(config, streams=streams))
    account.sandbox.clear_faults()
    quick, slow = runs
    assert quick.exit_code == slow.exit_code
    assert timeless(quick.of("RECORD")) == timeless(slow.of("RECORD"))


def test_a_page_as_the_schemas_say_is_written_by_one_call_for_each_stream(
    start_lev: StartLev, monkeypatch: pytest.MonkeyPatch
) -> None:
    lev = start_lev(contacts=45, deals=45)
    calls: list[tuple[str, int]] = []
    one_by_one: list[str] = []
    written: Callable[..., None] = LevStream.write_typed
    monkeypatch.setattr(
        LevStream,
        "write_typed",
        lambda self, rows, shape: (
            calls.append((self.name, len(rows))),
            written(self, rows, shape),
        ),
    )
    monkeypatch.setattr(LevStream, "write", lambda self, *_: one_by_one.append(self.name))
    sync(config_of(lev, page_size=20), streams=("contacts", *DEALS))
    assert [call for call in calls if call[0] == "contacts"] == [
        ("contacts", 20),
        ("contacts", 20),
        ("contacts", 5),
    ]
    assert [stream for stream in DEALS if stream not in {name for name, _ in calls}] == []
    assert one_by_one == []


@pytest.mark.parametrize(
    "settings_",
    [
        {"stream_maps": {"contacts": {"email": "md5(email)"}}},
        {"flattening_enabled": True, "flattening_max_depth": 1},
    ],
    ids=["stream_maps", "flattening"],
)
def test_what_the_sdk_does_to_rows_it_goes_on_doing(
    start_lev: StartLev, settings_: dict[str, Any]
) -> None:
    lev = start_lev(contacts=5)
    runs = []
    for way in (mock.MagicMock(), row_by_row()):
        with way:
            runs.append(sync(config_of(lev, **settings_), streams=("contacts", *DEALS)))
    quick, slow = (timeless(run.of("RECORD")) for run in runs)
    assert quick == slow
    assert quick


def test_columns_that_are_not_selected_are_not_written(start_lev: StartLev) -> None:
    lev = start_lev(contacts=5)
    config = config_of(lev)
    run = sync(config, catalog=catalog_of("contacts", contacts={"email"}, config=config))
    assert run.records("contacts") == [
        {name: row[name] for name in ("id", "email", "updated_at")}
        for row in truth(lev, "contacts")
    ]


def test_a_version_goes_with_each_row_of_a_full_table(start_lev: StartLev) -> None:
    lev = start_lev()
    run = sync(
        config_of(lev, emit_activate_version_messages=True, **QUERIES), streams=("pipelines",)
    )
    (activated,) = run.of("ACTIVATE_VERSION", "pipelines")
    assert {message["version"] for message in run.of("RECORD")} == {activated["version"]}
    assert landed(run, "pipelines") == truth(lev, "pipelines")


def test_every_schema_can_be_a_type() -> None:
    for stream in STREAMS:
        assert RowDecoder(stream.schema, stream.primary_keys).row_type(stream.name)


def test_open_objects_lose_what_must_not_go_out() -> None:
    schema = {"properties": {"id": {"type": ["integer"]}, "free": {"type": ["object"]}}}
    schema["properties"]["free"] |= {"properties": {}, "additionalProperties": True}
    decoder = RowDecoder(schema, ["id"])
    row = decoder.row_type("row")(id=1, free={"a": [{"signed_url": "x", "b": 1}]})
    decoder.normalize([row])
    assert row.free == {"a": [{"b": 1}]}


@pytest.mark.parametrize("dropped", [False, True])
def test_a_stream_that_is_read_apart_from_its_list_gets_its_rows(
    start_lev: StartLev, *, dropped: bool
) -> None:
    lev = start_lev(deals=25)
    lev.sandbox.switch(fields_drop_includes=dropped)
    config = config_of(lev, page_size=10)
    cut = sync(config, streams=("deals",), kill_after=14)  # so that deals stand at another place
    assert cut.state is not None
    assert "walk" in cut.state["bookmarks"]["deals"]
    run = sync(config, state=cut.state, streams=("deals", "deal_pipelines"))
    assert run.exit_code == 0
    assert landed(run, "deal_pipelines") == truth(lev, "deal_pipelines")
