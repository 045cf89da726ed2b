"""The requests that the docs tell are those that the tap makes."""

from __future__ import annotations

import inspect
import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from devtools import request_counts
from lev_sandbox import Sandbox
from lev_sandbox.switches import SWITCHES
from tap_lev.state.bookmark import Bookmark
from tap_lev.state.walk import KEYS
from tap_lev.streams import STREAMS

DOCS = Path(__file__).parents[2] / "docs"
QUICK = ("default", "default, next run", "default, plainly", "everything, plainly")
"""The columns that are counted in seconds. The others take minutes."""

FACTS = (DOCS / "lev-api.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^###? (\d[\d.]*\d|\d)\.? .*\n((?:(?!##).*\n)*)", FACTS, re.MULTILINE))
"""The text of each section of what Lev publishes, by its number."""
ROWS = dict(re.findall(r"^\| (\d+) \|.*\| ?([^|]*)\|$", SECTIONS["3"], re.MULTILINE))
"""What plays each contradiction, by the number of its row."""
CITATION = re.compile(r"\blev-api\.md((?:(?:,| to| and)? §[\d.]*\d(?: row \d+)?)*)")
PLACE = re.compile(r"§([\d.]*\d(?: row \d+)?)")
CITING = sorted(
    path
    for folder in ("tap_lev", "sandbox", "tests", "devtools", "docs", "benchmarks")
    for path in (DOCS.parent / folder).rglob("*")
    if path.suffix in {".py", ".md"}
)


@pytest.fixture(scope="module")
def told() -> request_counts.Cells:
    """The table in the docs, by column and row."""
    page = (DOCS / "streams.md").read_text(encoding="utf-8")
    return request_counts.cells(request_counts.find_table(page))


@pytest.mark.parametrize("column", QUICK)
def test_the_table_of_requests_is_what_is_counted(told: request_counts.Cells, column: str) -> None:
    counted = request_counts.table({column: request_counts.COLUMNS[column]()})
    assert told[column] == request_counts.cells(counted)[column], (
        "run: python -m devtools.request_counts"
    )


def test_the_table_has_every_column_and_every_endpoint(told: request_counts.Cells) -> None:
    assert list(told) == list(request_counts.COLUMNS)
    asked = {row.strip("`").partition(" ")[2] for row in told["everything, plainly"]}
    assert {stream.path for stream in STREAMS if stream.path} <= asked


def test_everything_is_asked_for_at_most_once(told: request_counts.Cells) -> None:
    def number(column: str, row: str) -> int:
        return int(told[column].get(row, "0").replace(",", "").strip("*"))

    rows = [row for row in told["everything"] if row.startswith("`")]
    probe_and_account = sum(
        max(number("everything", row) - number("everything, plainly", row), 0) for row in rows
    )
    assert probe_and_account <= 2
    total = number("everything", "**all requests**")
    assert total == sum(number("everything", row) for row in rows)


def test_every_stream_is_described() -> None:
    page = (DOCS / "streams.md").read_text(encoding="utf-8")
    assert [stream.name for stream in STREAMS if f"`{stream.name}`" not in page] == []


def test_time_is_that_of_the_tighter_limit() -> None:
    assert request_counts.minutes(request_counts.Requests({"GET /a": 200}), "standard") == 10
    many = request_counts.Requests({f"GET /{number}": 20 for number in range(50)})
    assert request_counts.minutes(many, "standard") == 10


def test_the_format_of_the_state_is_explained() -> None:
    page = (DOCS / "state.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE)
    empty: dict[str, Any] = {}
    Bookmark(empty, "updated_at").complete("contacts")
    assert explained == [*empty, *(f"walk.{key}" for key in KEYS)]

    (example,) = re.findall(r"<!-- in the middle -->\n```json\n(.*?)```", page, re.DOTALL)
    entry = json.loads(example)
    bookmark = Bookmark(json.loads(example), "updated_at")
    bookmark.complete("contacts")
    assert bookmark._entry == entry, "it is whole"
    walk = bookmark.load_walk()
    assert walk is not None
    assert walk.to_state() == entry["walk"]


def citations(path: Path) -> list[list[str]]:
    """The sections that each citation of a file names, ``3 row 6`` for a row of section 3."""
    text = re.sub(r"\s+(?:# )?", " ", path.read_text(encoding="utf-8"))
    return [PLACE.findall(told) for told in CITATION.findall(text)]


def test_each_fact_that_is_cited_is_in_the_docs() -> None:
    known = {*SECTIONS, *(f"3 row {row}" for row in ROWS)}
    cited = {(path, place) for path in CITING for told in citations(path) for place in told}
    assert len(cited) > 40
    cited |= {(DOCS / "lev-api.md", place) for place in PLACE.findall(FACTS)}
    assert [(path.name, place) for path, place in sorted(cited) if place not in known] == []


def test_each_citation_in_the_code_names_a_section() -> None:
    code = [path for path in CITING if path.parts[len(DOCS.parts) - 1] in {"tap_lev", "sandbox"}]
    bare = [path.name for path in code if path.suffix == ".py" and [] in citations(path)]
    assert bare == []


def test_the_numbers_of_the_facts_rise() -> None:
    numbers = re.findall(r"^###? (\d[\d.]*)", FACTS, re.MULTILINE)
    places = [[int(part) for part in number.strip(".").split(".")] for number in numbers]
    assert all(before < after for before, after in itertools.pairwise(places))
    assert [int(row) for row in ROWS] == list(range(1, len(ROWS) + 1))


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_each_column_is_in_the_section_that_its_module_cites(stream: Any) -> None:  # noqa: ANN401
    first, *others = citations(Path(str(sys.modules[stream.__module__].__file__)))[0]
    last = others[-1] if others else first
    between = range(int(first.split(".")[1]), int(last.split(".")[1]) + 1)
    told = "".join(SECTIONS[f"2.{number}"] for number in between)
    assert [name for name in stream.schema["properties"] if f"`{name}`" not in told] == []
    if stream.path:
        assert stream.path in told or stream.path.endswith("/notes")


def test_the_switches_that_play_a_contradiction_are_those_of_the_sandbox() -> None:
    named = {name for switches in ROWS.values() for name in re.findall(r"`(\w+)`", switches)}
    of_start = set(inspect.signature(Sandbox).parameters) | {"Sandbox"}
    assert named - SWITCHES.keys() - of_start == set()
    assert len(named) > 30


def test_the_stream_that_is_shown_is_one_of_the_tap() -> None:
    page = (DOCS / "adding-a-stream.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert shown in (DOCS.parent / "tap_lev" / "streams" / "documents.py").read_text("utf-8")


@pytest.mark.parametrize("page", sorted(DOCS.parent.glob("*.md")) + sorted(DOCS.glob("*.md")),
                         ids=lambda page: page.name)  # fmt: skip
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, _, heading in re.findall(r"\]\(([^)#:]*)(#([^)]*))?\)", text):
        file = (page.parent / target) if target else page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in map(anchor, headings), f"{target}#{heading}"


def anchor(heading: str) -> str:
    """What a heading is called in a link."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
