from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pendulum
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_lev import timestamps

MOMENT = datetime(2026, 3, 10, 14, 30, tzinfo=UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
INSTANTS = st.datetimes(
    datetime(1, 1, 3),  # noqa: DTZ001 - hypothesis adds the offset
    datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=OFFSETS,
)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-10T14:30:00Z", MOMENT),
        ("2026-03-10T14:30:00+00:00", MOMENT),
        ("2026-03-10T16:30:00+02:00", MOMENT),
        ("2026-03-10T09:30:00-05:00", MOMENT),
        ("2026-03-10T14:30:00", MOMENT),
        ("2026-03-10 14:30", MOMENT),
        ("2026-03-10T14:30:00.500Z", MOMENT.replace(microsecond=500_000)),
        ("2026-03-10T14:30:00.1234567Z", MOMENT.replace(microsecond=123_456)),
        ("2026-03-10", MOMENT.replace(hour=0, minute=0)),
    ],
)
def test_reads_every_form_that_lev_may_send(text: str, instant: datetime) -> None:
    assert timestamps.parse(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0001-01-01T00:00:00+01:00", id="before the first year in UTC"),
        pytest.param("9999-12-31T23:59:59-01:00", id="after the last year in UTC"),
        pytest.param("2026-02-30", id="no such day"),
        pytest.param("10.03.2026", id="another notation"),
        pytest.param("", id="empty"),
        pytest.param(20260310, id="a number"),
        pytest.param(None, id="null"),
    ],
)
def test_what_is_no_instant_is_none(text: object) -> None:
    assert timestamps.parse(text) is None


@given(JSON | st.datetimes().map(str) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d[+-]\d\d:\d\d"))
def test_parse_never_raises_and_always_says_utc(value: object) -> None:
    instant = timestamps.parse(value)
    assert instant is None or instant.utcoffset() == timedelta(0)


@given(INSTANTS, st.sampled_from(["T", " ", "t"]), st.sampled_from(["", "Z", "z", " UTC"]))
def test_the_reader_of_rows_agrees_with_pendulum(instant: datetime, sep: str, zone: str) -> None:
    text = instant.isoformat() if not zone else instant.replace(tzinfo=None).isoformat(sep) + zone
    read, row = timestamps.parse(text), timestamps.parse_row_time(text)
    assert isinstance(read, pendulum.DateTime)
    assert type(row) is datetime
    assert row == read
    assert timestamps.render(row) == timestamps.render(read)
    assert (str(row), row.isoformat(), hash(row)) == (str(read), read.isoformat(), hash(read))


@given(
    st.from_regex(
        r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,9})?"
        r"(Z|[+-][0-2][0-9]:[0-5][0-9])\Z"
    )
)
@example("0001-01-01T00:00:00+01:00")
@example("9999-12-31T23:59:59-01:00")
@example("2026-03-10T14:30:00+24:00")
def test_both_readers_take_the_same_texts_of_rfc_3339(text: str) -> None:
    assert timestamps.parse(text) == timestamps.parse_row_time(text)


@pytest.mark.parametrize("text", ["now", "10:20", "2026", "2026-305", "P1D", "2026-01-01/P1D"])
def test_what_only_pendulum_takes_for_a_time_is_none(text: str) -> None:
    assert timestamps.parse(text) is None


@given(INSTANTS)
def test_a_plain_instant_is_the_same_instant(instant: datetime) -> None:
    read = timestamps.plain(pendulum.instance(instant))
    assert (type(read), read.tzinfo, read) == (datetime, UTC, instant)


def test_some_time_before_an_instant() -> None:
    read = timestamps.subtract(MOMENT, timedelta(minutes=31, microseconds=1))
    assert timestamps.render(read) == "2026-03-10T13:58:59.999999Z"
    with pytest.raises(OverflowError):
        timestamps.subtract(MOMENT, timedelta(days=999_999))


@given(INSTANTS)
def test_an_instant_survives_being_written(instant: datetime) -> None:
    text = timestamps.render(instant)
    assert text.endswith("Z")
    assert timestamps.parse(text) == instant


def test_a_fraction_is_written_only_where_there_is_one() -> None:
    assert timestamps.render(MOMENT) == "2026-03-10T14:30:00Z"
    assert timestamps.render(MOMENT.replace(microsecond=500_000)) == "2026-03-10T14:30:00.500000Z"


@given(INSTANTS)
def test_normalising_keeps_the_instant_and_ends_in_z(instant: datetime) -> None:
    text = timestamps.normalise(instant.isoformat())
    assert text is not None
    assert text.endswith("Z")
    assert timestamps.parse(text) == instant


@pytest.mark.parametrize(
    "text", ["2026-03-10T14:30:00Z", "2026-03-10T14:30:00.5Z", "2026-03-10T14:30:00.1234567Z"]
)
def test_what_needs_no_rewriting_stays_as_it_came(text: str) -> None:
    assert timestamps.normalise(text) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-26T10:00:00+02:00", "2026-11-26T08:00:00Z"),
        ("2026-11-26 10:00:00+02:00", "2026-11-26T08:00:00Z"),
        ("2026-11-26 10:00:00 +0200", "2026-11-26T08:00:00Z"),
        ("2026-11-26 10:00:00 UTC", "2026-11-26T10:00:00Z"),
        ("2026-11-26t10:00:00z", "2026-11-26T10:00:00Z"),
        ("2026-11-26 10:00:00Z", "2026-11-26T10:00:00Z"),
        ("2026-11-26T10:00Z", "2026-11-26T10:00:00Z"),
        ("2026-11-26T10:00", "2026-11-26T10:00:00Z"),
        ("20261126T100000Z", "2026-11-26T10:00:00Z"),
        ("2026-11-26", "2026-11-26T00:00:00Z"),
        ("2026-11-26T24:00:00Z", "2026-11-27T00:00:00Z"),
        ("2026-12-31 24:00", "2027-01-01T00:00:00Z"),
        ("20261231T240000.000+0100", "2026-12-31T23:00:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.250000Z"),
        ("", None),
        (" ", None),
        ("0000-00-00", None),
        ("0000-00-00 00:00:00", None),
        ("2025-02-31T00:00:00Z", None),
        ("2026-11-26T24:00:01Z", None),
        ("2026-11-26T25:00:00Z", None),
        ("9999-12-31T24:00:00Z", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("To be dated", None),
        ("BATZ", None),
    ],
)
def test_what_is_written_of_each_form(text: str, written: str | None) -> None:
    assert timestamps.normalise(text) == written


@pytest.mark.parametrize(
    ("text", "carried"),
    [
        ("2026-11-26T24:00:00Z", True),
        ("2026-11-26 24:00", True),
        ("2016-12-31T23:59:60Z", True),
        ("20161231T235960Z", True),
        ("2016-12-31T23:59:59.60Z", False),
        ("2024-11-26T10:00:00Z", False),
    ],
)
def test_which_texts_name_the_next_day_or_minute(text: str, *, carried: bool) -> None:
    assert timestamps.is_carried(text) is carried


@given(
    st.text()
    | st.from_regex(
        r"\A\d{4}-?\d\d-?\d\d[T ]?(\d\d:?(\d\d(:?\d\d([.,]\d+)?)?)?)? ?(Z|[+-]\d\d:?\d\d)?\Z"
    )
)
@example("T")
@example("9999-12-31T23:59:59-01:00")
def test_every_text_becomes_a_date_time_of_rfc_3339_or_null(text: str) -> None:
    once = timestamps.normalise(text)
    if once is None:
        assert timestamps.parse(text) is None
        return
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z", once)
    msgspec.convert(once, datetime)  # it refuses what RFC 3339 does
    assert timestamps.normalise(once) == once


@pytest.mark.parametrize(
    ("texts", "usual"),
    [
        ([], True),
        (["2026-03-10T14:30:00Z", "2024-02-29T00:00:00Z"], True),
        (["2026-03-10T14:30:00Z", ""], False),
        (["2026-03-10T14:30:00.5Z"], False),
        (["2026-03-10T14:30:00+00:00"], False),
        (["2026-02-29T14:30:00Z"], False),
        (["2026-03-10T24:00:00Z"], False),
        (["2026-03-10T14:30:00Z2", "026-03-10T14:30:00Z"], False),
    ],
)
def test_a_column_is_usual_only_if_each_text_is(texts: list[str], *, usual: bool) -> None:
    assert timestamps.are_usual(texts) is usual
