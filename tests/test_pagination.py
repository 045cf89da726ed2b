from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.answer import Answer
from tap_lev.errors import BrokenAnswerError, LevAPIError
from tap_lev.pagination import MAX_EMPTY, PageCap, Pages, Position
from tap_lev.row_counter import RowCounter

POSITIONS = st.none() | st.sampled_from(["", "a", "b", "c"]) | st.integers(-1, 2) | st.booleans()
PAGINATION = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "has_more": st.booleans() | st.none(),
        "next_cursor": POSITIONS,
        "offset": POSITIONS | st.integers(0, 400),
        "limit": POSITIONS | st.just(200),
        "total": st.integers(),
        "cursor": POSITIONS,
    },
)


API = "https://lev.example/api/external/v2"
NEW = itertools.count(1)


class Listing:
    """One list, followed without a server."""

    def __init__(self, *, cursor_only: bool = True, **given: Any) -> None:  # noqa: ANN401
        self.counter = RowCounter()
        self.pages = Pages(
            "GET /contacts", self.counter, cursor_only=cursor_only, api_url=API, **given
        )

    def after(
        self,
        pagination: dict[str, Any] | None,
        position: Position,
        rows: int = 1,
        keys: list[Any] | None = None,
    ) -> Position | None:
        """The position after a page with so many new rows, or with these keys."""
        given = list(itertools.islice(NEW, rows)) if keys is None else keys
        self.counter.add(pagination, given)
        return self.pages.after(answered(pagination, given), position)


def answered(pagination: dict[str, Any] | None, rows: list[Any]) -> Answer:
    """An answer with such a pagination."""
    return Answer("GET /contacts", rows, pagination, None, datetime.now(UTC))


def pages(*, cursor_only: bool = True, **given: Any) -> Listing:  # noqa: ANN401
    return Listing(cursor_only=cursor_only, **given)


@pytest.mark.parametrize(
    "pagination",
    [
        pytest.param(None, id="no pagination"),
        pytest.param({}, id="empty pagination"),
        pytest.param({"has_more": False, "next_cursor": None}, id="the end"),
        pytest.param({"has_more": False, "next_cursor": "a"}, id="has_more counts, not the cursor"),
        pytest.param({"has_more": None, "next_cursor": None}, id="has_more null and no cursor"),
        pytest.param({"next_cursor": None}, id="no has_more and no cursor"),
        pytest.param({"total": 401, "limit": 200, "offset": 400}, id="no has_more, by offset"),
    ],
)
@pytest.mark.parametrize("cursor_only", [True, False])
def test_the_last_page(pagination: dict[str, Any] | None, *, cursor_only: bool) -> None:
    assert pages(cursor_only=cursor_only).after(pagination, {}) is None


@pytest.mark.parametrize(
    ("pagination", "following"),
    [
        ({"has_more": True, "next_cursor": "a"}, {"cursor": "a"}),
        # A null says nothing, and a request too many is less than a page too few.
        ({"has_more": None, "next_cursor": "a"}, {"cursor": "a"}),
        ({"next_cursor": "a"}, {"cursor": "a"}),
        ({"has_more": True, "next_cursor": "a", "offset": 0, "limit": 50}, {"cursor": "a"}),
        ({"has_more": True, "next_cursor": "a", "total": 0}, {"cursor": "a"}),
    ],
)
@pytest.mark.parametrize("cursor_only", [True, False])
def test_a_cursor_is_followed(
    pagination: dict[str, Any], following: Position, *, cursor_only: bool
) -> None:
    assert pages(cursor_only=cursor_only).after(pagination, {}) == following


def test_an_offset_is_followed_in_short_lists_only() -> None:
    pagination = {"total": 120, "limit": 50, "offset": 50, "has_more": True}
    following = pages(cursor_only=False).after(pagination, {"limit": 50, "offset": 50}, 50)
    assert following == {"limit": 50, "offset": 100}
    with pytest.raises(BrokenAnswerError, match=r"GET /contacts .* does not say where"):
        pages(cursor_only=True).after(pagination, {})


COUNTED = {"total": 142, "limit": 50, "offset": 0}


@pytest.mark.parametrize("more", [{}, {"has_more": None, "next_cursor": None}])
def test_a_total_beyond_the_page_is_followed_by_offset(more: dict[str, Any]) -> None:
    following = pages(cursor_only=False).after(COUNTED | more, {}, 50)
    assert following == {"limit": 50, "offset": 50}
    assert pages(cursor_only=True).after(COUNTED | more, {}, 50) is None, "it is counted as a whole"
    assert pages(cursor_only=False).after(COUNTED | more, {"cursor": "a"}, 50) is None


@pytest.mark.parametrize(
    ("pagination", "rows"),
    [
        pytest.param({"has_more": False}, 50, id="has_more false"),
        pytest.param({"offset": 100}, 42, id="the last rows"),
        pytest.param({"offset": 150}, 0, id="beyond the end"),
        pytest.param({}, 142, id="the whole list, whatever the limit"),
        pytest.param({"total": "142"}, 49, id="total a text"),
        pytest.param({"total": True, "offset": -50}, 49, id="total a boolean"),
    ],
)
@pytest.mark.parametrize("cursor_only", [True, False])
def test_a_total_that_is_reached_or_says_nothing_is_the_end(
    pagination: dict[str, Any], rows: int, *, cursor_only: bool
) -> None:
    assert pages(cursor_only=cursor_only).after(COUNTED | pagination, {}, rows) is None


def test_a_total_is_followed_to_its_end() -> None:
    walk, position, offsets = pages(cursor_only=False), {}, []
    while position is not None:
        offset = position.get("offset", 0)
        offsets.append(offset)
        position = walk.after(COUNTED | {"offset": offset}, position, min(50, 142 - offset))
    assert offsets == [0, 50, 100]


@pytest.mark.parametrize(
    ("rows", "offset"), [(100, 300), (199, 399), (200, 400), (250, 400)]
)
def test_an_offset_skips_no_row_of_a_page_that_is_not_full(rows: int, offset: int) -> None:
    answer = {"has_more": True, "offset": 200, "limit": 200}
    following = pages(cursor_only=False).after(answer, {}, rows)
    assert following == {"limit": 200, "offset": offset}


@pytest.mark.parametrize(
    "pagination",
    [
        pytest.param({"next_cursor": None}, id="null cursor"),
        pytest.param({"next_cursor": ""}, id="empty cursor"),
        pytest.param({"next_cursor": 200}, id="cursor a number"),
        pytest.param({}, id="nothing"),
        pytest.param({"offset": 0}, id="no limit"),
        pytest.param({"offset": "0", "limit": "50"}, id="texts"),
        pytest.param({"offset": 0, "limit": 0}, id="limit 0"),
    ],
)
@pytest.mark.parametrize("cursor_only", [True, False])
def test_more_rows_without_a_way_to_them_are_an_error(
    pagination: dict[str, Any], *, cursor_only: bool
) -> None:
    with pytest.raises(BrokenAnswerError, match="does not say where"):
        pages(cursor_only=cursor_only).after(pagination | {"has_more": True}, {})


@pytest.mark.parametrize(
    "cursors",
    [
        pytest.param(["a", "a"], id="the same again"),
        pytest.param(["a", "b", "c", "a"], id="a longer circle"),
    ],
)
def test_a_circle_is_an_error(cursors: list[str]) -> None:
    walk, position = pages(), {}
    for cursor in cursors[:-1]:
        position = walk.after({"has_more": True, "next_cursor": cursor}, position) or {}
    with pytest.raises(BrokenAnswerError, match=r"in circles: .* Stopped rather than loop"):
        walk.after({"has_more": True, "next_cursor": cursors[-1]}, position)


def test_a_circle_to_where_a_resumed_walk_began_is_an_error() -> None:
    with pytest.raises(BrokenAnswerError, match="in circles"):
        pages().after({"has_more": True, "next_cursor": "a"}, {"cursor": "a"})


def test_an_offset_that_does_not_move_is_an_error() -> None:
    walk, answer = pages(cursor_only=False), {"limit": 50, "offset": 0, "has_more": True}
    position = walk.after(answer, {}, 50)
    assert position == {"limit": 50, "offset": 50}
    with pytest.raises(BrokenAnswerError, match="in circles"):
        walk.after(answer, position, 50)


# -- Pages by number


def numbered(
    pagination: dict[str, Any] | None, rows: int, page: int = 1, limit: int = 200
) -> Position | None:
    """The position after a page that was asked for by its number."""
    return pages(cursor_only=False).after(pagination, {"limit": limit, "page": page}, rows)


@pytest.mark.parametrize(
    ("pagination", "rows"),
    [
        pytest.param({"has_more": True, "limit": 200, "page": 1}, 200, id="has_more"),
        pytest.param({"has_more": True, "limit": 200}, 1, id="has_more counts, not the rows"),
        pytest.param({"has_more": None}, 200, id="a full page, has_more null"),
        pytest.param({"total": 900, "page": 1}, 200, id="a full page, no has_more"),
        pytest.param({"limit": 50}, 50, id="a page as full as Lev says"),
        pytest.param({}, 200, id="a full page, nothing told"),
        pytest.param(None, 200, id="a full page, no pagination"),
        pytest.param({"pages": 8}, 100, id="a short page, pages follow"),
        pytest.param({"total": 101}, 100, id="a short page, rows follow"),
    ],
)
def test_a_page_is_followed_by_the_next_number(
    pagination: dict[str, Any] | None, rows: int
) -> None:
    assert numbered(pagination, rows, page=7) == {"limit": 200, "page": 8}


@pytest.mark.parametrize(
    ("pagination", "rows"),
    [
        pytest.param({"has_more": False, "limit": 200}, 200, id="has_more false"),
        pytest.param({"has_more": True, "limit": 200}, 0, id="empty, whatever has_more says"),
        pytest.param({}, 0, id="empty"),
        pytest.param({"limit": 50}, 49, id="shorter than Lev's limit"),
        pytest.param({"limit": 50}, 200, id="the whole list, whatever the limit"),
        pytest.param(None, 450, id="overfull"),
        pytest.param({"total": 450, "pages": 1}, 450, id="overfull and all there is"),
        pytest.param({"total": 250, "pages": 3}, 0, id="empty, whatever is counted"),
        pytest.param({"has_more": False, "total": 250, "pages": 3}, 100, id="has_more goes first"),
    ],
)
def test_the_last_numbered_page(pagination: dict[str, Any] | None, rows: int) -> None:
    assert numbered(pagination, rows) is None


@pytest.mark.parametrize("counted", [{"total": 250}, {"pages": 3}, {"total": 250, "pages": 3}])
def test_numbered_pages_are_read_as_far_as_lev_counts(counted: dict[str, Any]) -> None:
    walk, position = pages(cursor_only=False), {"limit": 200, "page": 1}
    for page, rows in enumerate((100, 100, 50), 1):
        assert position == {"limit": 200, "page": page}
        position = walk.after(counted | {"page": page}, position, rows)
    assert position is None


@pytest.mark.parametrize(
    ("pagination", "following"),
    [
        ({"has_more": True, "next_cursor": "a"}, {"cursor": "a"}),
        ({"has_more": True, "next_cursor": None, "offset": 0, "limit": 50},
         {"limit": 50, "offset": 50}),
        ({"has_more": False, "next_cursor": "a"}, None),
    ],
)  # fmt: skip
def test_where_the_answer_shows_another_way_numbers_are_left(
    pagination: dict[str, Any], following: Position | None
) -> None:
    assert numbered(pagination, 50) == following


@pytest.mark.parametrize(("rows", "step"), [(0, None), (1, 1), (50, 50), (60, 50)])
def test_an_offset_leads_on_from_a_page_with_rows_only(rows: int, step: int | None) -> None:
    answer = {"has_more": True, "offset": 0, "limit": 50}
    if step is None:
        with pytest.raises(BrokenAnswerError, match="does not say where"):
            pages(cursor_only=False).after(answer, {}, rows)
    else:
        following = pages(cursor_only=False).after(answer, {}, rows)
        assert following == {"limit": 50, "offset": step}


@given(st.lists(st.tuples(PAGINATION, st.integers(0, 300))), st.booleans())
def test_whatever_lev_sends_numbered_pages_end_or_move_on(
    answers: list[tuple[dict[str, Any] | None, int]],
    cursor_only: bool,  # noqa: FBT001
) -> None:
    walk, position = pages(cursor_only=cursor_only), {"limit": 200, "page": 1}
    asked = [position]
    for answer, rows in answers:
        try:
            following = walk.after(answer, position, rows)
        except BrokenAnswerError:
            return
        if following is None:
            assert not (rows and answer and answer.get("has_more"))
            return
        assert following not in asked
        asked.append(following)
        position = following


@given(st.lists(PAGINATION), st.booleans())
def test_whatever_lev_sends_a_list_ends_or_moves_on(
    answers: list[dict[str, Any] | None],
    cursor_only: bool,  # noqa: FBT001
) -> None:
    walk, position, asked = pages(cursor_only=cursor_only), {}, [{}]
    for answer in answers:
        try:
            following = walk.after(answer, position)
        except BrokenAnswerError:
            return
        if following is None:
            assert not (answer and answer.get("has_more"))
            return
        assert following not in asked
        assert not cursor_only or following.keys() == {"cursor"}
        asked.append(following)
        position = following
