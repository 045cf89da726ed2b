"""What is read for the rows of a page: once, before it is needed, and not for longer than that."""

from __future__ import annotations

import contextlib
import random
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from tap_lev.api.cache import ResponseCache
from tap_lev.api.request import LevRequest
from tap_lev.errors import AuthenticationError, ErrorFacts, LevAPIError
from tap_lev.progress.report import StreamReport
from tap_lev.streams.child import ChildStream
from tap_lev.sync.child_reader import ChildReader
from tap_lev.sync.prefetch import PARENTS_AHEAD, Prefetcher
from tap_lev.tap import TapLev
from tests.support.fake_lock import FakeLock, SimulatedThreads
from tests.support.inprocess import config_of, sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lev_sandbox import SandboxServer
    from tap_lev.api.response import LevResponse
    from tests.conftest import StartLev

IDS = {"deal_id": 7}
NOTES = LevRequest("GET /deals/{deal_id}/notes", path_params=IDS)
SEARCH = LevRequest("POST /deals/{deal_id}/index/search", path_params=IDS, json={"context": "rent"})


def api_error(status: int = 500) -> LevAPIError:
    kind = AuthenticationError if status == 401 else LevAPIError
    return kind(ErrorFacts(status=status, error_type="", message="", endpoint="GET /deals/7/notes"))


class Lev:
    """Gives pages that are names, and notes what was asked for."""

    def __init__(self, stage: SimulatedThreads | None = None) -> None:
        self.asked: list[Any] = []
        self._stage = stage

    def pages(self, *names: str, error: Exception | None = None) -> Iterator[LevResponse]:
        for name in names:
            self.asked.append(name)
            if self._stage is not None:
                with self._stage.released():
                    self._stage.take_time(1)
            yield cast("LevResponse", name)
        if error is not None:
            self.asked.append("error")
            raise error


# -- For one row


def test_one_read_is_for_several_streams() -> None:
    lev, answers = Lev(), ResponseCache(FakeLock())
    assert not answers.is_used
    assert list(answers.pages(NOTES, lev.pages("a", "b"))) == ["a", "b"]
    assert list(answers.pages(NOTES, lev.pages("c"))) == ["a", "b"]
    assert lev.asked == ["a", "b"]
    assert answers.is_used


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(LevRequest("GET /deals/{deal_id}/team", path_params=IDS), id="endpoint"),
        pytest.param(LevRequest(NOTES.endpoint, path_params={"deal_id": 8}), id="parent"),
        pytest.param(
            LevRequest(NOTES.endpoint, path_params=IDS, json={"context": "rent"}), id="body"
        ),
    ],
)
def test_another_call_is_another_read(call: LevRequest) -> None:
    lev, answers = Lev(), ResponseCache(FakeLock())
    assert list(answers.pages(NOTES, lev.pages("a"))) == ["a"]
    assert list(answers.pages(call, lev.pages("b"))) == ["b"]


def test_what_is_begun_is_the_first_page_and_no_more() -> None:
    lev, answers = Lev(), ResponseCache(FakeLock())
    answers.fetch_first(NOTES, lev.pages("a", "b"))
    assert lev.asked == ["a"]
    answers.fetch_first(NOTES, lev.pages("c"))
    assert lev.asked == ["a"]
    assert list(answers.pages(NOTES, lev.pages("d"))) == ["a", "b"]
    answers.fetch_first(NOTES, lev.pages("e"))
    assert lev.asked == ["a", "b"]


def test_no_page_at_all_is_asked_for_once() -> None:
    lev, answers = Lev(), ResponseCache(FakeLock())
    answers.fetch_first(NOTES, lev.pages())
    answers.fetch_first(NOTES, lev.pages("a"))
    assert list(answers.pages(NOTES, lev.pages("b"))) == []
    assert lev.asked == []


def test_an_error_is_every_reader_s_and_asked_for_once() -> None:
    lev, answers, error = Lev(), ResponseCache(FakeLock()), api_error()
    for _ in range(2):
        with pytest.raises(LevAPIError) as caught:
            answers.fetch_first(NOTES, lev.pages(error=error))
        assert caught.value is error
    for _ in range(2):
        with pytest.raises(LevAPIError) as caught:
            list(answers.pages(NOTES, lev.pages("a")))
        assert caught.value is error
    assert lev.asked == ["error"]


def test_an_error_comes_after_the_pages_before_it() -> None:
    lev, answers = Lev(), ResponseCache(FakeLock())
    answers.fetch_first(NOTES, lev.pages("a", error=api_error()))
    for _ in range(2):
        pages = answers.pages(NOTES, lev.pages())
        assert next(pages) == "a"
        with pytest.raises(LevAPIError):
            next(pages)
    answers.fetch_first(NOTES, lev.pages())
    assert lev.asked == ["a", "error"]


def test_pages_of_a_read_by_post_are_not_kept() -> None:
    lev, answers = Lev(), ResponseCache(FakeLock())
    pages = answers.pages(SEARCH, lev.pages("a", "b", "c"))
    (known,) = answers._known.values()
    for number, name in enumerate(["a", "b", "c"]):
        assert next(pages) == name
        assert known._pages == [None] * (number + 1)
    with pytest.raises(AssertionError):
        list(answers.pages(SEARCH, lev.pages()))


@given(st.integers(0, 1 << 30), st.integers(2, 5), st.booleans(), st.booleans())
@settings(max_examples=30)
def test_threads_that_want_the_same_read_it_once(
    seed: int,
    threads: int,
    fails: bool,  # noqa: FBT001
    begins: bool,  # noqa: FBT001
) -> None:
    stage = SimulatedThreads(random.Random(seed).randrange)
    lev, answers, error = Lev(stage), ResponseCache(stage), api_error() if fails else None
    got: list[list[str]] = []

    def read() -> None:
        pages: list[str] = []
        try:
            if begins:
                answers.fetch_first(NOTES, lev.pages("a", "b", error=error))
            pages.extend(map(str, answers.pages(NOTES, lev.pages("a", "b", error=error))))
        except LevAPIError:
            pages.append("error")
        got.append(pages)

    for number in range(threads):
        stage.start(read, f"{number}")
    stage.run()
    whole = ["a", "b", "error"] if fails else ["a", "b"]
    assert got == [whole] * threads
    assert lev.asked == whole
    assert stage.now == 2


# -- For the rows of a page


class Child:
    """A stream that reads for each row, and its reader."""

    is_read_apart = True
    requests_per_row = 1.0
    needed_endpoints: tuple[str, ...] = ()

    def __init__(self, page: Page, name: str, latency: float = 1) -> None:
        self.name = name
        self.endpoint: str | None = f"GET /{name}"
        self.report = StreamReport()
        self.read: list[int] = []
        self.left_out: set[int] = set()
        self.errors: dict[int, Exception] = {}
        self.latency = latency
        self._page = page

    @property
    def reader(self) -> Child:
        return self

    @property
    def stream(self) -> Child:
        return self

    def takes(self, row: dict[str, Any]) -> bool:
        return row["id"] not in self.left_out

    def prefetch(self, row: dict[str, Any], _: object, answers: ResponseCache) -> None:
        answers.fetch_first(self._request(row), self._pages(row["id"]))

    def visit(self, row: dict[str, Any], answers: ResponseCache) -> None:
        list(answers.pages(self._request(row), self._pages(row["id"])))

    def _request(self, row: dict[str, Any]) -> LevRequest:
        return LevRequest(f"GET /{self.name}", path_params=row)

    def _pages(self, number: int) -> Iterator[LevResponse]:
        self.read.append(number)
        self.report.requests += 1
        if number > self._page.writing + PARENTS_AHEAD:
            self._page.too_far.append((self.name, number))
        with self._page.stage.released():
            self._page.stage.take_time(self.latency)
        if number in self.errors:
            raise self.errors[number]
        yield cast("LevResponse", number)


class Page:
    """A page of rows, some streams that live on them, and the thread that writes them."""

    def __init__(self, rows: int, *names: str, seed: int = 0, more: int = 0) -> None:
        self.stage = SimulatedThreads(random.Random(seed).randrange)
        self.expected: dict[str, list[float]] = {}
        run: Any = SimpleNamespace(
            lock=self.stage, workers=self.stage, expect_requests=self._expect
        )
        self.children = [Child(self, name) for name in names]
        self.active: Any = SimpleNamespace(
            children=tuple(self.children), streams=list(self.children)
        )
        self.wanted: list[Any] = self.active.streams
        self.rows = [{"id": number} for number in range(rows)]
        self.writing = 0
        self.too_far: list[tuple[str, int]] = []
        self.time_for_a_row = 0.0
        self.passed_over = {404}
        self.answers = Prefetcher(run, self.rows, cast("LevResponse", None), more)

    def _expect(self, child: Child, endpoint: str, requests: float) -> None:
        assert child in self.children
        self.expected.setdefault(endpoint, []).append(requests)

    def write(self) -> None:
        """Write all rows, on the stage."""
        self.stage.start(self._write, "writer")
        self.stage.run()
        assert self.too_far == []

    def _write(self) -> None:
        with self.answers as page:
            page.start(self.active)
            for row, answers in page:
                self.writing = row["id"]
                for child in self.children:
                    if child in self.wanted and child.takes(row):
                        try:
                            child.visit(row, answers)
                        except LevAPIError as error:
                            if error.status not in self.passed_over:
                                self.wanted.remove(child)
                if self.time_for_a_row:
                    with self.stage.released():
                        self.stage.take_time(self.time_for_a_row)


@given(
    st.integers(0, 1 << 30),
    st.integers(0, 30),
    st.lists(st.sampled_from([0, 1, 3]), min_size=1, max_size=4),
    st.sampled_from([0, 2, 7]),
)
@settings(max_examples=30)
def test_each_row_is_read_once_in_order_and_never_too_far_ahead(
    seed: int, rows: int, latencies: list[float], pace: float
) -> None:
    page = Page(rows, *map(str, range(len(latencies))), seed=seed)
    page.time_for_a_row = pace
    for child, latency in zip(page.children, latencies, strict=True):
        child.latency = latency
    page.write()
    assert all(child.read == list(range(rows)) for child in page.children)


def test_streams_and_rows_are_read_side_by_side() -> None:
    page = Page(30, "notes", "team", "documents")
    page.write()
    assert page.stage.now == 30, "as long as one stream takes by itself"


def test_a_slow_writer_finds_so_many_rows_read_and_no_more() -> None:
    page = Page(40, "notes", seed=1)
    page.time_for_a_row = 1000
    ahead: list[int] = []
    child = page.children[0]
    visit = child.visit

    def visited(row: dict[str, Any], answers: ResponseCache) -> None:
        ahead.append(len(child.read) - 1 - row["id"])
        visit(row, answers)

    child.visit = visited  # type: ignore[method-assign]
    page.write()
    assert ahead[1:-PARENTS_AHEAD] == [PARENTS_AHEAD - 1] * (39 - PARENTS_AHEAD)


def test_what_was_read_for_a_row_is_forgotten_after_it() -> None:
    page = Page(20, "notes")
    page.write()
    assert page.answers._caches == {}
    assert len({id(page.answers.cache_of(row)) for row in page.rows}) == 20


@pytest.mark.parametrize("status", [403, 500])
def test_a_stream_that_fails_reads_no_further(status: int) -> None:
    page = Page(30, "notes", "team")
    notes, team = page.children
    notes.errors = dict.fromkeys((12, 13), api_error(status))
    page.write()
    assert notes.read == list(range(14))
    assert team.read == list(range(30))
    assert page.wanted == [team]


@pytest.mark.parametrize("failing", [(12,), (12, 14, 16), (0, 29)])
def test_single_rows_that_fail_are_no_reason_to_read_no_further(failing: tuple[int, ...]) -> None:
    page = Page(30, "notes", "team")
    page.passed_over.add(500)
    page.time_for_a_row = 1
    notes, team = page.children
    notes.errors = dict.fromkeys(failing, api_error(500))
    page.write()
    assert notes.read == team.read == list(range(30))
    assert page.stage.now == 31, "still ahead of the writer"


def test_a_stream_that_is_taken_out_reads_no_further() -> None:
    page = Page(60, "notes", "team")
    notes, team = page.children
    team.errors[3] = api_error(500)
    visit = notes.visit

    def visited(row: dict[str, Any], answers: ResponseCache) -> None:
        visit(row, answers)
        if row["id"] == 20:
            page.wanted.remove(notes)

    notes.visit = visited  # type: ignore[method-assign]
    page.write()
    assert len(notes.read) <= 20 + 1 + PARENTS_AHEAD + 1


def test_a_page_that_is_left_early_is_read_no_further() -> None:
    page = Page(60, "notes", "team")

    def write() -> None:
        with page.answers:
            page.answers.start(page.active)
            page.stage.wait(threading.Event(), 100)

    page.stage.start(write, "writer")
    page.stage.run()
    assert all(child.read == list(range(PARENTS_AHEAD + 1)) for child in page.children)


def test_a_refused_key_ends_the_run() -> None:
    page = Page(5, "notes")
    page.children[0].errors[3] = api_error(401)
    with pytest.raises(AuthenticationError):
        page.write()


def test_rows_that_a_stream_does_not_hold_are_passed_over() -> None:
    page = Page(30, "notes")
    (notes,) = page.children
    notes.left_out = set(range(0, 30, 2))
    page.time_for_a_row = 5  # so that the reader is ahead
    page.write()
    assert notes.read == list(range(1, 30, 2))


def test_what_is_embedded_or_has_no_endpoint_is_not_read() -> None:
    page = Page(5, "embedded", "none", "unwanted")
    embedded, none, unwanted = page.children
    embedded.is_read_apart = False
    none.endpoint = None
    page.wanted.remove(unwanted)
    page.active.children = (embedded, none)
    page.answers.start(page.active)
    assert page.stage._actors == []


def test_the_gate_is_told_how_much_is_left() -> None:
    page = Page(8, "notes", more=92)
    page.children[0].needed_endpoints = ("GET /parents",)
    page.write()
    left = [100 - number for number in range(8)]
    assert page.expected == {"GET /notes": left, "GET /parents": left}


@pytest.mark.parametrize(("status", "goes_on"), [(404, True), (403, False), (500, False)])
def test_a_parent_that_is_gone_is_no_reason_to_stop(
    lev: SandboxServer, status: int, *, goes_on: bool
) -> None:
    run = TapLev(config=config_of(lev), setup_mapper=False).current_run
    stream = run.streams["deal_notes"]
    assert isinstance(stream, ChildStream)

    class Gone(ResponseCache):
        @override
        def fetch_first(self, *_: object) -> None:
            raise api_error(status)

    with contextlib.nullcontext() if goes_on else pytest.raises(LevAPIError):
        ChildReader(run, stream).prefetch({"id": 7}, cast("LevResponse", None), Gone(run.lock))


def test_a_parent_that_is_gone_is_passed_over_and_all_else_is_read(start_lev: StartLev) -> None:
    lev = start_lev(deals=20)
    gone = "/deals/5/notes"
    lev.sandbox.on_request(
        lambda request: lev.sandbox.hide("deals", 5) if request.path == gone else None
    )
    run = sync(config_of(lev), streams=("deal_notes",))
    assert run.exit_code == 0
    asked = [e.path for e in lev.sandbox.requests if e.route == "/deals/{deal_id}/notes"]
    assert asked == [f"/deals/{number}/notes" for number in range(1, 21)]
    assert {row["deal_id"] for row in run.records("deal_notes")} >= {4, 6, 20}
