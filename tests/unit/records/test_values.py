"""Values that stop a target: what becomes of each kind, and that it is told and counted."""

from __future__ import annotations

import json
import logging
import math
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk import typing as th

from tap_lev import timestamps
from tap_lev.api.json_values import whole
from tap_lev.api.response import parse_response
from tap_lev.records.schema import OPEN_OBJECT, object_type
from tap_lev.records.values import Kind, Mended, Mender
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import run_tap

if TYPE_CHECKING:
    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev
    from tests.support.process import Run

SCHEMA = th.PropertiesList(
    th.Property("id", th.IntegerType, required=True),
    th.Property("text", th.StringType),
    th.Property("at", th.DateTimeType),
    th.Property("amount", th.DecimalType),
    th.Property("on", th.BooleanType),
    th.Property("free", OPEN_OBJECT),
    th.Property(
        "person",
        object_type(
            th.Property("id", th.IntegerType),
            th.Property("name", th.StringType),
            th.Property("seen_at", th.DateTimeType),
        ),
    ),
    th.Property(
        "people",
        th.ArrayType(
            object_type(
                th.Property("id", th.IntegerType),
                th.Property("tags", th.ArrayType(th.StringType(nullable=True))),
            )
        ),
    ),
    th.Property("numbers", th.ArrayType(th.IntegerType(nullable=True))),
).to_dict()
MENDER = Mender(SCHEMA["properties"], ("block",))


def mended(is_odd: bool = True, **row: Any) -> tuple[dict[str, Any], list[tuple[str, Kind]]]:  # noqa: ANN401, FBT001, FBT002
    """Mend a row; find what was."""
    given_ = json.dumps(row)
    new = MENDER.mend(row, is_odd=is_odd)
    assert json.dumps(row) == given_, "the row itself must stay"
    return new, new.mends if isinstance(new, Mended) else []


# -- Each kind


@pytest.mark.parametrize(
    ("row", "becomes", "kinds"),
    [
        ({"text": "a\0b"}, {"text": "ab"}, [Kind.NUL]),
        ({"text": "\0"}, {"text": ""}, [Kind.NUL]),
        (
            {"people": [{"tags": ["x\0", "\0y"]}]},
            {"people": [{"tags": ["x", "y"]}]},
            2 * [Kind.NUL],
        ),
        ({"free": {"a\0": {"b": ["\0"]}}}, {"free": {"a": {"b": [""]}}}, 2 * [Kind.NUL]),
        ({"free": {"a\0": 1, "a": 2}}, {"free": {"a": 2}}, [Kind.NUL]),
        ({"new\0": "x\0"}, {"new": "x"}, 2 * [Kind.NUL]),
        ({"at": "2026-11-26T10:00:00Z\0"}, {"at": "2026-11-26T10:00:00Z"}, [Kind.NUL]),
        ({"amount": math.nan}, {"amount": None}, [Kind.NOT_FINITE]),
        ({"free": {"x": [-math.inf]}}, {"free": {"x": [None]}}, [Kind.NOT_FINITE]),
        ({"numbers": [1, math.inf]}, {"numbers": [1, None]}, [Kind.NOT_FINITE]),
    ],
)
def test_what_an_odd_body_may_hold(
    row: dict[str, Any], becomes: dict[str, Any], kinds: list[Kind]
) -> None:
    new, mends = mended(id=1, **row)
    assert new == {"id": 1} | becomes
    assert [kind for _, kind in mends] == kinds


@pytest.mark.parametrize("is_odd", [True, False])
@pytest.mark.parametrize(
    ("row", "becomes", "kinds"),
    [
        ({"at": ""}, {"at": None}, [Kind.NO_INSTANT]),
        ({"at": "0000-00-00 00:00:00"}, {"at": None}, [Kind.NO_INSTANT]),
        ({"at": "2025-02-31T00:00:00Z"}, {"at": None}, [Kind.NO_INSTANT]),
        ({"at": "2026-11-26T24:00:00Z"}, {"at": "2026-11-27T00:00:00Z"}, [Kind.CARRIED]),
        ({"at": "2016-12-31T23:59:60Z"}, {"at": "2017-01-01T00:00:00Z"}, [Kind.CARRIED]),
        ({"person": {"seen_at": ""}}, {"person": {"seen_at": None}}, [Kind.NO_INSTANT]),
        ({"id": 1.0}, {"id": 1}, [Kind.WHOLE]),
        ({"person": {"id": 7.0}}, {"person": {"id": 7}}, [Kind.WHOLE]),
        ({"people": [{"id": 7.0}, {"id": 8}]}, {"people": [{"id": 7}, {"id": 8}]}, [Kind.WHOLE]),
        ({"numbers": [5.0, 6.0]}, {"numbers": [5, 6]}, 2 * [Kind.WHOLE]),
    ],
)
def test_what_the_schema_shows(
    row: dict[str, Any], becomes: dict[str, Any], kinds: list[Kind], *, is_odd: bool
) -> None:
    new, mends = mended(is_odd, **row)
    assert json.dumps(new) == json.dumps(becomes)  # 1 and 1.0 are not the same here
    assert [kind for _, kind in mends] == kinds
    assert {column for column, _ in mends} == set(row)


@pytest.mark.parametrize(
    "row",
    [
        {"id": 5.5},
        {"id": "5"},
        {"id": 1e300},
        {"amount": 5.0},
        {"amount": 2**64, "numbers": [10**30]},
        {"text": "0000-00-00", "on": True},
        {"at": None, "person": None, "people": None},
        {"at": 20261126},
        {"at": "2026-11-26 10:00:00+02:00"},  # the record's own step writes it
        {"person": ["x"], "people": {"id": 1}},
        {"block": [{"text": "\0", "amount": math.nan}]},  # that of another stream
    ],
)
@pytest.mark.parametrize("is_odd", [True, False])
def test_what_stays_as_it_came(row: dict[str, Any], *, is_odd: bool) -> None:
    new, mends = mended(is_odd, **row)
    assert new is not None
    assert repr(new) == repr(row)
    assert mends == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["", "\0", "2026-11-26T24:00:00Z", "0000-00-00", "2026-11-26", 5.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
ROWS = st.dictionaries(st.sampled_from([*SCHEMA["properties"], "new", "n\0"]), JSON)


@given(ROWS, st.booleans())
def test_mending_never_raises_and_mends_nothing_twice(row: dict[str, Any], is_odd: bool) -> None:  # noqa: FBT001
    before = repr(row)
    once = MENDER.mend(row, is_odd=is_odd)
    assert repr(row) == before
    again = MENDER.mend(dict(once), is_odd=is_odd)
    assert not isinstance(again, Mended)
    assert isinstance(once, Mended) or once is row
    at = once.get("at")
    assert not isinstance(at, str) or timestamps.normalise(at) is not None
    if is_odd:
        text = repr(once)
        assert r"\x00" not in text or r"\\x00" in text
        assert not re.search(r"\b(nan|inf)\b", re.sub(r"'[^']*'|\"[^\"]*\"", "", text))


@given(st.floats() | st.integers())
def test_a_whole_number_is_the_same_number(number: float) -> None:
    found = whole(number)
    assert found == number or math.isnan(number)
    if type(found) is not type(number):
        assert type(found) is int


# -- Bodies


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("[NaN]", "[nan]"),
        ("[-Infinity, Infinity]", "[-inf, inf]"),
        ("[1e400]", "[inf]"),
        (r'["NaN", "\ud83d", NaN]', "['NaN', '\ufffd', nan]"),
        ("[18446744073709551616, NaN, 123456789012345678901234567890]",
         "[18446744073709551616, nan, 123456789012345678901234567890]"),
    ],
)  # fmt: skip
def test_json_with_what_json_does_not_know_is_read(text: str, data: str) -> None:
    answer = parse_response(f'{{"data": {text}}}'.encode(), {}, "GET /contacts")
    assert repr(answer.data) == data
    assert answer.is_odd


@pytest.mark.parametrize("text", ["[NaN", "[nan]", "[1, Nan]", '["\x01", NaN]'])
def test_what_is_no_json_even_so_stays_refused(text: str) -> None:
    with pytest.raises(Exception, match="which is not the JSON of Lev"):
        parse_response(f'{{"data": {text}}}'.encode(), {}, "GET /contacts")


# -- A whole tap

CONTACT = {"updated_at": "2026-11-27T09:00:00Z", "created_at": "2026-11-01T09:00:00Z"}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "NUL in a text": ({"title": "Partner\0"}, {"title": "Partner"}, "a NUL character in title"),
    "NUL in a list": ({"contact_types": ["len\0der"]}, {"contact_types": ["lender"]},
                      "a NUL character in contact_types"),
    "NUL in a nested text": ({"phones": [{"raw": "\0001"}]}, {"phones": [{"raw": "1"}]},
                             "a NUL character in phones"),
    "empty": ({"created_at": ""}, {"created_at": None},
              "a text that is no date-time in created_at"),
    "zeros": ({"created_at": "0000-00-00 00:00:00"}, {"created_at": None},
              "a text that is no date-time in created_at"),
    "31 February": ({"created_at": "2025-02-31T00:00:00Z"}, {"created_at": None},
                    "a text that is no date-time in created_at"),
    "24:00": ({"created_at": "2025-02-28T24:00:00Z"}, {"created_at": "2025-03-01T00:00:00Z"},
              "24:00 or a leap second in created_at"),
    "leap second": ({"created_at": "2016-12-31T23:59:60Z"}, {"created_at": "2017-01-01T00:00:00Z"},
                    "24:00 or a leap second in created_at"),
    "an integer with a point": ({"owner_account_id": 5.0}, {"owner_account_id": 5},
                                "an integer with a decimal point in owner_account_id"),
    "an id with a point": ({"id": 2.0}, {"id": 2}, "an integer with a decimal point in id"),
    "NaN": ({"owner_account_id": math.nan}, {"owner_account_id": None},
            "NaN or an infinite number in owner_account_id"),
}  # fmt: skip
SPELLINGS = {
    "offset": "2026-11-26T12:00:00+02:00",
    "blank": "2026-11-26 12:00:00+02:00",
    "no seconds": "2026-11-26T10:00Z",
    "basic": "20261126T100000Z",
}


def answering(lev: SandboxServer, rows: list[dict[str, Any]], route: str = "/contacts") -> None:
    """Have Lev answer with rows, as Python's JSON writes them: NaN included."""
    body = json.dumps({
        "request_id": "6f0c", "data": rows, "timestamp": "2026-11-27T10:00:00Z",
        "pagination": {"total": len(rows), "has_more": False, "next_cursor": None},
    })  # fmt: skip
    lev.sandbox.fault("not_json", body=body, route=route, times=None)


def contacts(lev: SandboxServer, **change: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Three rows as Lev sends them, the second with a change."""
    rows = [row | CONTACT for row in lev.sandbox.rows("contacts")]
    for number, row in enumerate(rows, 1):
        row["id"] = number
    rows[1] |= change
    return rows


def warnings(run: Run) -> list[str]:
    return [line for line in run.log("WARNING") if "Lev sends" in line]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("by_row", [False, True], ids=["page", "row by row"])
def test_a_value_is_mended_told_and_counted_and_the_other_rows_land(
    start_lev: StartLev, case: str, *, by_row: bool
) -> None:
    change, becomes, told = CASES[case]
    lev = start_lev(contacts=3)
    rows = contacts(lev, **change)
    answering(lev, rows)
    # A stream map has each row looked at by itself.
    maps = {"stream_maps": {"contacts": {"email": "email"}}} if by_row else {}
    run = run_tap(config_of(lev, **maps), catalog=catalog_of("contacts"))
    assert run.exit_code == 0, run.stderr
    expected = [rows[0], {**rows[1], **becomes}, rows[2]]
    written = [{name: row[name] for name in expected[0]} for row in run.records("contacts")]
    assert json.dumps(written) == json.dumps(expected)
    number = becomes.get("id", 2)
    (said,) = warnings(run)
    becomes_of = dict(kind.value for kind in Kind)
    assert said == (
        f"contacts: Lev sends {told}, in the row with id {number} (request_id 6f0c). "
        f"{becomes_of[told.rpartition(' in ')[0]]} This is logged once."
    )
    assert ", 1 value mended" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("case", SPELLINGS)
def test_every_spelling_of_an_instant_leaves_as_one_and_without_a_word(
    start_lev: StartLev, case: str
) -> None:
    lev = start_lev(contacts=3)
    answering(lev, contacts(lev, created_at=SPELLINGS[case]))
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"))
    assert run.exit_code == 0, run.stderr
    hour = "2026-11-26T10:00:00Z"
    assert [row["created_at"] for row in run.records("contacts")] == [
        CONTACT["created_at"], hour, CONTACT["created_at"],
    ]  # fmt: skip
    assert warnings(run) == []
    assert "mended" not in run.stderr


def test_each_kind_is_told_once_for_each_stream_and_counted_each_time(
    start_lev: StartLev,
) -> None:
    lev = start_lev(contacts=3, companies=3)
    rows = contacts(lev)
    for row in rows:
        row |= {"title": "\0", "created_at": ""}
    answering(lev, rows)
    answering(lev, [{"id": 1, "name": "\0", **CONTACT}], route="/companies")
    run = run_tap(config_of(lev), catalog=catalog_of("contacts", "companies"))
    assert run.exit_code == 0, run.stderr
    assert sorted(line.partition(" in the row")[0] for line in warnings(run)) == [
        "companies: Lev sends a NUL character in name,",
        "contacts: Lev sends a NUL character in title,",
        "contacts: Lev sends a text that is no date-time in created_at,",
    ]
    assert ", 7 values mended" in run.stderr.splitlines()[-1]


def test_the_totals_count_what_was_mended_in_each_stream(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture
) -> None:
    lev = start_lev(contacts=3, companies=2)
    answering(lev, contacts(lev, title="\0", created_at=""))
    with caplog.at_level(logging.INFO):
        sync(config_of(lev), streams=("contacts", "companies"))
    totals = next(vars(r) for r in caplog.records if "by_stream" in vars(r))
    assert totals["mended"] == 2
    assert {n: s["mended"] for n, s in totals["by_stream"].items()} == {
        "contacts": 2,
        "companies": 0,
    }


def test_an_id_that_is_no_number_is_that_row_s_failure_and_never_null(start_lev: StartLev) -> None:
    lev = start_lev(contacts=3)
    answering(lev, contacts(lev, id=math.nan))
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"))
    assert run.exit_code == 1
    assert [row["id"] for row in run.records("contacts")] == [1, 3]
    assert "without id" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_date_of_change_that_is_none_counts_as_undated(start_lev: StartLev) -> None:
    lev = start_lev(contacts=3)
    answering(lev, contacts(lev, updated_at="0000-00-00"))
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"))
    assert run.state is not None
    assert run.state["bookmarks"]["contacts"]["undated"] is True
    assert [row["updated_at"] for row in run.records("contacts")][1] is None


def test_numbers_stay_exact(start_lev: StartLev) -> None:
    lev = start_lev(deals=2)
    rows = [row | {"loan_amount": 2**64} for row in lev.sandbox.rows("deals")]
    rows[1] |= {"loan_amount": 10**30, "title": "\0"}
    for change in ({}, {"title": ""}):
        rows[1] |= change
        answering(lev, rows, route="/deals")
        run = run_tap(config_of(lev), catalog=catalog_of("deals"))
        assert [row["loan_amount"] for row in run.records("deals")] == [2**64, 10**30]
        lev.sandbox.clear_faults()


def test_children_of_a_parent_whose_id_has_a_decimal_point_are_asked_for(
    start_lev: StartLev,
) -> None:
    lev = start_lev(contacts=3)
    rows = [row | {"id": float(row["id"])} for row in lev.sandbox.rows("contacts")]
    answering(lev, rows)
    run = run_tap(config_of(lev), catalog=catalog_of("contact_notes"))
    assert run.exit_code == 0, run.stderr
    ids = {row["id"] for row in lev.sandbox.rows("contacts")}
    paths = {entry.path for entry in lev.sandbox.requests}
    assert {f"/contacts/{number}/notes" for number in ids} <= paths
    assert not any(".0" in path for path in paths)
    assert all(type(row["contact_id"]) is int for row in run.records("contact_notes"))


def test_rows_that_come_within_a_row_are_mended_by_their_own_stream(start_lev: StartLev) -> None:
    lev = start_lev(deals=2)
    rows = lev.sandbox.rows("deals", include="financials,properties,team,pipelines")
    rows[0]["team"] = [{"id": 7.0, "first_name": "A\0", "user_id": math.inf}]
    rows[0]["pipelines"] = [{"pipeline_id": 1, "status_name": "x", "updated_at": ""}]
    rows[0]["financials"] = {"ltv": math.nan, "note\0": "\0"}
    answering(lev, rows, route="/deals")
    streams = ("deals", "deal_team_members", "deal_pipelines")
    run = run_tap(config_of(lev), catalog=catalog_of(*streams))
    assert run.exit_code == 0, run.stderr
    deal = rows[0]["id"]
    team = next(r for r in run.records("deal_team_members") if r["deal_id"] == deal)
    assert json.dumps([team[n] for n in ("id", "first_name", "user_id")]) == '[7, "A", null]'
    assert (
        next(r for r in run.records("deal_pipelines") if r["deal_id"] == deal)["updated_at"] is None
    )
    assert run.records("deals")[0]["financials"] == {"ltv": None, "note": ""}
    assert ", 7 values mended" in run.stderr.splitlines()[-1]


def test_half_of_a_character_is_counted_and_told_with_its_row(start_lev: StartLev) -> None:
    lev = start_lev(contacts=3)
    answering(lev, contacts(lev, title="\ud83d"))
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"))
    assert run.exit_code == 0, run.stderr
    (told,) = warnings(run)
    assert "1 times in GET /contacts, first in row 2 (request_id 6f0c)" in told
    assert ", 1 value mended" in run.stderr.splitlines()[-1]


def test_a_page_without_such_values_is_not_looked_at_row_by_row(
    start_lev: StartLev, monkeypatch: pytest.MonkeyPatch
) -> None:
    lev = start_lev(contacts=3)
    answering(lev, contacts(lev, created_at=SPELLINGS["offset"], title="Partner"))
    monkeypatch.setattr(Mender, "mend", lambda *_, **__: pytest.fail("it was asked"))
    run = sync(config_of(lev), streams=("contacts",))
    assert run.exit_code == 0
    assert run.records("contacts")[1]["created_at"] == "2026-11-26T10:00:00Z"


def test_what_cannot_be_encoded_is_never_written() -> None:
    row, _ = mended(id=1, text="\0", amount=math.nan, free={"\0": math.inf})
    assert msgspec.json.encode(row) == b'{"id":1,"text":"","amount":null,"free":{"":null}}'
