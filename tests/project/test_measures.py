"""What devtools/measures.py counts."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from devtools.measures import (
    Source,
    Trace,
    chains,
    circles,
    comment_lines,
    constructors,
    import_graph,
    trace_page,
    upward_imports,
)


def source(text: str, path: str = "module.py") -> Source:
    """A file of the package."""
    text = textwrap.dedent(text)
    return Source(Path(path), text, ast.parse(text))


def test_imports_for_types_and_in_functions_close_a_circle() -> None:
    graph = import_graph(
        [
            source("from tap_lev import b", "a.py"),
            source("if TYPE_CHECKING:\n    from tap_lev.c.d import D", "b.py"),
            source("", "c/__init__.py"),
            source("def f():\n    import tap_lev.a", "c/d.py"),
            source("from tap_lev.a import name", "e.py"),
        ]
    )
    assert graph["tap_lev.e"] == {"tap_lev.a"}
    assert circles(graph) == [{"tap_lev.a", "tap_lev.b", "tap_lev.c.d"}]
    assert len(upward_imports(graph)) == 1
    assert circles({"a": {"b"}, "b": set()}) == []
    assert upward_imports({"a": {"b"}, "b": set()}) == set()


def test_a_chain_is_more_than_two_dots_without_self() -> None:
    text = "a.b.c; a.b.c.d; self.a.b.c; self.a.b.c.d; a.b.c().d.e; a.b.c[0].d"
    assert chains([source(text)]) == ["module.py:1 a.b.c.d", "module.py:1 self.a.b.c.d"]
    assert chains([source(text, "tap.py")]) == []


def test_arguments_are_counted_without_self_and_without_the_facts_of_the_tracker() -> None:
    text = """
        class Other:
            def __init__(self, a, b=1, *, c): ...
        class WalkTracker:
            def __init__(self, a, *, b, c): ...
    """
    assert constructors([source(text)]) == {"Other": 3, "WalkTracker": 1}


def test_only_lines_that_are_a_comment_count() -> None:
    assert comment_lines(source("# why\nx = 1  # beside\ny = '''\n# text\n'''\n")) == 1


def test_a_move_is_a_call_in_another_file() -> None:
    assert Trace(files=["a", "a", "b", "a"]).moves == 2


@pytest.mark.parametrize(
    ("path", "selected"), [("/contacts", {"contacts"}), ("/deals", {"deals", "deal_notes"})]
)
def test_the_way_of_a_page_is_traced(path: str, selected: set[str]) -> None:
    trace = trace_page(path, selected)
    assert not trace.is_open
    names = {Path(file).stem for file in trace.files}
    assert names >= {"client", "transport", "writer", "tracker"}
    assert trace.moves > len(names)
