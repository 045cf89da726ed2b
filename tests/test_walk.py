from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_lev import timestamps
from tap_lev.pagination import MAX_CURSOR
from tap_lev.walk import Bookmark, Walk

EIGHT = datetime(2026, 11, 2, 8, tzinfo=UTC)
NINE, TEN = EIGHT + timedelta(hours=1), EIGHT + timedelta(hours=2)
NOTHING = timedelta(0)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
INSTANTS = st.datetimes(timezones=st.just(UTC))
WALKS = st.builds(
    Walk,
    request=st.text(),
    started_at=INSTANTS,
    since=st.none() | INSTANTS,
    cursor=st.none() | st.text(min_size=1),
    parent=st.none() | st.integers(min_value=1),
    version=st.none() | st.integers(),
).filter(lambda walk: walk.cursor or walk.parent)


def stored(**changes: object) -> dict[str, Any]:
    """Write a walk as it stands in a state."""
    return {
        "started_at": "2026-11-02T08:00:00Z",
        "since": "2026-11-01T07:55:00Z",
        "cursor": "eyJpZCI6IDQwMH0=",
        "request": "0123456789abcdef",
    } | changes


# -- To the state and back


def test_a_walk_stands_in_the_state_as_documented() -> None:
    walk = Walk("0123456789abcdef", EIGHT, since=EIGHT - timedelta(days=1), cursor="abc=")
    assert walk.to_state() == {
        "started_at": "2026-11-02T08:00:00Z",
        "since": "2026-11-01T08:00:00Z",
        "cursor": "abc=",
        "request": "0123456789abcdef",
    }
    walk.version, walk.parent = 1762070400, 101
    assert walk.to_state()["version"] == 1762070400
    assert walk.to_state()["parent"] == 101


def test_a_walk_within_its_first_page_has_no_cursor_yet() -> None:
    state = Walk("abc", EIGHT, parent=101).to_state()
    assert (state["cursor"], state["parent"]) == (None, 101)
    assert Walk.from_state(state) == Walk("abc", EIGHT, parent=101)


@given(WALKS)
@example(Walk("abc", EIGHT, cursor="a" * MAX_CURSOR))
def test_a_walk_survives_the_state(walk: Walk) -> None:
    assert Walk.from_state(json.loads(json.dumps(walk.to_state()))) == walk


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        pytest.param(None, "not an object", id="null"),
        pytest.param([stored()], "not an object", id="list"),
        pytest.param("walk", "not an object", id="text"),
        pytest.param({}, "started_at", id="empty"),
        pytest.param(stored(started_at="yesterday"), "started_at", id="started_at no date"),
        pytest.param(stored(started_at=1762070400), "started_at", id="started_at number"),
        pytest.param(stored(since="yesterday"), "since", id="since no date"),
        pytest.param(stored(since=False), "since", id="since false"),
        pytest.param(stored(since=""), "since", id="since empty"),
        pytest.param(stored(cursor=None), "cursor", id="cursor null"),
        pytest.param(stored(cursor=""), "cursor", id="cursor empty"),
        pytest.param(stored(cursor=400), "cursor", id="cursor number"),
        pytest.param(stored(cursor="a" * (MAX_CURSOR + 1)), "too long", id="cursor too long"),
        pytest.param(stored(request=None), "request", id="request null"),
        pytest.param(stored(version="1"), "version", id="version text"),
        pytest.param(stored(version=True), "version", id="version true"),
        pytest.param(stored(version=1.0), "version", id="version fraction"),
        pytest.param(stored(parent="101"), "parent", id="parent text"),
        pytest.param(stored(parent=True), "parent", id="parent true"),
        pytest.param(stored(parent=101.0), "parent", id="parent fraction"),
        pytest.param(stored(cursor=None, parent=0), "cursor", id="neither cursor nor parent"),
        pytest.param(stored(cursor=400, parent=101), "cursor", id="cursor number with parent"),
    ],
)
def test_what_is_no_walk_is_refused_by_name(value: object, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Walk.from_state(value)


@given(JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(stored(version=1, parent=1), JSON)))
@example(stored(started_at="0001-01-01T00:00:00+23:00"))
@example(stored(unknown="key"))
def test_reading_a_walk_raises_nothing_but_value_error(value: object) -> None:
    try:
        walk = Walk.from_state(value)
    except ValueError:
        return
    assert Walk.from_state(walk.to_state()) == walk


# -- Which rows are part of a walk


@pytest.mark.parametrize(
    ("since", "updated_at", "holds"),
    [
        (None, EIGHT, True),
        (NINE, NINE, True),
        (NINE, TEN, True),
        (NINE, NINE - timedelta(microseconds=1), False),
        (NINE, None, True),
        (None, None, True),
    ],
)
def test_a_walk_holds_what_is_not_older_than_its_bound(
    since: datetime | None, updated_at: datetime | None, *, holds: bool
) -> None:
    assert Walk("", EIGHT, since=since).holds(updated_at) is holds


# -- From where the next one starts


def bookmark(value: object = None, **entry: object) -> Bookmark:
    return Bookmark({"replication_key_value": value} | entry, "updated_at")


@pytest.mark.parametrize(
    ("value", "overlap", "start_date", "since"),
    [
        pytest.param(None, 300, None, None, id="neither"),
        pytest.param(None, 300, EIGHT, EIGHT, id="start_date only"),
        pytest.param(NINE, 0, None, NINE, id="no overlap"),
        pytest.param(NINE, 3600, None, EIGHT, id="overlap"),
        pytest.param(NINE.replace(microsecond=1), 3600, None, EIGHT, id="whole seconds"),
        pytest.param(TEN, 3600, EIGHT, NINE, id="later than start_date"),
        pytest.param(NINE, 3600, NINE, NINE, id="not before start_date"),
        pytest.param(NINE, 10**12, NINE, NINE, id="before all time, with start_date"),
        pytest.param(NINE, 10**12, None, None, id="before all time"),
    ],
)
def test_the_next_walk_starts_at_the_bookmark_less_the_overlap(
    value: datetime | None, overlap: int, start_date: datetime | None, since: datetime | None
) -> None:
    text = value and timestamps.render(value)
    assert bookmark(text).since(timedelta(seconds=overlap), start_date) == since


@given(
    st.none() | INSTANTS,
    st.timedeltas(min_value=NOTHING),
    st.none() | INSTANTS,
)
def test_the_next_walk_never_starts_before_start_date_or_after_the_bookmark(
    value: datetime | None, overlap: timedelta, start_date: datetime | None
) -> None:
    since = bookmark(value and timestamps.render(value)).since(overlap, start_date)
    if start_date is not None:
        assert since is not None
        assert since >= start_date
    if since is not None and since != start_date:
        assert value is not None
        assert value - overlap - timedelta(seconds=1) < since <= value - overlap


# -- The entry in the state


def test_the_first_page_leaves_the_bookmark_and_adds_the_walk() -> None:
    entry: dict[str, Any] = {
        "replication_key": "updated_at",
        "replication_key_value": "2026-11-01T08:00:00Z",
    }
    walk = Walk("abc", EIGHT, since=None, cursor="next")
    Bookmark(entry, "updated_at").checkpoint(walk)
    assert entry == {
        "replication_key": "updated_at",
        "replication_key_value": "2026-11-01T08:00:00Z",
        "walk": walk.to_state(),
    }


def test_the_end_of_a_walk_makes_its_start_the_bookmark() -> None:
    entry = {"walk": stored()}
    Bookmark(entry, "updated_at").finish(Walk("abc", NINE, cursor="next"))
    assert entry == {
        "replication_key": "updated_at",
        "replication_key_value": "2026-11-02T09:00:00Z",
    }


def test_a_full_table_has_an_end_but_no_bookmark() -> None:
    entry = {"walk": stored()}
    Bookmark(entry, None).finish(Walk("abc", NINE, cursor="next"))
    assert entry == {"completed_at": "2026-11-02T09:00:00Z"}


@pytest.mark.parametrize("key", ["updated_at", None])
def test_an_unfinished_walk_is_found_again(key: str | None) -> None:
    entry: dict[str, Any] = {}
    walk = Walk("abc", EIGHT, cursor="next")
    Bookmark(entry, key).checkpoint(walk)
    assert Bookmark(json.loads(json.dumps(entry)), key).unfinished() == walk


@pytest.mark.parametrize("entry", [{}, {"walk": None}])
def test_without_a_walk_there_is_none(entry: dict[str, Any]) -> None:
    assert Bookmark(entry, "updated_at").unfinished() is None


def test_a_walk_that_cannot_be_read_is_told() -> None:
    with pytest.raises(ValueError, match="cursor"):
        bookmark(walk=stored(cursor=None)).unfinished()


@pytest.mark.parametrize("key", ["updated_at", None])
@pytest.mark.parametrize("runs_since", [0, 1])
def test_a_walk_kept_by_a_merging_state_store_counts_as_finished(
    key: str | None, runs_since: int
) -> None:
    running: dict[str, Any] = {}
    Bookmark(running, key).checkpoint(Walk("abc", EIGHT, cursor="next"))
    finished: dict[str, Any] = {}
    Bookmark(finished, key).finish(Walk("abc", EIGHT + runs_since * timedelta(days=1)))
    assert Bookmark(running | finished, key).unfinished() is None


@pytest.mark.parametrize("key", ["updated_at", None])
def test_a_walk_begun_after_the_last_complete_one_is_unfinished(key: str | None) -> None:
    entry: dict[str, Any] = {}
    Bookmark(entry, key).finish(Walk("abc", EIGHT))
    walk = Walk("abc", NINE, cursor="next")
    Bookmark(entry, key).checkpoint(walk)
    assert Bookmark(entry, key).unfinished() == walk
