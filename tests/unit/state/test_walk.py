from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_lev.api.pagination import MAX_CURSOR
from tap_lev.state.walk import DIGEST, KEYS, NO_WALK, Place, Walk, digest_of

EIGHT = datetime(2026, 11, 2, 8, tzinfo=UTC)
NINE, TEN = EIGHT + timedelta(hours=1), EIGHT + timedelta(hours=2)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
INSTANTS = st.datetimes(timezones=st.just(UTC))
NUMBERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
WALKS = st.builds(
    Walk,
    query_identity=st.text(),
    started_at=INSTANTS,
    since=st.none() | INSTANTS,
    version=st.none() | NUMBERS,
    place=st.builds(
        Place,
        cursor=st.none() | st.text(min_size=1),
        parent_id=st.none() | st.integers(min_value=1, max_value=2**63 - 1),
        rows_read=st.none() | NUMBERS,
        filter_from=st.none() | INSTANTS,
    ),
)
WALK = Walk(
    "0123456789abcdef", EIGHT, since=EIGHT - timedelta(days=1), version=1762070400,
    place=Place("abc=", parent_id=101, rows_read=400, filter_from=EIGHT - timedelta(days=2)),
)  # fmt: skip


def stored(**changes: object) -> dict[str, Any]:
    """Write a walk as it is in a state, with a digest that fits."""
    walk = WALK.to_state() | {"parent": None, "version": None} | changes
    return walk | {DIGEST: digest_of(walk)}


# -- To the state and back


def test_a_walk_is_in_the_state_as_documented() -> None:
    walk = WALK.to_state()
    assert walk.pop(DIGEST) == digest_of(walk)
    assert walk == {
        "started_at": "2026-11-02T08:00:00Z",
        "since": "2026-11-01T08:00:00Z",
        "cursor": "abc=",
        "request": "0123456789abcdef",
        "parent": 101,
        "seen": 400,
        "filter": "2026-10-31T08:00:00Z",
        "version": 1762070400,
    }


@given(WALKS)
def test_every_key_of_a_walk_is_always_there(walk: Walk) -> None:
    assert tuple(walk.to_state()) == KEYS
    assert tuple(NO_WALK) == KEYS
    assert set(NO_WALK.values()) == {None}


def test_a_walk_within_its_first_page_has_no_cursor_yet() -> None:
    state = Walk("abc", EIGHT, place=Place(parent_id=101)).to_state()
    assert (state["cursor"], state["parent"]) == (None, 101)
    assert Walk.from_state(state) == Walk("abc", EIGHT, place=Place(parent_id=101))


@pytest.mark.parametrize(
    ("changes", "is_at_its_beginning"),
    [
        ({}, True),
        ({"cursor": "abc="}, False),
        ({"parent_id": 101}, False),
        ({"rows_read": 0}, True),
    ],
)
def test_a_walk_is_at_its_beginning_until_a_row_is_covered(
    changes: dict[str, Any], *, is_at_its_beginning: bool
) -> None:
    walk = Walk("abc", EIGHT, place=Place(**changes))
    assert walk.is_at_its_beginning is is_at_its_beginning
    assert Walk.from_state(walk.to_state()) == walk


@given(WALKS)
@example(Walk("abc", EIGHT, place=Place("a" * MAX_CURSOR)))
def test_a_walk_survives_the_state(walk: Walk) -> None:
    assert Walk.from_state(json.loads(json.dumps(walk.to_state()))) == walk


@given(WALKS)
def test_the_order_of_the_keys_is_not_in_the_digest(walk: Walk) -> None:
    """A store that merges states, or sorts their keys, leaves another order."""
    state = json.loads(json.dumps(walk.to_state(), sort_keys=True))
    assert Walk.from_state(dict(reversed(state.items()))) == walk


@pytest.mark.parametrize("value", [NO_WALK, {}, {"cursor": None}])
def test_an_object_of_nulls_is_no_walk(value: dict[str, Any]) -> None:
    assert Walk.from_state(value) is None


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        pytest.param(None, "not an object", id="null"),
        pytest.param([stored()], "not an object", id="list"),
        pytest.param("walk", "not an object", id="text"),
        pytest.param(stored(started_at="yesterday"), "started_at", id="started_at no date"),
        pytest.param(stored(started_at=None), "started_at", id="started_at null"),
        pytest.param(stored(started_at=1762070400), "started_at", id="started_at number"),
        pytest.param(stored(since="yesterday"), "since", id="since no date"),
        pytest.param(stored(since=False), "since", id="since false"),
        pytest.param(stored(since=""), "since", id="since empty"),
        pytest.param(stored(cursor=""), "cursor", id="cursor empty"),
        pytest.param(stored(cursor=400), "cursor", id="cursor number"),
        pytest.param(stored(cursor="a" * (MAX_CURSOR + 1)), "cursor", id="cursor too long"),
        pytest.param(stored(request=None), "request", id="request null"),
        pytest.param(stored(version="1"), "version", id="version text"),
        pytest.param(stored(version=True), "version", id="version true"),
        pytest.param(stored(version=1.5), "version", id="version fraction"),
        pytest.param(stored(parent="101"), "parent", id="parent text"),
        pytest.param(stored(parent=True), "parent", id="parent true"),
        pytest.param(stored(parent=101.5), "parent", id="parent fraction"),
        pytest.param(stored(seen="400"), "seen", id="seen text"),
        pytest.param(stored(filter=5), "filter", id="filter number"),
        pytest.param(stored(cursor=400, parent=101), "cursor", id="cursor number with parent"),
    ],
)
def test_what_is_no_walk_is_refused_by_name(value: object, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Walk.from_state(value)


@pytest.mark.parametrize("key", [key for key in KEYS if key != DIGEST])
@pytest.mark.parametrize("change", ["other", "absent", "null"])
def test_a_walk_that_was_edited_is_refused(key: str, change: str) -> None:
    state = WALK.to_state()
    if change == "absent":
        del state[key]
    else:
        numbers = {"parent": 102, "seen": 401, "version": 1762070401}
        state[key] = None if change == "null" else numbers.get(key, "2026-11-01T07:00:00Z")
    with pytest.raises(ValueError, match="digest"):
        Walk.from_state(state)


def test_a_walk_with_another_key_is_refused() -> None:
    with pytest.raises(ValueError, match="digest"):
        Walk.from_state(WALK.to_state() | {"note": "by hand"})


def test_a_walk_without_a_digest_is_of_an_older_release() -> None:
    state = {key: value for key, value in WALK.to_state().items() if key != DIGEST}
    with pytest.raises(ValueError, match="an older release of tap-lev wrote it"):
        Walk.from_state(state)


@given(WALKS, WALKS, st.sets(st.sampled_from(KEYS)))
def test_a_mix_of_two_walks_is_refused(one: Walk, other: Walk, keys: set[str]) -> None:
    mixed = one.to_state() | {key: other.to_state()[key] for key in keys}
    if mixed in (one.to_state(), other.to_state()):
        assert Walk.from_state(mixed) in (one, other)
    else:
        with pytest.raises(ValueError, match="digest"):
            Walk.from_state(mixed)


@given(JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)))
@example(stored(started_at="0001-01-01T00:00:00+23:00"))
@example(stored(unknown="key"))
@example(stored(started_at="2026-11-02T08:00:00.5+02:00"))
def test_reading_a_walk_raises_nothing_but_value_error(value: object) -> None:
    for given_ in (value, signed(value)):
        try:
            walk = Walk.from_state(given_)
        except ValueError:
            continue
        assert walk is None or Walk.from_state(walk.to_state()) == walk


def signed(value: object) -> object:
    """Give what is an object a digest that fits, as only ``to_state`` or a forger does."""
    return value | {DIGEST: digest_of(value)} if isinstance(value, dict) else value


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
    assert Walk("", EIGHT, since=since).includes(updated_at) is holds
