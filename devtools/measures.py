"""Measure how hard the tap's code is to enter: ``python -m devtools.measures``.

Prints a Markdown table. Nothing here depends on the layout of ``tap_lev``, so that two checkouts
can be compared. In one that has no ``devtools``, run it with ``PYTHONPATH=<this checkout>``.
"""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import json
import os
import sys
import threading
import tokenize
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tap_lev
from lev_sandbox import Sandbox, SandboxServer
from tap_lev.tap import TapLev

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FrameType

PACKAGE = Path(str(tap_lev.__file__)).parent
UNLIMITED = 1_000_000_000
MAX_ARGUMENTS = 4
MAX_DOTS = 2
RUNS = 5
WITHOUT_FACTS = "WalkTracker"
"""The class whose keyword-only arguments are not counted: they are plain facts."""

Graph = dict[str, set[str]]
"""The modules that each module imports."""


@dataclass(frozen=True)
class Source:
    """One source file of the package.

    Attributes:
        path: Its path within the package.
        text: Its text.
        tree: Its syntax tree.
    """

    path: Path
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """The name by which it is imported."""
        parts = [PACKAGE.name, *self.path.with_suffix("").parts]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_sources() -> list[Source]:
    """Read the files of the package that the running Python imports."""
    paths = sorted(PACKAGE.rglob("*.py"))
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return [
        Source(path.relative_to(PACKAGE), text, ast.parse(text))
        for path, text in zip(paths, texts, strict=True)
    ]


# -- Imports


def import_graph(sources: Iterable[Source]) -> Graph:
    """Find which modules import which, for types or within a function as well."""
    modules = {source.module: source for source in sources}
    return {
        name: {
            target
            for node in ast.walk(source.tree)
            for target in _targets(node, modules)
            if target != name
        }
        for name, source in modules.items()
    }


def _targets(node: ast.AST, modules: Mapping[str, Source]) -> Iterator[str]:
    """Find the modules of the package that a statement imports."""
    match node:
        case ast.Import(names):
            yield from (alias.name for alias in names if alias.name in modules)
        case ast.ImportFrom(str(package), names, 0):
            for alias in names:
                # Either a module of a package, or a name in a module.
                name = f"{package}.{alias.name}"
                if name in modules:
                    yield name
                elif package in modules:
                    yield package


def circles(graph: Graph) -> list[set[str]]:
    """Find the largest sets of modules that all import each other, directly or not."""
    reachable = {module: _reachable(graph, module) for module in graph}
    found: list[set[str]] = []
    for module in graph:
        circle = {other for other in reachable[module] if module in reachable[other]}
        if circle and circle not in found:
            found.append(circle)
    return found


def _reachable(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def upward_imports(graph: Graph) -> set[tuple[str, str]]:
    """Find the imports that run upwards, in the order of modules that has fewest of them.

    The fewest are searched for and not proven: each module moves to its best place until none
    moves any more.
    """
    order = sorted(graph, key=lambda module: len(_reachable(graph, module)))
    improved = True
    while improved:
        improved = False
        for module in graph:
            place = _best_place(graph, order, module)
            if place != order.index(module):
                order.remove(module)
                order.insert(place, module)
                improved = True
    height = {module: number for number, module in enumerate(order)}
    return {
        (module, target)
        for module, targets in graph.items()
        for target in targets
        if height[target] > height[module]
    }


def _best_place(graph: Graph, order: list[str], module: str) -> int:
    """Find where in the order a module has the fewest imports upwards, at its place if possible."""
    others = [other for other in order if other != module]
    # At the bottom all that it imports is above it. Each step up passes one module.
    costs = [len(graph[module])]
    for other in others:
        costs.append(costs[-1] + (module in graph[other]) - (other in graph[module]))
    now = order.index(module)
    best = costs.index(min(costs))
    return best if costs[best] < costs[now] else now


def broken_layers(graph: Graph) -> int | None:
    """Count the imports that break the layers of pyproject.toml; None if it has none."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"].get("importlinter", {}).get("contracts", [])
    layers = [c["layers"] for c in contracts if c.get("containers") == [PACKAGE.name]]
    if not layers:
        return None
    depth = {
        f"{PACKAGE.name}.{name}": number
        for number, names in enumerate(layers[0])
        for name in names.split(" | ")
    }

    def room(module: str) -> str:
        return ".".join(module.split(".")[:2])

    pairs = [
        (room(module), room(target)) for module, targets in graph.items() for target in targets
    ]
    return sum(
        above != below and depth[below] <= depth[above]
        for above, below in pairs
        if above in depth and below in depth
    )


# -- Classes, chains, comments


def constructors(sources: Iterable[Source]) -> Counter[str]:
    """Count the arguments of each constructor that is written out, ``self`` aside."""
    counts: Counter[str] = Counter()
    for source in sources:
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.ClassDef):
                continue
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    signature = method.args
                    named = [*signature.posonlyargs, *signature.args][1:]
                    facts = [] if node.name == WITHOUT_FACTS else signature.kwonlyargs
                    counts[node.name] = len(named) + len(facts)
    return counts


def chains(sources: Iterable[Source]) -> list[str]:
    """Find the chains of more than two dots, ``self`` aside; a call or an index ends a chain."""
    found = []
    for source in sources:
        if source.path == Path("tap.py"):
            continue
        inner = {node.value for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and node not in inner and _dots(node) > MAX_DOTS:
                found.append(f"{source.path}:{node.lineno} {ast.unparse(node)}")  # noqa: PERF401
    return found


def _dots(node: ast.Attribute) -> int:
    match node.value:
        case ast.Attribute() as before:
            return _dots(before) + 1
        case ast.Name("self" | "cls"):
            return 0
        case _:
            return 1


def comment_lines(source: Source) -> int:
    """Count the lines that hold nothing but a comment."""
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    return sum(
        token.type == tokenize.COMMENT and token.line.lstrip().startswith("#") for token in tokens
    )


# -- The way of one page


@dataclass
class Trace:
    """The calls into the package while one page is read, in all threads.

    Attributes:
        files: The file of each call, in their order.
        is_open: Whether the page is being read.
    """

    files: list[str] = field(default_factory=list)
    is_open: bool = False

    def on_event(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call; the hook of ``sys.setprofile``."""
        if self.is_open and event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            self.files.append(frame.f_code.co_filename)

    @property
    def moves(self) -> int:
        """How often a call is in another file than the call before it."""
        return sum(before != after for before, after in itertools.pairwise(self.files))


def trace_page(path: str, selected: set[str]) -> Trace:
    """Trace a run with two rows a page, from the request of page 2 to that of page 3.

    Args:
        path: The path of the list.
        selected: The streams to select.
    """
    trace, page = Trace(), itertools.count(1)
    with SandboxServer(Sandbox(contacts=8, deals=8)) as server:

        def on_request(request: Any) -> None:  # noqa: ANN401 - its module may be renamed
            if request.route == path:
                trace.is_open = next(page) == 2  # noqa: PLR2004

        server.sandbox.on_request(on_request)
        config = {
            "api_url": server.url,
            "api_key": server.key,
            "page_size": 2,
            "requests_per_minute": UNLIMITED,
            "requests_per_minute_per_endpoint": UNLIMITED,
        }
        tap = TapLev(config=config, catalog=_catalog(selected))
        threading.setprofile(trace.on_event)
        sys.setprofile(trace.on_event)
        try:
            with _discarded_output():
                tap.run()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type, unused-ignore]
    return trace


def _catalog(selected: set[str]) -> dict[str, Any]:
    tap = TapLev(config={}, validate_config=False, setup_mapper=False)
    catalog: dict[str, Any] = json.loads(tap.catalog_json_text)
    for entry in catalog["streams"]:
        for metadata in entry["metadata"]:
            if not metadata["breadcrumb"]:
                metadata["metadata"]["selected"] = entry["tap_stream_id"] in selected
    return catalog


@contextlib.contextmanager
def _discarded_output() -> Iterator[None]:
    """Discard messages and log, which the tap writes to the descriptors."""
    streams = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.flush()
    saved = [os.dup(stream.fileno()) for stream in streams]
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        for stream in streams:
            os.dup2(nowhere.fileno(), stream.fileno())
        try:
            yield
        finally:
            for stream, descriptor in zip(streams, saved, strict=True):
                stream.flush()
                os.dup2(descriptor, stream.fileno())
                os.close(descriptor)


# -- The table


def measures() -> Iterator[tuple[str, str, str]]:
    """Measure the package: what is measured, the number, and the goal."""
    sources = read_sources()
    graph = import_graph(sources)
    rings, upward = circles(graph), upward_imports(graph)
    sizes = f" (modules: {', '.join(str(len(ring)) for ring in rings)})" if rings else ""
    yield "circles of imports, types counted", f"{len(rings)}{sizes}", "0"
    yield "imports that run upwards", str(len(upward)), "0"
    broken = broken_layers(graph)
    yield "imports against the layers", "no layers" if broken is None else str(broken), "0"
    for path, selected, goal in (
        ("/contacts", {"contacts"}, "80 in 20"),
        ("/deals", {"deals", "deal_notes"}, "350"),
    ):
        # Threads take turns in another order each time, so the median of several runs.
        traces = [trace_page(path, selected) for _ in range(RUNS)]
        trace = sorted(traces, key=lambda trace: trace.moves)[RUNS // 2]
        what = " and ".join(sorted(selected))
        yield (
            f"moves between files for one page of {what}",
            f"{trace.moves} in {len(set(trace.files))} files",
            goal,
        )
    arguments = constructors(sources).most_common()
    above = ", ".join(name for name, count in arguments if count > MAX_ARGUMENTS)
    yield "most constructor arguments", f"{arguments[0][1]} (too many: {above or 'none'})", "4"
    yield "chains over two dots outside tap.py", str(len(chains(sources))), "0"
    filled = sum(bool(line.strip()) for source in sources for line in source.text.splitlines())
    comments = sum(map(comment_lines, sources))
    yield "comment lines", f"{comments / filled:.1%}", "4.0%"
    yield "lines", f"{sum(source.text.count(chr(10)) for source in sources):,}", "no growth"
    yield "files", str(len(sources)), ""


def main() -> None:
    """Print the table."""
    rows = [("measure", "now", "goal"), ("---", "---", "---"), *measures()]
    print("".join(f"| {' | '.join(row)} |\n" for row in rows), end="")


if __name__ == "__main__":
    main()
