"""Answers as Lev should not give them: a row lands, or a sentence tells why it does not."""

from __future__ import annotations

import base64
import copy
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tap_lev.api.pagination import MAX_CURSOR, ListRules, Paginator
from tap_lev.api.response import LevResponse, extract_rows, parse_response
from tap_lev.api.row_counter import RowCounter
from tap_lev.errors import InvalidResponseError
from tap_lev.records.mapper import drop_secrets
from tests.hostile.counts import count, examples
from tests.hostile.servers import serving
from tests.hostile.single_sync import (
    ANYTHING,
    DEEP,
    ODD,
    broken,
    readable,
    single_sync,
    spoiled,
    text_of,
)
from tests.support.inprocess import config_of
from tests.unit.records.test_page_decoder import DEALS, row_by_row, timeless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lev_sandbox import SandboxServer
    from tap_lev.api.pagination import Position
    from tests.support.process import Run

ENDPOINT = "GET /contacts"


def envelope(rows: Any, **pagination: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Put rows into an answer, the last one as a rule."""
    return {
        "request_id": "6f0c2a58-3a1e-4f0e-9a51-0d4f2f6b7c11",
        "timestamp": "2026-11-02T12:00:00Z",
        "data": rows,
        "pagination": {"total": len(rows), "has_more": False, "next_cursor": None} | pagination,
    }


@pytest.fixture(scope="module")
def config(account: SandboxServer) -> dict[str, Any]:
    return config_of(account, max_parallel_streams=1, max_retries=0)


def pages_of(account: SandboxServer, stream: str) -> dict[str, Any]:
    blocks = "financials,properties,team,pipelines" if stream == "deals" else ""
    return envelope(account.sandbox.rows(stream, include=blocks))


def streams_of(stream: str) -> tuple[str, ...]:
    """Find the streams that are read with a list."""
    return DEALS if stream == "deals" else (stream,)


def complete(run: Run) -> set[str]:
    """Find the streams whose walk came to its end, with all of its rows."""
    bookmarks = run.state["bookmarks"] if run.state else {}
    return {
        name
        for name, entry in bookmarks.items()
        if (entry["replication_key_value"] or entry["completed_at"]) and not entry["failed"]
    }


def answered(
    account: SandboxServer,
    config: dict[str, Any],
    stream: str,
    body: bytes,
    *,
    singly: bool = False,
) -> Run:
    """Have a list answered with a body, in one of the two ways to read it."""
    account.sandbox.clear_faults()
    account.sandbox.fault("not_json", route=f"/{stream}", body=body.decode(), times=None)
    try:
        with row_by_row() if singly else mock.MagicMock():
            return single_sync(config, streams=streams_of(stream))
    finally:
        account.sandbox.clear_faults()


# -- Both ways, and no row lost


@given(data=st.data(), stream=st.sampled_from(["contacts", "deals"]))
@examples(40, share=0.1)
def test_whatever_an_answer_holds_both_ways_agree_and_no_row_is_lost(
    account: SandboxServer, config: dict[str, Any], stream: str, data: st.DataObject
) -> None:
    count("answers with something odd at any place, each read in both ways by whole syncs")
    body = text_of(data.draw(spoiled(pages_of(account, stream))))
    agreed(account, config, stream, body)


@given(data=st.data(), stream=st.sampled_from(["contacts", "deals"]))
@examples(25, share=0.1)
def test_whatever_bytes_are_damaged_both_ways_agree_and_no_row_is_lost(
    account: SandboxServer, config: dict[str, Any], stream: str, data: st.DataObject
) -> None:
    count("answers with damaged bytes, each read in both ways by whole syncs")
    body = data.draw(broken(text_of(pages_of(account, stream))))
    try:
        body.decode()
    except UnicodeDecodeError:
        assume(False)  # noqa: FBT003 - the sandbox's bodies are texts; see test_any_bytes below
    agreed(account, config, stream, body)


def agreed(account: SandboxServer, config: dict[str, Any], stream: str, body: bytes) -> None:
    quick, singly = (
        answered(account, config, stream, body, singly=singly) for singly in (False, True)
    )
    assert quick.exit_code == singly.exit_code
    assert complete(quick) == complete(singly)
    if quick.exit_code:
        assert complete(quick) < set(streams_of(stream)), "what failed is not complete"
        return
    assert timeless(quick.of("RECORD")) == timeless(singly.of("RECORD"))
    rows = extract_rows(parse_response(body, {}, ENDPOINT))
    assert [row["id"] for row in quick.records(stream)] == [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"id": None}, "without id", id="null"),
        pytest.param({"id": {"a": 1}}, "with a dict for id", id="object"),
        pytest.param({"id": [1]}, "with a list for id", id="list"),
    ],
)
@pytest.mark.parametrize("stream", ["contacts", "deals"])
def test_a_row_that_cannot_be_told_from_others_is_a_failure(  # noqa: PLR0913, PLR0917
    account: SandboxServer,
    config: dict[str, Any],
    stream: str,
    change: dict[str, Any],
    sentence: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = pages_of(account, stream)
    page["data"][1].update(change)
    run = answered(account, config, stream, text_of(page))
    assert run.exit_code == 1
    assert any(sentence in message for message in caplog.messages)


@pytest.mark.parametrize("key", ["7", -7, 10**30, 7.5, True, "ä/../x"])
@pytest.mark.parametrize("stream", ["contacts", "deals"])
def test_an_odd_id_lands_and_is_told(
    account: SandboxServer,
    config: dict[str, Any],
    stream: str,
    key: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = pages_of(account, stream)
    page["data"][1]["id"] = key
    run = answered(account, config, stream, text_of(page))
    assert run.exit_code == 0
    assert key in [row["id"] for row in run.records(stream)]
    if not isinstance(key, int) or isinstance(key, bool):
        assert any(f"Lev sends id as {type(key).__name__}" in m for m in caplog.messages)


def test_rows_with_one_id_all_land(account: SandboxServer, config: dict[str, Any]) -> None:
    page = pages_of(account, "deals")
    page["data"] = [page["data"][0]] * 3
    for total, code in ((1, 0), (3, 1)):  # different rows are what Lev's count is held against
        page["pagination"]["total"] = total
        run = answered(account, config, "deals", text_of(page))
        assert run.exit_code == code
        assert len(run.records("deals")) == 3


def nested(account: SandboxServer, column: str, levels: int) -> tuple[Any, bytes]:
    """A row of deals with something deep in a column, and the answer that has it."""
    page = pages_of(account, "deals")
    page["data"][0][column] = {"x": 0}
    deep = b'{"x":' * levels + b"0" + b"}" * levels
    return page["data"][0]["id"], text_of(page).replace(b'{"x": 0}', deep)


COLUMNS = pytest.mark.parametrize("column", ["financials", "title"])
WAYS = pytest.mark.parametrize("singly", [False, True])


@COLUMNS
@WAYS
def test_what_is_nested_too_deeply_is_a_sentence(
    account: SandboxServer,
    config: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    column: str,
    *,
    singly: bool,
) -> None:
    _, body = nested(account, column, 200_000)
    assert answered(account, config, "deals", body, singly=singly).exit_code == 1
    assert any("nested too deeply" in message for message in caplog.messages)


@COLUMNS
@WAYS
def test_what_is_nested_deeply_is_written_whole_or_is_a_sentence(
    account: SandboxServer,
    config: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    column: str,
    *,
    singly: bool,
) -> None:
    """How deep JSON may be is the Python's own: 3.11 stands less than later ones."""
    key, body = nested(account, column, 700)
    run = answered(account, config, "deals", body, singly=singly)
    if run.exit_code == 0:
        begins = '{"type":"RECORD","stream":"deals"'
        (line,) = (line for line in run.lines if line.startswith(begins) and f'"id":{key},' in line)
        assert line.replace(" ", "").replace("\\", "").count('{"x":') == 700
    else:
        assert any("nested too deeply" in message for message in caplog.messages)


def test_a_page_of_50_megabytes_is_read(account: SandboxServer, config: dict[str, Any]) -> None:
    row = account.sandbox.rows("contacts")[0]
    size = len(text_of(row))
    many = 50_000_000 // size
    page = envelope([{**row, "id": number} for number in range(many)])
    begun = time.monotonic()
    run = answered(account, config, "contacts", text_of(page))
    assert run.exit_code == 0
    assert len(run.lines) > many
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("data", "total", "code"),
    [
        pytest.param(None, 12, 1, id="null where there are rows"),
        pytest.param({}, 12, 1, id="an empty object where there are rows"),
        pytest.param({}, 0, 0, id="an empty object where there are none"),
        pytest.param(None, 0, 0, id="null where there are none"),
        pytest.param({"id": 5, "email": "a@b"}, 1, 1, id="a row for a list"),
        pytest.param([[{"id": 5}]], 1, 1, id="a list of lists"),
        pytest.param("rows", 1, 1, id="a text"),
        pytest.param(7, 1, 1, id="a number"),
    ],
)
def test_what_is_no_list_of_rows_is_no_empty_list(
    account: SandboxServer, config: dict[str, Any], data: object, total: int, code: int
) -> None:
    body = text_of(envelope([]) | {"data": data, "pagination": {"total": total}})
    for singly in (False, True):
        assert answered(account, config, "contacts", body, singly=singly).exit_code == code


@pytest.mark.parametrize("pagination", [[], "next", 5, True])
def test_a_pagination_of_a_wrong_form_does_not_end_the_list(
    account: SandboxServer, config: dict[str, Any], pagination: object
) -> None:
    body = text_of(envelope([{"id": 1}]) | {"pagination": pagination})
    for singly in (False, True):
        assert answered(account, config, "contacts", body, singly=singly).exit_code == 1


@pytest.mark.parametrize("total", [10**400, -(10**400), -1, 0.5, True, "12", None, DEEP])
def test_a_count_of_any_kind_ends_nothing(
    account: SandboxServer, config: dict[str, Any], total: object
) -> None:
    page = pages_of(account, "contacts")
    page["pagination"]["total"] = total
    run = answered(account, config, "contacts", text_of(page))
    assert run.exit_code == 0
    assert len(run.records("contacts")) == account.sandbox.count("contacts")


# -- Pages that lie


def lied(config: dict[str, Any], page: Any, caplog: pytest.LogCaptureFixture) -> tuple[Run, str]:  # noqa: ANN401 - a function of the number
    """Read contacts from a server whose pages are made up; return the sentence, too."""
    number = 0

    def answer(_: str) -> Iterator[bytes]:
        nonlocal number
        number += 1
        body = text_of(page(number))
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        yield head % len(body) + body

    with serving(answer) as server:
        run = single_sync(config | {"api_url": server.url}, streams=("contacts",))
    return run, "\n".join(caplog.messages)


def test_the_same_rows_under_ever_new_cursors_are_no_list_without_end(
    config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    row = {"id": 1, "updated_at": "2026-11-01T08:00:00Z"}
    run, told = lied(
        config, lambda n: envelope([row, row], has_more=True, next_cursor=f"c{n}"), caplog
    )
    assert run.exit_code == 1
    assert "Lev sends the same page of GET /contacts again and again. 2 pages had no new" in told
    assert len(run.records("contacts")) == 2


def test_pages_without_rows_are_no_list_without_end(
    config: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_lev.api.pagination.MAX_EMPTY_PAGES", 20)
    run, told = lied(config, lambda n: envelope([], has_more=True, next_cursor=f"c{n}"), caplog)
    assert run.exit_code == 1
    assert "but 20 pages in a row had none. Stopped rather than go on for ever." in told


def test_a_few_pages_without_rows_are_passed(
    config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    run, _ = lied(
        config,
        lambda n: envelope([{"id": n}] if n % 5 == 0 else [], has_more=n < 20, next_cursor=f"c{n}"),
        caplog,
    )
    assert run.exit_code == 0
    assert [row["id"] for row in run.records("contacts")] == [5, 10, 15, 20]


def test_a_cursor_that_fits_into_no_url_is_not_kept(
    config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    run, told = lied(
        config,
        lambda n: envelope([{"id": n}], has_more=True, next_cursor="x" * (MAX_CURSOR + 1)),
        caplog,
    )
    assert run.exit_code == 1
    assert "announces more rows of GET /contacts but does not say where" in told
    assert len(told) < 10_000
    assert "xxx" not in json.dumps(run.state)


def after(
    pagination: dict[str, Any], position: Position, rows: int, *, cursor_only: bool
) -> Position | None:
    """The position after a page with so many rows."""
    counter = RowCounter()
    counter.add(pagination, range(rows))
    answer = LevResponse(ENDPOINT, [], pagination, None, datetime.now(UTC))
    pages = Paginator(
        ListRules(endpoint=ENDPOINT, cursor_only=cursor_only, api_url="https://lev.example"),
        counter,
    )
    return pages.next_position(answer, position)


@given(
    pagination=st.dictionaries(
        st.sampled_from(
            [
                "has_more",
                "has_next",
                "next_cursor",
                "next",
                "total",
                "limit",
                "offset",
                "cursor",
                "page",
                "total_pages",
            ]
        ),
        ODD | st.integers() | st.text(),
    ),
    position=st.sampled_from([{}, {"cursor": "a"}, {"limit": 5, "page": 1}, {"offset": 5}]),
    rows=st.sampled_from([0, 1, 200]),
    cursor_only=st.booleans(),
)
@examples(200)
def test_any_pagination_leads_on_or_ends_or_is_a_sentence(
    pagination: dict[str, Any], position: dict[str, Any], rows: int, *, cursor_only: bool
) -> None:
    count("paginations")
    try:
        following = after(pagination, position, rows, cursor_only=cursor_only)
    except InvalidResponseError as error:
        readable(error)
    else:
        assert following is None or following != position
        more = pagination.get("has_more", pagination.get("has_next", True))
        assert following or not pagination.get("next_cursor") or not more


# -- Whatever stands in a body


@given(
    body=st.binary(max_size=100)
    | ANYTHING.map(text_of)
    | spoiled(envelope([{"id": 1}])).map(text_of)
    | broken(text_of(envelope([{"id": 1, "email": "a@example.com"}]))),
    content_type=st.text(max_size=20),
)
@examples(300)
def test_any_bytes_are_an_answer_or_a_sentence(body: bytes, content_type: str) -> None:
    count("bodies")
    try:
        answer = parse_response(
            body, {"Content-Type": content_type, "Date": content_type}, ENDPOINT
        )
        assert all(isinstance(row, dict) for row in extract_rows(answer))
    except InvalidResponseError as error:
        readable(error)


@given(value=ANYTHING)
@examples(100)
def test_what_must_not_go_out_does_not_at_any_depth(value: Any) -> None:  # noqa: ANN401 - JSON
    count("open objects")
    left = drop_secrets({"a": [value, {"api_key": 1}], "signed_url": 2})
    assert left == {"a": [drop_secrets(copy.deepcopy(value)), {}]}


def test_a_cursor_may_be_anything_that_fits() -> None:
    for cursor in ("&a=b#?/%", "ä🏠", base64.b64encode(b'{"id": 1}').decode(), "x" * MAX_CURSOR):
        assert after({"next_cursor": cursor}, {}, 1, cursor_only=True) == {"cursor": cursor}
