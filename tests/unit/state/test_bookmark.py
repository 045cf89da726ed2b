"""A stream's entry in the state: what it says, that it is whole, and that it survives a merge."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_lev import timestamps
from tap_lev.errors import ConfigError
from tap_lev.state.bookmark import Bookmark, Canary, Failed
from tap_lev.state.walk import KEYS as WALK_KEYS
from tap_lev.state.walk import NO_WALK, Place, Walk
from tests.support.process import merged
from tests.unit.state.test_walk import INSTANTS, JSON, NUMBERS, WALKS

EIGHT = datetime(2026, 11, 2, 8, tzinfo=UTC)
NINE, TEN = EIGHT + timedelta(hours=1), EIGHT + timedelta(hours=2)
NOTHING = timedelta(0)
EMPTY: dict[str, Any] = {
    "replication_key": None, "replication_key_value": None, "completed_at": None, "version": None,
    "account": None, "user": None, "start_date": None, "columns": None, "canaries": [],
    "undated": False, "failed": [], "shortfall": None, "walk": NO_WALK,
}  # fmt: skip
"""A stream's entry before its first walk."""
REPLICATION_KEYS = st.sampled_from(["updated_at", None])


def whole(replication_key: str | None = "updated_at", /, **entry: object) -> Bookmark:
    """Read an entry, as a run does at its start."""
    bookmark = Bookmark(dict(entry), replication_key)
    bookmark.complete("contacts")
    return bookmark


def entry_of(bookmark: Bookmark) -> dict[str, Any]:
    """The entry as it comes back from a state store."""
    entry: dict[str, Any] = json.loads(json.dumps(bookmark._entry))
    return entry


# -- Whole


@pytest.mark.parametrize("key", ["updated_at", None])
def test_an_entry_has_every_key_before_its_first_walk(key: str | None) -> None:
    assert entry_of(whole(key)) == EMPTY | {"replication_key": key}


def test_an_entry_of_the_old_release_gets_the_keys_that_it_lacks() -> None:
    old = {"replication_key": "updated_at", "replication_key_value": "2026-11-01T08:00:00Z"}
    assert entry_of(whole(**old)) == EMPTY | old


@given(st.dictionaries(st.sampled_from(list(EMPTY)), JSON), REPLICATION_KEYS)
@example({"canaries": [[5, "2026-11-01T08:00:00Z"], 5]}, None)
@example({"canaries": [["5", "2026-11-01T08:00:00Z"], [True, "2026-11-01"], [5, "x"]]}, None)
def test_whatever_an_entry_holds_all_keys_are_there(given_: Any, key: str | None) -> None:  # noqa: ANN401
    try:
        bookmark = whole(key, **given_)
    except ConfigError as error:
        assert "list of failed rows of contacts" in str(error)  # noqa: PT017 - it need not be
        return
    assert list(bookmark._entry) == list(EMPTY)
    assert bookmark.value is None or bookmark.value.tzinfo is not None
    assert bookmark.canaries == [] or all(type(c.key) is int for c in bookmark.canaries)
    for name in ("account", "user", "start_date", "columns", "version", "shortfall", "undated"):
        getattr(bookmark, name)


def test_what_is_not_of_this_release_stays() -> None:
    assert entry_of(whole(newer={"a": 1}))["newer"] == {"a": 1}


@pytest.mark.parametrize("failed", [5, [5], [[5, "2026-11-01"]], [[5, None, "x"]], ["abc", 3]])
def test_rows_to_ask_for_again_that_cannot_be_read_are_not_dropped(failed: object) -> None:
    with pytest.raises(ConfigError, match="Give the state that tap-lev wrote last"):
        whole(failed=failed)


def test_what_an_entry_says_is_said_as_documented() -> None:
    bookmark = whole()
    bookmark.own(56, 1234)
    bookmark.version, bookmark.columns, bookmark.undated = 1762070400, "00ff12ab", True
    bookmark.start_date = EIGHT
    bookmark.canaries = [Canary(78, NINE)]
    bookmark.failed = [Failed(5, "2026-11-02T08:00:00Z", 3)]
    bookmark.shortfall = 2, 1
    assert entry_of(bookmark) == EMPTY | {
        "replication_key": "updated_at",
        "account": 56,
        "user": 1234,
        "version": 1762070400,
        "columns": "00ff12ab",
        "undated": True,
        "start_date": "2026-11-02T08:00:00Z",
        "canaries": [[78, "2026-11-02T09:00:00Z"]],
        "failed": [[5, "2026-11-02T08:00:00Z", 3]],
        "shortfall": [2, 1],
    }
    read = whole(**entry_of(bookmark))
    assert (read.account, read.user) == (56, 1234)
    assert (read.version, read.columns, read.undated) == (1762070400, "00ff12ab", True)
    assert (read.start_date, read.canaries) == (EIGHT, [Canary(78, NINE)])
    assert (read.failed, read.shortfall) == ([Failed(5, "2026-11-02T08:00:00Z", 3)], (2, 1))


def test_who_is_unknown_does_not_replace_who_is_known() -> None:
    bookmark = whole()
    bookmark.own(56, 1234)
    bookmark.own(None, None)
    assert (bookmark.account, bookmark.user) == (56, 1234)


# -- A store that merges states key by key


@st.composite
def entries(draw: st.DrawFn, replication_key: str | None) -> dict[str, Any]:
    """An entry that a run of this release may leave."""
    bookmark = whole(replication_key)
    for finished in draw(st.lists(WALKS, max_size=2)):
        bookmark.finish(finished)
    if (walk := draw(st.none() | WALKS)) is not None:
        bookmark.save_walk(walk)
    bookmark.own(
        draw(st.none() | st.integers(1) | st.text(min_size=1)), draw(st.none() | st.integers(1))
    )
    bookmark.version = draw(st.none() | NUMBERS)
    bookmark.start_date = draw(st.none() | INSTANTS)
    bookmark.columns = draw(st.text("0123456789abcdef"))
    bookmark.undated = draw(st.booleans())
    bookmark.canaries = draw(st.lists(st.builds(Canary, st.integers(1), INSTANTS), max_size=2))
    moments = INSTANTS.map(timestamps.render)
    bookmark.failed = draw(
        st.lists(st.builds(Failed, st.integers(1), moments, st.integers(1)), max_size=3)
    )
    bookmark.shortfall = draw(st.none() | st.tuples(st.integers(1), st.integers(1)))
    return entry_of(bookmark)


@given(st.data(), REPLICATION_KEYS)
def test_the_merge_of_two_entries_is_one_of_them(data: st.DataObject, key: str | None) -> None:
    one, other = data.draw(entries(key)), data.draw(entries(key))
    assert list(one) == list(other) == list(EMPTY)
    assert merged(one, other) == one
    assert merged(other, one) == other


@given(st.data(), REPLICATION_KEYS)
def test_a_merge_over_an_entry_of_the_old_release_leaves_nothing_of_it(
    data: st.DataObject, key: str | None
) -> None:
    walk = {
        name: data.draw(JSON.filter(lambda v: v is not None and not isinstance(v, dict)))
        for name in data.draw(st.sets(st.sampled_from(WALK_KEYS)))
    }
    old: dict[str, Any] = {"completed_at": "2026-11-01T08:00:00Z"}
    new = data.draw(entries(key))
    assert merged(new, old | ({"walk": walk} if walk else {})) == new


# -- From where the next walk starts


@pytest.mark.parametrize(
    ("value", "overlap", "start_date", "since"),
    [
        pytest.param(None, 300, None, None, id="neither"),
        pytest.param(None, 300, EIGHT, EIGHT, id="start_date only"),
        pytest.param(NINE, 0, None, NINE, id="no overlap"),
        pytest.param(NINE, 3600, None, EIGHT, id="overlap"),
        pytest.param(NINE.replace(microsecond=1), 3600, None, EIGHT, id="whole seconds"),
        pytest.param(TEN, 3600, EIGHT, NINE, id="later than start_date"),
        pytest.param(NINE, 3600, NINE, EIGHT, id="start_date bounds a first walk only"),
        pytest.param(NINE, 0, TEN, NINE, id="start_date after the bookmark"),
        pytest.param(NINE, 10**12, NINE, NINE, id="before all time, with start_date"),
        pytest.param(NINE, 10**12, None, None, id="before all time"),
    ],
)
def test_the_next_walk_starts_at_the_bookmark_less_the_overlap(
    value: datetime | None, overlap: int, start_date: datetime | None, since: datetime | None
) -> None:
    bookmark = whole(replication_key_value=value and timestamps.render(value))
    assert bookmark.since(timedelta(seconds=overlap), start_date) == since


@given(st.none() | INSTANTS, st.timedeltas(min_value=NOTHING), st.none() | INSTANTS)
def test_the_next_walk_never_starts_after_the_bookmark_less_the_overlap(
    value: datetime | None, overlap: timedelta, start_date: datetime | None
) -> None:
    bookmark = whole(replication_key_value=value and timestamps.render(value))
    since = bookmark.since(overlap, start_date)
    if value is None:
        assert since == start_date
    elif since != start_date:
        assert since is not None
        assert value - overlap - timedelta(seconds=1) < since <= value - overlap


@pytest.mark.parametrize("key", ["updated_at", None])
def test_after_a_clock_was_set_back_the_earlier_start_counts(key: str | None) -> None:
    bookmark = whole(key, replication_key_value="2026-11-02T10:00:00Z" if key else None,
                     completed_at="2026-11-02T08:00:00Z")  # fmt: skip
    assert bookmark.since(NOTHING, None) == EIGHT


# -- The end of a walk


def test_the_first_page_leaves_the_bookmark_and_adds_the_walk() -> None:
    bookmark = whole(replication_key_value="2026-11-01T08:00:00Z")
    before, walk = entry_of(bookmark), Walk("abc", EIGHT, since=None, place=Place("next"))
    bookmark.save_walk(walk)
    assert entry_of(bookmark) == before | {"walk": walk.to_state()}


def test_the_end_of_a_walk_makes_its_start_the_bookmark() -> None:
    bookmark = whole(replication_key_value="2026-11-01T08:00:00Z")
    bookmark.save_walk(Walk("abc", NINE, place=Place("next")))
    bookmark.finish(Walk("abc", NINE, place=Place("next")))
    assert entry_of(bookmark) == EMPTY | {
        "replication_key": "updated_at", "replication_key_value": "2026-11-02T09:00:00Z",
    }  # fmt: skip


def test_a_full_table_has_an_end_but_no_bookmark() -> None:
    bookmark = whole(None)
    bookmark.save_walk(Walk("abc", NINE, place=Place("next")))
    bookmark.finish(Walk("abc", NINE, place=Place("next")))
    assert entry_of(bookmark) == EMPTY | {"completed_at": "2026-11-02T09:00:00Z"}


def test_a_bookmark_never_moves_back_and_what_came_since_is_not_lost() -> None:
    bookmark = whole()
    bookmark.finish(Walk("abc", TEN))
    bookmark.finish(Walk("abc", EIGHT))
    entry = entry_of(bookmark)
    assert entry["replication_key_value"] == "2026-11-02T10:00:00Z"
    assert entry["completed_at"] == "2026-11-02T08:00:00Z"
    assert whole(**entry).since(NOTHING, None) == EIGHT
    bookmark.finish(Walk("abc", NINE))
    assert entry_of(bookmark)["completed_at"] == "2026-11-02T09:00:00Z"
    bookmark.finish(Walk("abc", TEN + timedelta(hours=1)))
    entry = entry_of(bookmark)
    assert entry["replication_key_value"] == "2026-11-02T11:00:00Z"
    assert entry["completed_at"] is None, "it stays no longer than the clock is behind"


def test_a_full_table_s_end_never_moves_back() -> None:
    bookmark = whole(None)
    bookmark.finish(Walk("abc", TEN))
    bookmark.finish(Walk("abc", EIGHT))
    assert entry_of(bookmark)["completed_at"] == "2026-11-02T10:00:00Z"


@given(st.lists(WALKS, min_size=1), REPLICATION_KEYS)
def test_the_next_walk_covers_what_changed_since_the_last_one_began(
    walks: list[Walk], key: str | None
) -> None:
    bookmark, newest = whole(key), None
    for walk in walks:
        bookmark.finish(walk)
        entry = entry_of(bookmark)
        stored = timestamps.parse(entry["replication_key_value" if key else "completed_at"])
        assert stored is not None
        assert newest is None or stored >= newest, "it never moves back"
        newest = stored
        if key:
            assert whole(key, **entry).value == timestamps.parse(timestamps.render(walk.started_at))


# -- The walk in the state


@pytest.mark.parametrize("key", ["updated_at", None])
def test_an_unfinished_walk_is_found_again(key: str | None) -> None:
    bookmark, walk = whole(key), Walk("abc", EIGHT, place=Place("next"))
    bookmark.save_walk(walk)
    assert whole(key, **entry_of(bookmark)).load_walk() == walk
    bookmark.discard_walk()
    assert whole(key, **entry_of(bookmark)).load_walk() is None
    assert entry_of(bookmark)["walk"] == NO_WALK


@pytest.mark.parametrize("entry", [{}, {"walk": None}, {"walk": {}}, {"walk": NO_WALK}])
def test_without_a_walk_there_is_none(entry: dict[str, Any]) -> None:
    assert whole(**entry).load_walk() is None


@pytest.mark.parametrize("walk", [5, "walk", [], {"cursor": "abc"}, {"digest": "abc"}])
def test_a_walk_that_cannot_be_read_is_named(walk: object) -> None:
    with pytest.raises(ValueError, match=r"not an object|older release|digest"):
        whole(walk=walk).load_walk()


OLD_WALK = {"started_at": "2026-11-02T08:00:00Z", "since": None, "cursor": "next", "request": "abc"}
"""A walk as the old release wrote it."""


@pytest.mark.parametrize("key", ["replication_key_value", "completed_at"])
@pytest.mark.parametrize("end", ["2026-11-02T08:00:00Z", "2026-11-03T08:00:00Z"])
def test_a_walk_of_the_old_release_that_has_ended_is_none(key: str, end: str) -> None:
    """Its stores kept it where they merge states."""
    assert whole(**{key: end, "walk": OLD_WALK}).load_walk() is None


@pytest.mark.parametrize("key", ["replication_key_value", "completed_at"])
@pytest.mark.parametrize("end", [None, "2026-11-02T07:59:59Z"])
def test_a_walk_of_the_old_release_that_has_not_ended_is_named(key: str, end: str | None) -> None:
    with pytest.raises(ValueError, match="an older release of tap-lev wrote it"):
        whole(**{key: end, "walk": OLD_WALK}).load_walk()


@pytest.mark.parametrize("end", ["2026-11-02T08:00:00Z", "2026-11-03T08:00:00Z"])
def test_a_walk_with_a_digest_is_unfinished_whatever_the_bookmark_is(end: str) -> None:
    """Its digest says that it is whole, and a walk that has ended is not in the state."""
    walk = Walk("abc", EIGHT, place=Place("next"))
    entry = {"replication_key_value": end, "walk": walk.to_state()}
    assert whole(**entry).load_walk() == walk
