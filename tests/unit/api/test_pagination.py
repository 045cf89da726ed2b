from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.api.pagination import MAX_EMPTY_PAGES, ListRules, PageCap, Paginator, Position
from tap_lev.api.response import LevResponse
from tap_lev.api.row_counter import RowCounter
from tap_lev.errors import ErrorFacts, InvalidResponseError, LevAPIError

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
        cap = given.pop("cap", None)
        rules = ListRules(endpoint="GET /contacts", cursor_only=cursor_only, api_url=API, **given)
        self.pages = Paginator(rules, self.counter, cap)

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
        return self.pages.next_position(answered(pagination, given), position)


def answered(pagination: dict[str, Any] | None, rows: list[Any]) -> LevResponse:
    """An answer with such a pagination."""
    return LevResponse("GET /contacts", rows, pagination, None, datetime.now(UTC))


Said = Callable[[Position], tuple[dict[str, Any] | None, list[Any]]]


def follow(walk: Listing, position: Position | None, say: Said) -> Iterator[Position]:
    """Read a list from page to page."""
    while position is not None:
        yield position
        pagination, keys = say(position)
        position = walk.after(pagination, position, keys=keys)


def endless(walk: Listing, position: Position, say: Said) -> int:
    """How many pages of a list are read until it is given up as endless."""
    asked = 0

    def counted(position: Position) -> tuple[dict[str, Any] | None, list[Any]]:
        nonlocal asked
        asked += 1
        assert asked < 20
        return say(position)

    with pytest.raises(
        InvalidResponseError, match=r"same page of GET /contacts again and again. 2"
    ):
        list(follow(walk, position, counted))
    return asked


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
    with pytest.raises(InvalidResponseError, match=r"GET /contacts .* does not say where"):
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


@pytest.mark.parametrize(("rows", "offset"), [(100, 300), (199, 399), (200, 400), (250, 400)])
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
    with pytest.raises(InvalidResponseError, match="does not say where"):
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
    with pytest.raises(InvalidResponseError, match=r"in circles: .* Stopped rather than loop"):
        walk.after({"has_more": True, "next_cursor": cursors[-1]}, position)


def test_a_circle_to_where_a_resumed_walk_began_is_an_error() -> None:
    with pytest.raises(InvalidResponseError, match="in circles"):
        pages().after({"has_more": True, "next_cursor": "a"}, {"cursor": "a"})


def test_an_offset_that_does_not_move_is_an_error() -> None:
    walk, answer = pages(cursor_only=False), {"limit": 50, "offset": 0, "has_more": True}
    position = walk.after(answer, {}, 50)
    assert position == {"limit": 50, "offset": 50}
    with pytest.raises(InvalidResponseError, match="in circles"):
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
        with pytest.raises(InvalidResponseError, match="does not say where"):
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
        except InvalidResponseError:
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
        except InvalidResponseError:
            return
        if following is None:
            assert not (answer and answer.get("has_more"))
            return
        assert following not in asked
        assert not cursor_only or following.keys() == {"cursor"}
        asked.append(following)
        position = following


# -- Dialects


@pytest.mark.parametrize(
    ("pagination", "following"),
    [
        pytest.param({"has_next": True, "next_cursor": "a"}, {"cursor": "a"}, id="has_next"),
        pytest.param({"has_next": False, "next_cursor": "a"}, None, id="has_next false"),
        pytest.param(
            {"has_more": False, "has_next": True, "next_cursor": "a"}, None, id="has_more first"
        ),
        pytest.param({"next_cursor": ""}, None, id="an empty cursor is none"),
        pytest.param({"page": 1, "total_pages": 3}, {"page": 2}, id="total_pages"),
        pytest.param({"page": 1, "pages": 3}, {"page": 2}, id="pages"),
        pytest.param({"total_pages": 3}, {"page": 2}, id="total_pages on the first page"),
        pytest.param({"page": 3, "total_pages": 3}, None, id="the last of total_pages"),
        pytest.param({"page": 1, "has_next": True}, {"page": 2}, id="has_next by page"),
        pytest.param({"page": 0, "has_next": True}, {"page": 1}, id="pages from zero"),
        pytest.param({"page": 1, "has_next": False}, None, id="has_next false by page"),
        pytest.param({"total_count": 90}, {"limit": 50, "offset": 50}, id="total_count"),
        pytest.param({"total": 90}, {"limit": 50, "offset": 50}, id="a total and nothing more"),
        pytest.param({"total": 50, "page": 1}, None, id="a total that is reached"),
        pytest.param({"next": None}, None, id="no link"),
        pytest.param({"next": None, "total": 90}, {"limit": 50, "offset": 50}, id="total wins"),
    ],
)
def test_other_names_for_what_follows(
    pagination: dict[str, Any], following: Position | None
) -> None:
    assert pages(cursor_only=False).after(pagination, {}, 50) == following


@pytest.mark.parametrize(
    "pagination",
    [
        {"page": 1, "total_pages": 3},
        {"page": 1, "has_next": True},
        {"has_next": True, "offset": 0, "limit": 50},
        {"has_next": True},
    ],
)
def test_a_list_with_a_bookmark_does_not_go_by_page_or_offset(pagination: dict[str, Any]) -> None:
    with pytest.raises(InvalidResponseError, match="does not say where"):
        pages(cursor_only=True).after(pagination, {}, 50)


@pytest.mark.parametrize("counted", [{"total_pages": 3}, {"has_next": True}, {"total": 130}])
def test_pages_of_another_dialect_are_followed_to_the_end(counted: dict[str, Any]) -> None:
    walk, position, asked = pages(cursor_only=False), {}, []
    for page, rows in enumerate((50, 50, 30), 1):
        asked.append(position)
        said = counted if page < 3 or "has_next" not in counted else {"has_next": False}
        position = walk.after(said | {"page": page}, position, rows)
    assert position is None
    assert asked == [{}, {"page": 2}, {"page": 3}]


LINKS = [
    pytest.param(f"{API}/contacts?cursor=a%3D", {"cursor": "a="}, id="absolute"),
    pytest.param("https://LEV.example:443/api/external/v2/contacts/?cursor=a",
                 {"cursor": "a"}, id="the same origin in other words"),
    pytest.param("/api/external/v2/contacts?cursor=a&limit=50&q=",
                 {"cursor": "a", "limit": 50, "q": ""}, id="a path"),
    pytest.param("?cursor=a", {"cursor": "a"}, id="a query"),
    pytest.param("?after=a", {"after": "a"}, id="a parameter of another name"),
]  # fmt: skip


@pytest.mark.parametrize(("link", "following"), LINKS)
@pytest.mark.parametrize("name", ["next", "next_url", "next_page_url"])
@pytest.mark.parametrize("cursor_only", [True, False])
def test_a_link_to_the_same_list_is_followed(
    link: str, following: Position, name: str, *, cursor_only: bool
) -> None:
    assert pages(cursor_only=cursor_only).after({name: link}, {}) == following
    assert pages(cursor_only=cursor_only).after({name: link, "has_more": True}, {}) == following
    assert pages(cursor_only=cursor_only).after({name: link, "has_more": False}, {}) is None


def test_a_link_may_lead_by_offset_where_the_list_may() -> None:
    link = {"next": "?offset=50&limit=50"}
    assert pages(cursor_only=False).after(link, {}, 50) == {"offset": 50, "limit": 50}
    with pytest.raises(InvalidResponseError, match="leads elsewhere"):
        pages(cursor_only=True).after(link, {}, 50)


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("https://other.example/api/external/v2/contacts?cursor=a", id="host"),
        pytest.param("http://lev.example/api/external/v2/contacts?cursor=a", id="scheme"),
        pytest.param("https://lev.example:8443/api/external/v2/contacts?cursor=a", id="port"),
        pytest.param(f"{API}/companies?cursor=a", id="path"),
        pytest.param("/contacts?cursor=a", id="path from the root"),
        pytest.param("//other.example/api/external/v2/contacts?cursor=a", id="host alone"),
        pytest.param(f"{API}/contacts", id="no query"),
        pytest.param("?cursor=" + "a" * 5000, id="too long"),
        pytest.param("https://lev.example:port/contacts?cursor=a", id="no port"),
        pytest.param("https://[lev/contacts?cursor=a", id="no address"),
        pytest.param(2, id="a number"),
        pytest.param({"cursor": "a"}, id="an object"),
    ],
)
@pytest.mark.parametrize("cursor_only", [True, False])
def test_a_link_elsewhere_is_an_error(link: object, *, cursor_only: bool) -> None:
    with pytest.raises(InvalidResponseError, match=r"GET /contacts but leads elsewhere"):
        pages(cursor_only=cursor_only).after({"next": link}, {})


def test_a_link_back_is_a_circle() -> None:
    walk = pages()
    assert walk.after({"next": "?cursor=a"}, {}) == {"cursor": "a"}
    with pytest.raises(InvalidResponseError, match="in circles"):
        walk.after({"next": "?cursor=a"}, {"cursor": "a"})


def test_where_numbers_are_asked_for_a_link_leads_on() -> None:
    walk = pages(cursor_only=False)
    first = {"limit": 200, "page": 1}
    assert walk.after({"next": "?page=2&limit=50"}, first, 50) == {"page": 2, "limit": 50}
    assert walk.after({"next": None}, {"page": 2, "limit": 50}, 50) is None


# -- Full pages that do not say what follows

BARE = [None, {}, {"limit": 200}, {"has_more": None}, {"total": None, "next": 0}, {"total": "9"}]


def refusal(status: int = 404, *, is_foreign: bool = False) -> LevAPIError:
    """Lev's refusal of a page."""
    return LevAPIError(
        ErrorFacts(
            status=status,
            error_type="k",
            message="m",
            endpoint="GET /contacts",
            is_foreign=is_foreign,
        )
    )


@pytest.mark.parametrize("pagination", BARE[:4] + BARE[5:])
@pytest.mark.parametrize(
    ("limit", "rows"), [(200, 200), (7, 7), (None, 20), (None, 50), (None, 100), (None, 200)]
)
@pytest.mark.parametrize("position", [{}, {"cursor": "a"}])
@pytest.mark.parametrize("cursor_only", [True, False])
def test_a_full_page_that_says_nothing_is_asked_for_once_more(
    pagination: dict[str, Any] | None,
    limit: int | None,
    rows: int,
    position: Position,
    *,
    cursor_only: bool,
) -> None:
    walk = pages(cursor_only=cursor_only, limit=limit)
    page = answered(pagination, [{"id": number} for number in range(rows)])
    assert walk.pages.is_unclear(page, position)


@pytest.mark.parametrize(
    ("pagination", "rows", "position", "given"),
    [
        pytest.param(None, 199, {}, {"limit": 200}, id="not full"),
        pytest.param(None, 201, {}, {"limit": 200}, id="overfull"),
        pytest.param(None, 50, {}, {"limit": 200}, id="a usual length, but shorter than asked"),
        pytest.param(None, 49, {}, {}, id="no usual length"),
        pytest.param(None, 0, {}, {"limit": 200}, id="empty"),
        pytest.param({"has_more": False}, 200, {}, {"limit": 200}, id="the end"),
        pytest.param({"has_more": True}, 200, {}, {"limit": 200}, id="more"),
        pytest.param({"next_cursor": None}, 200, {}, {"limit": 200}, id="null cursor"),
        pytest.param({"next": None}, 200, {}, {"limit": 200}, id="null link"),
        pytest.param({"total": 200}, 200, {}, {"limit": 200}, id="counted"),
        pytest.param({"total_pages": 1}, 200, {}, {"limit": 200}, id="pages"),
        pytest.param(None, 200, {"page": 1}, {"limit": 200}, id="numbered"),
        pytest.param(None, 200, {}, {"limit": 200, "has_pages": False}, id="no pages"),
    ],
)
def test_any_other_page_is_asked_for_once(
    pagination: dict[str, Any] | None, rows: int, position: Position, given: dict[str, Any]
) -> None:
    page = answered(pagination, [{"id": number} for number in range(rows)])
    assert not pages(cursor_only=False, **given).pages.is_unclear(page, position)


@pytest.mark.parametrize("cursor_only", [True, False])
@pytest.mark.parametrize(("limit", "sent"), [(100, 100), (None, 100)])
def test_what_follows_a_bare_page_is_asked_for_by_offset(
    limit: int | None, sent: int, *, cursor_only: bool
) -> None:
    walk = pages(cursor_only=cursor_only, limit=limit)
    position = walk.after(None, {}, 100)
    assert position == {"limit": sent, "offset": 100}
    position = walk.after(None, position, 60)
    assert position == {"limit": sent, "offset": 160}, "only an empty page is the end"
    assert walk.after(None, position, 0) is None
    assert not walk.pages.end_is_stated


def test_a_total_without_an_offset_is_held_against_all_rows() -> None:
    walk = pages(cursor_only=False)
    position = walk.after({"total": 90}, {}, 50)
    assert position == {"limit": 50, "offset": 50}
    assert walk.after({"total": 90}, position, 40) is None


def test_a_list_by_offset_is_not_asked_for_twice() -> None:
    walk = pages(limit=10)
    position = walk.after(None, {}, 10)
    assert position is not None
    page = answered(None, [{}] * 10)
    assert not walk.pages.is_unclear(page, position)


def test_rows_that_come_again_do_not_move_the_offset() -> None:
    walk = pages(limit=4)
    position = walk.after(None, {}, keys=[1, 2, 3, 4])
    assert position == {"limit": 4, "offset": 4}
    assert walk.after(None, position, keys=[4, 5, 6, 7]) == {"limit": 4, "offset": 7}


@pytest.mark.parametrize("keys", [[], [1, 2, 3, 4], [4, 3]])
@pytest.mark.parametrize("pagination", [None, {"has_more": False}, {"total": 400}])
def test_a_page_without_a_new_row_ends_a_bare_list(
    keys: list[int], pagination: dict[str, Any] | None
) -> None:
    walk = pages(cursor_only=False, limit=4)
    position = walk.after(None, {}, keys=[1, 2, 3, 4])
    assert position is not None
    assert walk.after(pagination, position, keys=keys) is None


def test_an_answer_that_says_more_again_is_followed() -> None:
    walk = pages(limit=4)
    position = walk.after(None, {}, keys=[1, 2, 3, 4])
    assert position is not None
    said = {"has_more": True, "next_cursor": "a"}
    assert walk.after(said, position, keys=[1, 2, 3, 4]) == {"cursor": "a"}
    walk = pages(limit=4)
    position = walk.after(None, {}, keys=[1, 2, 3, 4])
    assert position is not None
    said = {"has_more": True, "offset": 4, "limit": 4, "total": 9}
    assert walk.after(said, position, keys=[5, 6, 7, 8]) == {"limit": 4, "offset": 8}


@pytest.mark.parametrize("position", [{"cursor": "a"}, {"after": "a"}])
def test_a_bare_page_behind_a_cursor_is_the_end(position: Position) -> None:
    walk = pages(limit=10)
    assert walk.after(None, position, 10) is None
    assert not walk.pages.end_is_stated


@pytest.mark.parametrize(
    ("pagination", "rows", "stated"),
    [
        ({"has_more": False}, 3, True),
        ({"next_cursor": None}, 3, True),
        ({"next": None}, 3, True),
        ({"page": 1, "total_pages": 1}, 3, True),
        ({"total": 3}, 3, True),
        ({"total": 0}, 0, True),
        ({"total": 4}, 3, False),
        (None, 3, False),
    ],
)
def test_lev_states_the_end_or_does_not(
    pagination: dict[str, Any] | None, rows: int, *, stated: bool
) -> None:
    walk = pages(cursor_only=True, limit=10)
    assert walk.after(pagination, {}, rows) is None
    assert walk.pages.end_is_stated == stated


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (refusal(400), True),
        (refusal(404), True),
        (refusal(422), True),
        (refusal(403), False),
        (refusal(500), False),
        (refusal(404, is_foreign=True), False),
    ],
)
def test_a_refusal_ends_a_list_where_only_the_length_of_a_page_led_on(
    error: LevAPIError, *, ends: bool
) -> None:
    walk = pages(limit=10)
    assert not walk.pages.ends_with(error), "nothing was read"
    walk.after(None, {}, 10)
    assert walk.pages.ends_with(error) == ends
    told = pages(limit=10)
    told.after({"has_more": True, "next_cursor": "a"}, {}, 10)
    assert not told.pages.ends_with(error)


# -- Lists without an end


def test_a_page_without_a_new_row_ends_a_list_the_second_time() -> None:
    turns = itertools.cycle(([1, 2], [3, 4]))

    def say(_: Position) -> tuple[dict[str, Any], list[Any]]:
        return {"has_more": True, "next_cursor": f"{next(NEW)}"}, next(turns)

    assert endless(pages(), {}, say) == 4


def test_the_two_pages_need_not_come_one_after_the_other() -> None:
    walk = pages()
    position: Position = {}
    for number, keys in enumerate(([1], [1], [2], [3])):
        position = walk.after({"next_cursor": f"{number}"}, position, 0, keys) or {}
    with pytest.raises(InvalidResponseError, match="again and again"):
        walk.after({"next_cursor": "more"}, position, keys=[2])


def test_a_list_that_ends_is_not_endless() -> None:
    walk = pages()
    position: Position = {}
    for number, keys in enumerate(([1], [1])):
        position = walk.after({"next_cursor": f"{number}"}, position, 0, keys) or {}
    assert walk.after({"has_more": False}, position, keys=[1]) is None


@pytest.mark.parametrize("keys", [[], [None]])
def test_pages_without_a_key_have_a_bound(keys: list[Any]) -> None:
    walk = pages()
    position: Position = {}
    for number in range(MAX_EMPTY_PAGES):
        position = walk.after({"next_cursor": f"{number}"}, position, 0, keys) or {}
    with pytest.raises(InvalidResponseError, match=f"{MAX_EMPTY_PAGES} pages in a row had none"):
        walk.after({"next_cursor": "more"}, position, 0, keys)


def test_a_server_that_ignores_the_offset_is_left() -> None:
    def say(position: Position) -> tuple[dict[str, Any], list[Any]]:
        offset = position.get("offset", 0)
        return {"has_more": True, "limit": 50, "offset": offset}, list(range(50))

    assert endless(pages(cursor_only=False), {}, say) == 3


# -- What a page holds at most


def run_numbered(cap: PageCap, rows: int, most: int, limit: int = 200) -> tuple[int, int]:
    """Read a list of numbered pages from a server that says nothing.

    Returns:
        The rows that came, and the requests.
    """
    walk = pages(cursor_only=False, limit=limit, cap=cap)
    position: Position | None = {"limit": limit, "page": 1}
    asked = 0
    while position is not None:
        first = (int(position["page"]) - 1) * most
        position = walk.after(None, position, keys=list(range(rows))[first : first + most])
        asked += 1
    return walk.counter.different, asked


@pytest.mark.parametrize("most", [100, 50, 7])
def test_how_long_pages_are_is_learnt_from_the_first_list(most: int) -> None:
    cap = PageCap()
    assert run_numbered(cap, 2 * most + 1, most) == (2 * most + 1, 3)
    assert run_numbered(cap, most - 1, most) == (most - 1, 1), "shorter is the end"
    assert run_numbered(cap, most, most) == (most, 2)
    assert run_numbered(cap, 3 * most + 2, most) == (3 * most + 2, 4)


def test_a_length_that_ends_a_list_ends_all_shorter_ones() -> None:
    cap = PageCap()
    assert run_numbered(cap, 30, 100) == (30, 2)
    assert run_numbered(cap, 29, 100) == (29, 1)
    assert run_numbered(cap, 40, 100) == (40, 2)
    assert run_numbered(cap, 39, 100) == (39, 1)
    assert run_numbered(cap, 250, 100) == (250, 3)


def test_a_list_as_long_as_a_page_hides_no_longer_one() -> None:
    cap = PageCap()
    assert run_numbered(cap, 100, 100) == (100, 2)
    assert run_numbered(cap, 250, 100) == (250, 3)


def test_lists_of_one_length_cost_a_few_requests_more_and_no_others() -> None:
    cap = PageCap()
    assert [run_numbered(cap, 12, 100)[1] for _ in range(6)] == [2, 2, 2, 1, 1, 1]


def test_a_full_page_shows_that_shorter_ones_are_the_end() -> None:
    cap = PageCap()
    assert run_numbered(cap, 450, 200) == (450, 3)
    assert run_numbered(cap, 199, 200) == (199, 1)
    assert run_numbered(cap, 400, 200) == (400, 3)


@pytest.mark.parametrize("pagination", [None, {"total": "250", "pages": "3"}, {"limit": 200}])
def test_a_short_page_is_followed_once_and_its_copy_is_the_end(
    pagination: dict[str, Any] | None,
) -> None:
    walk = pages(cursor_only=False, limit=200)
    first = {"limit": 200, "page": 1}
    second = walk.after(pagination, first, keys=[1, 2, 3])
    assert second == {"limit": 200, "page": 2}
    assert walk.after(pagination, second, keys=[1, 2, 3]) is None


def test_a_refused_page_is_the_end_and_is_learnt() -> None:
    cap = PageCap()
    for asked in (True, True, True, False):
        walk = pages(cursor_only=False, limit=200, cap=cap)
        following = walk.after(None, {"limit": 200, "page": 1}, 3)
        assert (following is not None) == asked
        assert walk.pages.ends_with(refusal(404)) == asked


def test_full_pages_that_ignore_their_number_are_an_error() -> None:
    walk = pages(cursor_only=False, limit=4)
    assert endless(walk, {"limit": 4, "page": 1}, lambda _: (None, [1, 2, 3, 4])) == 3


DIALECT = st.fixed_dictionaries(
    {},
    optional={
        "has_more": st.booleans() | st.none(),
        "has_next": st.booleans() | st.none(),
        "next_cursor": POSITIONS,
        "next": st.sampled_from(["?cursor=a", "?cursor=b", "?page=2", "?offset=4", "", "/x", 1]),
        "offset": st.integers(-1, 40),
        "limit": st.integers(0, 8),
        "page": st.integers(-1, 5),
        "total_pages": st.integers(-1, 5),
        "total": st.integers(-1, 50),
    },
)


@given(
    st.lists(st.tuples(st.none() | DIALECT, st.lists(st.integers(0, 9), max_size=4)), max_size=30),
    st.booleans(),
    st.sampled_from([{}, {"limit": 4, "page": 1}, {"cursor": "z"}]),
)
def test_whatever_lev_sends_no_position_is_asked_for_twice(
    answers: list[tuple[dict[str, Any] | None, list[int]]],
    cursor_only: bool,  # noqa: FBT001
    position: Position,
) -> None:
    walk, asked, repeated, seen = pages(cursor_only=cursor_only, limit=4), [position], 0, set()
    for pagination, keys in answers:
        try:
            following = walk.after(pagination, position, keys=keys)
        except InvalidResponseError:
            return
        if following is None:
            said = (pagination or {}).get("has_more")
            assert not said or not keys
            return
        repeated += bool(keys) and seen.issuperset(keys)
        seen.update(keys)
        assert repeated < 2
        assert following not in asked
        asked.append(following)
        position = following


@pytest.mark.parametrize("pages_told", [2, 3])
def test_a_number_that_is_ignored_is_no_end(pages_told: int) -> None:
    """Lev counts more pages than one, but each is the first."""
    listing = Listing(cursor_only=False, limit=200)

    told, keys = {"total_pages": pages_told}, list(range(20))
    position: Position = {}
    for _ in range(pages_told - 1):
        position = listing.after(told, position, keys=keys) or {}
    assert position["page"] == pages_told
    with pytest.raises(InvalidResponseError, match="it ignores the number"):
        listing.after(told, position, keys=keys)
