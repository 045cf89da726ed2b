"""Where a list ends: whatever a server says or leaves out, a complete run has read all of it."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from typing_extensions import override

from tests.support.inprocess import sync
from tests.support.process import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.process import Run

BASE = "/api/external/v2"
NOW = "2026-11-27T10:00:00Z"
REQUEST_ID = "00000000-0000-0000-0000-000000000001"

Params = dict[str, Any]
Page = tuple[list[dict[str, Any]], dict[str, Any] | None]
Refusal = tuple[int, bytes]


class Lev:
    """A server of a few lists.

    Args:
        lists: For each path, what answers a request: rows and pagination, or status and body.
    """

    def __init__(self, lists: dict[str, Callable[[Params], Page | Refusal]]) -> None:
        self.asked: list[tuple[str, Params]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            # One request per connection: sync() waits for all threads that begin meanwhile.

            @override
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                self._answer(address.path, dict(parse_qsl(address.query)))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(self.path, json.loads(body))

            def _answer(self, path: str, params: Params) -> None:
                path = path.removeprefix(BASE)
                if path == "/me":  # requested in each run, and no list
                    status, body = 200, _body({"account": {"id": 56}, "user": {"id": 1}}, None)
                else:
                    outer.asked.append((path, params))
                    first, second = lists[path](params)
                    status = first if isinstance(first, int) else 200
                    body = second if isinstance(second, bytes) else _body(first, second)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}{BASE}"

    def run(self, *streams: str, **settings: Any) -> Run:  # noqa: ANN401
        """Run a tap."""
        config = {"api_url": self.url, "api_key": "lev_sk_x", "max_retries": 0}
        return sync(config | UNLIMITED | settings, streams=streams)

    def requests(self, path: str) -> list[Params]:
        """The parameters of the requests for a path."""
        return [params for asked, params in self.asked if asked == path]


def _body(rows: object, pagination: object) -> bytes:
    envelope = {"request_id": REQUEST_ID, "timestamp": NOW, "data": rows}
    if pagination is not None:
        envelope["pagination"] = pagination
    return json.dumps(envelope).encode()


@contextlib.contextmanager
def lev(lists: dict[str, Callable[[Params], Page | Refusal]]) -> Iterator[Lev]:
    """Serve lists."""
    served = Lev(lists)
    thread = threading.Thread(target=served.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.server.shutdown()
        served.server.server_close()
        thread.join()


def rows(count: int, first: int = 1) -> list[dict[str, Any]]:
    """Rows of a list, by id."""
    return [{"id": number, "updated_at": NOW} for number in range(first, first + count)]


def by_cursor(all_rows: list[dict[str, Any]], size: int) -> Callable[[Params], Page]:
    """A list as Lev describes it."""

    def answer(params: Params) -> Page:
        at = int(params.get("cursor", 0))
        more = at + size < len(all_rows)
        said: dict[str, Any] = {"total": len(all_rows), "has_more": more, "next_cursor": None}
        if more:
            said["next_cursor"] = f"{at + size}"
        return all_rows[at : at + size], said

    return answer


def whole(all_rows: list[dict[str, Any]]) -> Callable[[Params], Page]:
    """A list of one page that says so."""
    return lambda _: (all_rows, {"total": len(all_rows), "has_more": False})


def refused(status: int) -> Refusal:
    """Lev's refusal of a request."""
    error = {"status": status, "type": "refused", "message": "no such page", "details": {}}
    return status, json.dumps({"request_id": REQUEST_ID, "error": error}).encode()


def ids(run: Run, stream: str) -> list[int]:
    """The ids that a run has written, in order."""
    return [row["id"] for row in run.records(stream)]


def failure(run: Run, caplog: pytest.LogCaptureFixture, stream: str) -> str:
    """Why a stream is not complete."""
    assert run.exit_code == 1
    (told,) = [text for text in caplog.messages if f"The stream {stream} is not" in text]
    return told


# -- Full pages without a pagination


@pytest.mark.parametrize("bare", [{}, None, {"limit": 100}])
@pytest.mark.parametrize("at", ["0", "100", "200"])
def test_a_page_that_lost_its_pagination_is_asked_for_once_more(
    bare: dict[str, Any] | None, at: str
) -> None:
    list_ = by_cursor(rows(250), 100)
    turns: Counter[str] = Counter()

    def answer(params: Params) -> Page:
        place = params.get("cursor", "0")
        turns[place] += 1
        page, said = list_(params)
        return page, bare if place == at and turns[place] == 1 else said

    with lev({"/contacts": answer}) as served:
        run = served.run("contacts", page_size=100)
    assert run.exit_code == 0
    assert ids(run, "contacts") == list(range(1, 251))
    assert len(served.asked) == 3 + (at != "200"), "the last page is not full"


@pytest.mark.parametrize("offset", ["honoured", "ignored", "400", "404", "422"])
@pytest.mark.parametrize("count", [100, 250])
def test_a_list_without_a_pagination_is_read_by_offset(offset: str, count: int) -> None:
    def answer(params: Params) -> Page | Refusal:
        at = int(params.get("offset", 0))
        if at and offset.isdecimal():
            return refused(int(offset))
        at = at if offset == "honoured" else 0
        return rows(count)[at : at + int(params["limit"])], None

    with lev({"/contacts": answer}) as served:
        run = served.run("contacts", page_size=100)
    assert run.exit_code == 0
    expected = count if offset == "honoured" else 100
    assert ids(run, "contacts") == list(range(1, expected + 1)), "each row comes once"
    offsets = [params.get("offset") for params in served.requests("/contacts")]
    assert offsets[:3] == [None, None, "100"]
    assert len(offsets) == (3 if expected == 100 else 5)


@pytest.mark.parametrize("count", [20, 50, 100, 200])
@pytest.mark.parametrize("limited", [True, False])
def test_a_list_that_takes_no_limit_may_be_cut_at_a_usual_one(count: int, *, limited: bool) -> None:
    kinds = rows(count + 7 if limited else count)

    def answer(params: Params) -> Page:
        at, limit = int(params.get("offset", 0)), int(params.get("limit", count))
        return (kinds[at : at + limit] if limited else kinds), None

    with lev({"/market/asset-types": answer}) as served:
        run = served.run("asset_types")
    assert run.exit_code == 0
    assert ids(run, "asset_types") == [row["id"] for row in kinds]
    assert len(served.asked) == (4 if limited else 3)


@pytest.mark.parametrize("count", [0, 1, 19, 21, 99, 201])
def test_a_list_that_is_not_full_costs_one_request(count: int) -> None:
    with lev({"/market/asset-types": lambda _: (rows(count), None)}) as served:
        assert served.run("asset_types").exit_code == 0
    # An empty list may empty a table, so it is requested twice.
    assert len(served.asked) == (1 if count else 2)


def test_a_refusal_that_is_not_of_lev_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    def answer(params: Params) -> Page | Refusal:
        return (404, b"<html>no route</html>") if "offset" in params else (rows(100), None)

    with lev({"/contacts": answer}) as served:
        run = served.run("contacts", page_size=100)
    assert "404" in failure(run, caplog, "contacts")


@pytest.mark.parametrize("offset", ["honoured", "ignored", "400", "404", "422"])
@pytest.mark.parametrize("count", [200, 430])
def test_the_rows_of_a_parent_are_read_by_offset_where_nothing_says_how(
    offset: str, count: int
) -> None:
    def notes(params: Params) -> Page | Refusal:
        at = int(params.get("offset", 0))
        if at and offset.isdecimal():
            return refused(int(offset))
        at = at if offset == "honoured" else 0
        return rows(count)[at : at + int(params["limit"])], None

    with lev({"/deals": whole(rows(1)), "/deals/1/notes": notes}) as served:
        run = served.run("deal_notes")
    assert run.exit_code == 0
    expected = count if offset == "honoured" else 200
    assert ids(run, "deal_notes") == list(range(1, expected + 1)), "each row comes once"


# -- Lists without an end


def two_pages(params: Params) -> Page:
    """Two pages in turn, under cursors that never come again."""
    at = int(params.get("cursor", 0))
    page = rows(2) if at % 2 == 0 else rows(2, first=3)
    return page, {"has_more": True, "next_cursor": f"{at + 1}"}


def ignores_offset(_: Params) -> Page:
    """A first page, whatever is asked for."""
    return rows(2), {"has_more": True, "limit": 2, "offset": 0}


def moves_offset(params: Params) -> Page:
    """A first page under the offset that is asked for."""
    said = {"has_more": True, "limit": 2, "offset": int(params.get("offset", 0))}
    return rows(2), said


@pytest.mark.parametrize(
    ("answer", "requests"), [(two_pages, 4), (ignores_offset, 2), (moves_offset, 3)]
)
def test_the_rows_of_a_parent_that_never_end_fail_the_stream(
    caplog: pytest.LogCaptureFixture, answer: Callable[[Params], Page], requests: int
) -> None:
    with lev({"/deals": whole(rows(1)), "/deals/1/notes": answer}) as served:
        run = served.run("deals", "deal_notes")
    told = failure(run, caplog, "deal_notes")
    assert "/deals/{deal_id}/notes" in told
    assert "topped rather than" in told
    assert ids(run, "deals") == [1]
    assert len(served.requests("/deals/1/notes")) == requests


def test_a_list_that_never_ends_fails(caplog: pytest.LogCaptureFixture) -> None:
    with lev({"/contacts": two_pages}) as served:
        run = served.run("contacts")
    assert "same page of GET /contacts again and again" in failure(run, caplog, "contacts")
    assert sorted(set(ids(run, "contacts"))) == [1, 2, 3, 4]
    # The first page that comes again is requested once more: a cache may have sent it.
    assert len(served.asked) == 5


def test_a_list_that_repeats_one_page_and_goes_on_is_whole() -> None:
    def answer(params: Params) -> Page:
        at = int(params.get("cursor", 0))
        first = (1, 3, 3, 5)[at]
        return rows(2, first), {"has_more": at < 3, "next_cursor": f"{at + 1}" if at < 3 else None}

    with lev({"/contacts": answer}) as served:
        run = served.run("contacts")
    assert run.exit_code == 0
    assert ids(run, "contacts") == [1, 2, 3, 4, 5, 6]


def test_an_empty_first_page_that_then_fails_by_a_row_is_read_around_it() -> None:
    def answer(params: Params) -> Page | Refusal:
        if len(served.asked) == 1:
            return [], {"has_more": True, "next_cursor": cursor(0)}
        at = json.loads(base64.b64decode(params.get("cursor", cursor(0))))["id"]
        page = rows(min(int(params.get("limit", 3)), 6 - at), at + 1)
        if params.get("fields") != "id" and 2 in {row["id"] for row in page}:
            return 500, b'{"error": {"type": "internal_error", "message": "No."}}'
        last = page[-1]["id"]
        more = last < 6
        return page, {"has_more": more, "next_cursor": cursor(last) if more else None}

    def single(_: Params) -> Page:
        return rows(1, 2)[0], None  # type: ignore[return-value] # a row by itself is no list

    with lev({"/contacts": answer, "/contacts/2": single}) as served:
        run = served.run("contacts", page_size=3)
    assert sorted(ids(run, "contacts")) == [1, 2, 3, 4, 5, 6]
    assert run.exit_code == 0


@pytest.mark.parametrize("single", [[], None, {}], ids=["list", "null", "object"])
def test_deals_without_a_column_and_single_rows_without_anything_are_complete(
    caplog: pytest.LogCaptureFixture,
    single: Any,  # noqa: ANN401
) -> None:
    nothing = {f"/deals/{n}": lambda _: (single, None) for n in range(1, 9)}
    below = {f"/deals/{n}/financials": lambda _: ([], None) for n in range(1, 9)}
    end = {"has_more": False, "total": 8}
    with lev({"/deals": lambda _: (rows(8), end)} | nothing | below) as served:
        run = served.run("deals")
    assert run.exit_code == 0
    assert ids(run, "deals") == list(range(1, 9))
    assert not [r for r in caplog.records if r.levelname in {"WARNING", "ERROR"}]


def cursor(key: int) -> str:
    """A cursor of the published form."""
    return base64.b64encode(f'{{"id": {key}}}'.encode()).decode()


# -- Rows of parents are counted


@pytest.mark.parametrize("name", ["total", "total_count"])
@pytest.mark.parametrize("more", [{"has_more": False}, {}, {"next_cursor": None}])
def test_rows_that_lev_counts_and_does_not_send_fail_the_stream(
    caplog: pytest.LogCaptureFixture, name: str, more: dict[str, Any]
) -> None:
    lists = {
        "/deals": whole(rows(3)),
        "/deals/1/documents": whole(rows(2)),
        "/deals/2/documents": lambda _: (rows(4), {name: 5} | more),
        "/deals/3/documents": whole(rows(1, first=9)),
    }
    with lev(lists) as served:
        run = served.run("documents")
    told = failure(run, caplog, "documents")
    assert "Lev counts 5 rows of GET /deals/{deal_id}/documents for deal_id 2" in told
    assert "but 4 different ones came: 1 are missing" in told
    assert len(ids(run, "documents")) >= 6, "the rows that came are written"


@pytest.mark.parametrize(
    ("totals", "pages"),
    [
        pytest.param([5, 3], [[1, 2], [3]], id="rows are deleted meanwhile"),
        pytest.param([3, 5], [[1, 2], [3]], id="rows are added meanwhile"),
        pytest.param([2, 2], [[1, 2], [3]], id="counted too low"),
        pytest.param([4, 4], [[1, 2], [2, 3, 4]], id="a row comes twice"),
        pytest.param([None, None], [[1, 2], [3]], id="not counted"),
        pytest.param([0], [[]], id="none"),
    ],
)
def test_what_is_no_shortfall(totals: list[int | None], pages: list[list[int]]) -> None:
    def answer(params: Params) -> Page:
        at = int(params.get("cursor", 0))
        more = at + 1 < len(pages)
        said = {"total": totals[at], "has_more": more, "next_cursor": "1" if more else None}
        return [{"id": key} for key in pages[at]], said

    with lev({"/deals": whole(rows(1)), "/deals/1/documents": answer}) as served:
        run = served.run("documents")
    assert run.exit_code == 0
    assert set(ids(run, "documents")) == {key for page in pages for key in page}


def test_a_row_that_comes_twice_stands_for_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def memos(params: Params) -> Page:
        at = int(params.get("offset", 0))
        uuids = ["a", "b"] if at == 0 else ["b", "c"]
        said = {"total": 4, "limit": 2, "offset": at, "has_more": at == 0}
        return [{"uuid": uuid} for uuid in uuids], said

    with lev({"/deals": whole(rows(1)), "/deals/1/memos": memos}) as served:
        run = served.run("memos")
    assert "counts 4 rows" in failure(run, caplog, "memos")


def test_the_key_of_an_entity_is_the_one_that_is_written() -> None:
    entities = [{"entity_type": "property", "entity_id": number} for number in (1, 2)]
    lists = {"/deals": whole(rows(1)), "/deals/1/index/entities": whole(entities)}
    with lev(lists) as served:
        run = served.run("index_entities")
    assert run.exit_code == 0
    assert [row["entity_ref"] for row in run.records("index_entities")] == [
        "property:1", "property:2",
    ]  # fmt: skip


# -- Other dialects


def dialect(kind: str, all_rows: list[dict[str, Any]], size: int) -> Callable[[Params], Page]:
    """A list that says in another way what follows."""

    def answer(params: Params) -> Page:
        page = int(params.get("page", 1))
        first = int(params.get("offset", (page - 1) * size))
        last = (len(all_rows) + size - 1) // size
        more = first + size < len(all_rows)
        said: dict[str, Any] = {
            "total_pages": {"page": page, "total_pages": last},
            "pages": {"page": page, "pages": last},
            "has_next": {"page": page, "has_next": more},
            "total": {"total": len(all_rows)},
            "total_count": {"total_count": len(all_rows), "limit": size, "offset": first},
            "query": {"next": f"?page={page + 1}&limit={size}" if more else None},
            "path": {
                "next_url": f"{BASE}/deals/1/notes?offset={first + size}" if more else None,
            },
            "url": {"next_page_url": f"{HOST[0]}/deals/1/notes?page={page + 1}" if more else None},
        }[kind]
        return all_rows[first : first + size], said

    return answer


HOST = [""]
DIALECTS = ["total_pages", "pages", "has_next", "total", "total_count", "query", "path", "url"]


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("count", [0, 19, 20, 55, 60])
def test_the_rows_of_a_parent_are_whole_in_any_dialect(kind: str, count: int) -> None:
    answer = dialect(kind, rows(count), 20)
    with lev({"/deals": whole(rows(1)), "/deals/1/notes": answer}) as served:
        HOST[0] = served.url
        run = served.run("deal_notes")
    assert run.exit_code == 0
    assert ids(run, "deal_notes") == list(range(1, count + 1))


@pytest.mark.parametrize(
    "said",
    [
        {"next": "https://elsewhere.example/deals/1/notes?page=2"},
        {"next": "/deals/1/documents?page=2"},
        {"has_next": True},
        {"has_more": True, "next": None},
    ],
)
def test_rows_that_are_announced_elsewhere_are_a_failure(
    caplog: pytest.LogCaptureFixture, said: dict[str, Any]
) -> None:
    lists = {"/deals": whole(rows(1)), "/deals/1/notes": lambda _: (rows(2), said)}
    with lev(lists) as served:
        run = served.run("deal_notes")
    assert "Lev announces more rows of GET /deals/{deal_id}/notes" in failure(
        run, caplog, "deal_notes"
    )
    assert [path for path, _ in served.asked] == ["/deals", "/deals/1/notes"]


def test_a_list_with_a_bookmark_follows_a_link_with_a_cursor() -> None:
    def answer(params: Params) -> Page:
        at = int(params.get("cursor", 0))
        return rows(10, at + 1), {"next": f"?cursor={at + 10}" if at < 20 else None}

    with lev({"/contacts": answer}) as served:
        run = served.run("contacts", page_size=10)
    assert run.exit_code == 0
    assert ids(run, "contacts") == list(range(1, 31))
    cursors = [
        state["value"]["bookmarks"]["contacts"]["walk"]["cursor"]
        for state in run.of("STATE")
        if state["value"]["bookmarks"].get("contacts", {}).get("walk")
    ]
    assert {"10", "20"} <= set(cursors)


@pytest.mark.parametrize("said", [{"page": 1, "total_pages": 3}, {"page": 1, "has_next": True}])
def test_a_list_with_a_bookmark_is_not_cut_at_its_first_page(
    caplog: pytest.LogCaptureFixture, said: dict[str, Any]
) -> None:
    with lev({"/contacts": lambda _: (rows(10), said)}) as served:
        run = served.run("contacts", page_size=10)
    assert "does not say where" in failure(run, caplog, "contacts")


# -- What a page holds at most


def capped(counts: list[int], most: int) -> dict[str, Callable[[Params], Page]]:
    """Deals with so many observations each, and pages of so many rows that say nothing."""

    def observations(deal: int, count: int) -> Callable[[Params], Page]:
        def answer(params: Params) -> Page:
            size = min(most, params["limit"])
            first = (params["page"] - 1) * size
            return rows(count, 1000 * deal)[first : first + size], None

        return answer

    lists = {
        f"/deals/{deal}/index/observations": observations(deal, count)
        for deal, count in enumerate(counts, 1)
    }
    return {"/deals": whole(rows(len(counts))), **lists}


@pytest.mark.parametrize(
    ("counts", "requests"),
    [
        pytest.param([250, 100, 30, 99, 205], [3, 2, 1, 1, 3], id="the first deal shows it"),
        pytest.param([30, 20, 250, 250], [2, 1, 3, 3], id="a later deal shows it"),
        pytest.param([100, 250, 0], [2, 3, 1], id="as many as a page holds"),
        pytest.param([3, 3, 3, 3, 3], [2, 2, 2, 1, 1], id="all alike"),
    ],
)
def test_how_many_rows_a_page_holds_is_learnt(counts: list[int], requests: list[int]) -> None:
    with lev(capped(counts, 100)) as served:
        run = served.run("index_observations", observation_metric_ids=[1], max_parallel_streams=1)
    assert run.exit_code == 0
    expected = {1000 * deal + n for deal, count in enumerate(counts, 1) for n in range(count)}
    assert sorted(ids(run, "index_observations")) == sorted(expected)
    paths = Counter(path for path, _ in served.asked)
    assert [paths[f"/deals/{deal}/index/observations"] for deal, _ in enumerate(counts, 1)] == (
        requests
    )


def test_definitions_of_metrics_are_learnt_too() -> None:
    def definitions(params: Params) -> Page:
        first = (int(params["page"]) - 1) * 100
        return rows(250)[first : first + 100], None

    lists = {"/deals": whole(rows(2))}
    lists |= {f"/deals/{deal}/index/metric-definitions": definitions for deal in (1, 2)}
    with lev(lists) as served:
        run = served.run("index_metric_definitions")
    assert run.exit_code == 0
    assert sorted(ids(run, "index_metric_definitions")) == list(range(1, 251))


@pytest.mark.parametrize("said", [None, {"total": 350}, {"has_more": True}, {"limit": 200}])
def test_facts_as_many_as_one_request_brings_are_told_once(
    caplog: pytest.LogCaptureFixture, said: dict[str, Any] | None
) -> None:
    caplog.set_level("INFO")
    counts = {1: 200, 2: 199, 3: 200}
    lists: dict[str, Any] = {"/deals": whole(rows(3))}
    for deal, count in counts.items():
        facts = [{"id": f"{deal}:{number}"} for number in range(count)]
        told = said if count == 200 else None
        lists[f"/deals/{deal}/index/search"] = lambda _, page=(facts, told): page
    with lev(lists) as served:
        run = served.run("index_facts", fact_queries=["rent", "taxes"])
    assert run.exit_code == 0
    assert len(run.records("index_facts")) == 2 * 599
    assert len(served.asked) == 1 + 6, "nothing is asked for twice"
    told_of = [text for text in caplog.messages if text.startswith("index_facts: Lev sent 200")]
    assert len(told_of) == 1
    assert "for deal_id 1 and query 'rent'" in told_of[0]
    (summary,) = [text for text in caplog.messages if text.startswith("Sync complete")]
    assert "4 reads at their limit" in summary


@pytest.mark.parametrize("said", [{"total": 200}, {"has_more": False, "total": 200}])
def test_facts_that_are_all_there_are_not_told(
    caplog: pytest.LogCaptureFixture, said: dict[str, Any]
) -> None:
    caplog.set_level("INFO")
    facts = [{"id": f"{number}"} for number in range(200)]
    lists = {"/deals": whole(rows(1)), "/deals/1/index/search": lambda _: (facts, said)}
    with lev(lists) as served:
        assert served.run("index_facts", fact_queries=["rent"]).exit_code == 0
    assert "at their limit" not in caplog.text


def test_facts_that_lev_counts_and_does_not_send_fail_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    facts = [{"id": f"{number}"} for number in range(10)]
    lists = {"/deals": whole(rows(1)), "/deals/1/index/search": lambda _: (facts, {"total": 12})}
    with lev(lists) as served:
        run = served.run("index_facts", fact_queries=["rent"])
    failure(run, caplog, "index_facts")
    assert len(served.asked) == 2


# -- A row of a list without order


@pytest.mark.parametrize("lost", [0, 1])
def test_a_list_in_no_order_is_counted_by_its_ids(
    caplog: pytest.LogCaptureFixture, lost: int
) -> None:
    """Rows come in any order, and some of them twice: only different ones count."""
    order = [*range(50, 25, -1), *range(1, 26), *range(20, 30)]
    pages = [order[at : at + 10] for at in range(0, len(order), 10)]

    def answer(params: Params) -> Page:
        at = int(params.get("cursor", 0))
        more = at + 1 < len(pages)
        said = {"total": 50 + lost, "has_more": more, "next_cursor": f"{at + 1}" if more else None}
        return [{"id": key, "updated_at": NOW} for key in pages[at]], said

    with lev({"/contacts": answer}) as served:
        run = served.run("contacts", page_size=10)
    assert set(ids(run, "contacts")) == set(range(1, 51))
    missing = [text for text in caplog.messages if "but 50 came: 1 is missing" in text]
    assert bool(missing) == bool(lost)


@pytest.mark.parametrize("children", [(), ("contact_notes",)])
def test_a_later_run_does_not_compare_what_came_in_no_order(children: tuple[str, ...]) -> None:
    """It cannot tell which rows it reads again."""
    pages = [[6, 5], [1, 2], [3, 4]]

    def answer(params: Params) -> Page:
        at = int(params.get("cursor", 0))
        following = f"{at + 1}" if at < 2 else None
        said = {"total": 6, "has_more": at < 2, "next_cursor": following}
        return [{"id": key, "updated_at": NOW} for key in pages[at]], said

    lists: dict[str, Any] = {"/contacts": answer}
    lists |= {f"/contacts/{key}/notes": whole([]) for key in range(1, 7)}
    with lev(lists) as served:
        run = served.run("contacts", *children)
    assert run.exit_code == 0
    walks = [
        entry["walk"]
        for state in run.of("STATE")
        for entry in state["value"]["bookmarks"].values()
        if entry.get("walk")
    ]
    assert walks
    assert [walk.get("seen") for walk in walks if walk.get("cursor")] == [None] * sum(
        bool(walk.get("cursor")) for walk in walks
    )
