from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

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
    assert text.endswith("Z")
    assert timestamps.parse(text) == instant


@pytest.mark.parametrize(
    "text", ["2026-03-10T14:30:00.1234567Z", "2026-03-10", "To be dated", "BATZ", ""]
)
def test_what_needs_no_rewriting_stays_as_it_came(text: str) -> None:
    assert timestamps.normalise(text) == text


@given(st.text())
@example("T")
@example("9999-12-31T23:59:59-01:00")
def test_normalise_never_raises_and_changes_nothing_twice(text: str) -> None:
    once = timestamps.normalise(text)
    assert timestamps.normalise(once) == once
