"""The tables in docs/performance.md, made from the figures."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from statistics import linear_regression, median
from typing import TYPE_CHECKING, Any

from benchmarks.pace import GIVES_UP, MINUTE
from benchmarks.programs import CLIENT_LOOP, DLT, PLAIN_TAP, TAP_LEV
from benchmarks.startup import NOTHING_NEW, NOTHING_NEW_CHANGED, SDK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
MEBIBYTE = 2**20
MILLION = 1_000_000

Results = dict[str, Any]
Row = tuple[str, ...]


# -- Figures


def per_second(rows: Results, name: str, *, net: bool = True) -> float:
    """Compute a program's rows a second.

    Args:
        rows: The figures of the part.
        name: The program.
        net: Whether its start is left out: what an account of one page takes.
    """
    taken = rows["programs"][name]
    wall = median(taken["wall"])
    if not net:
        return float(rows["rows"] / wall)
    return float((rows["rows"] - rows["page"]) / (wall - median(taken["start_wall"])))


def cpu_per_million(rows: Results, name: str) -> float:
    """Compute the processor seconds that a program takes for a million rows, without its start."""
    taken = rows["programs"][name]
    seconds = median(taken["cpu"]) - median(taken["start_cpu"])
    return float(seconds / (rows["rows"] - rows["page"]) * MILLION)


def growth(memory: Results, name: str) -> float:
    """Compute how many times its memory at the small account a program takes at the large one."""
    peaks = memory["programs"][name]
    return float(median(peaks["large"]) / median(peaks["small"]))


def ours(selection: Results) -> Results:
    """Take this tap's median run."""
    runs: list[Results] = sorted(selection[TAP_LEV], key=lambda run: run["wall"] / run["floor"])
    return runs[len(runs) // 2]


def times_faster(selection: Results) -> float:
    """Compute how many times this tap's time the plain tap takes, at least."""
    return float(selection[PLAIN_TAP]["wall"] / ours(selection)["wall"])


def settled(values: Sequence[float]) -> Sequence[float]:
    """Take what came after the first tenth of a run, in which it warms up."""
    return values[len(values) // 10 :]


def drift(values: Sequence[float]) -> float:
    """Compute how many times what it had in its second quarter a run had in its last."""
    quarter = len(values) // 4
    return float(median(values[-quarter:]) / median(values[quarter : 2 * quarter]))


def an_hour(minutes: Sequence[float], values: Sequence[float]) -> float:
    """Compute how much a run has more after an hour, by the line through what it had."""
    return float(linear_regression(settled(minutes), settled(values)).slope * MINUTE)


def overhead(long: Results) -> float:
    """Compute how many times the requests of an undisturbed run many short ones need."""
    return float(sum(each["requests"] for each in long["restarts"]) / long["run"]["requests"])


def planned(run: Results) -> float:
    """Compute what part of the time that a sync took was planned."""
    return float(run["seconds"] / run["wall"])


def ended(run: Results) -> bool:
    """Say whether a run was ended before it was complete."""
    return bool(run["exit_code"])


# -- Tables


def _verdict(*, met: bool) -> str:
    return "met" if met else "**not met**"


def _pace_targets(pace: Results) -> Iterator[Row]:
    for tier, found in pace["tiers"].items():
        for name, selection in found["selections"].items():
            run = ours(selection)
            ratio = run["wall"] / run["floor"]
            refused = sum(each["refused"] for each in selection[TAP_LEV])
            yield (
                f"wall time ÷ floor, `{tier}`, {name}",
                "≤ 1.05, no 429",
                f"{ratio:.3f}, {refused or 'no'} 429",
                _verdict(met=ratio <= 1.05 and not refused),  # noqa: PLR2004
            )
    standard = pace["tiers"].get("standard", {"selections": {}})["selections"]
    for name, selection in standard.items():
        yield _at_least(
            f"speed ÷ plain SDK tap's, `standard`, {name}",
            4,
            times_faster(selection),
            more=ended(selection[PLAIN_TAP]),
        )


def _at_least(measure: str, target: float, found: float, *, more: bool = False) -> Row:
    figure = f"{'more than ' if more else ''}{found:.2f}"
    return (measure, f"≥ {target:g}", figure, _verdict(met=found >= target))


def _at_most(measure: str, target: float, found: float) -> Row:
    return (measure, f"≤ {target:.2f}", f"{found:.2f}", _verdict(met=found <= target))


def _targets(results: Results) -> Iterator[Row]:
    if "pace" in results:
        yield from _pace_targets(results["pace"])
    if rows := results.get("rows"):
        for name, target in ((PLAIN_TAP, 8), (DLT, 5), (CLIENT_LOOP, 0.8)):
            ratio = per_second(rows, TAP_LEV) / per_second(rows, name)
            yield _at_least(f"rows/s ÷ {name}'s", target, ratio)
    if memory := results.get("memory"):
        yield _at_most("peak memory at 1M rows ÷ at 10k", 1.1, growth(memory, TAP_LEV))
    for tier, cases in results.get("plan", {"tiers": {}})["tiers"].items():
        ratios = [median(map(planned, runs)) for runs in cases.values()]
        figure = f"{min(ratios):.2f} to {max(ratios):.2f}"
        met = min(ratios) >= 0.85 and max(ratios) <= 1.15  # noqa: PLR2004
        yield (f"planned ÷ taken time, `{tier}`", "0.85 to 1.15", figure, _verdict(met=met))
    if startup := results.get("startup"):
        base = median(startup["commands"][SDK]["cpu"])
        for name, label in ((NOTHING_NEW, ""), (NOTHING_NEW_CHANGED, ", scope `changed`")):
            ratio = median(startup["commands"][name]["cpu"]) / base
            yield _at_most(f"CPU, nothing new{label} ÷ `import singer_sdk`", 1.5, ratio)
    if long := results.get("long"):
        yield from _long_targets(long)


def _long_targets(long: Results) -> Iterator[Row]:
    run, compared = long["run"], long["compared"]
    for kind, label in (("memory", "memory"), ("files", "open files"), ("threads", "threads")):
        yield _at_most(f"{label}, last quarter of two hours ÷ second", 1.05, drift(run[kind]))
    ends = len(long["restarts"]) - 1
    bad = compared["lost"] + compared["wrong"]
    figure = f"{bad} of {compared['rows']:,}"
    yield (f"rows lost or wrong after {ends} restarts", "0", figure, _verdict(met=not bad))


def summary(results: Results) -> str:
    """Build the table of targets."""
    return _table(("measure", "target", "measured", ""), _targets(results))


def _rows(results: Results) -> str:
    rows = results["rows"]
    best = per_second(rows, TAP_LEV)
    head = ("program", "rows/s", "tap-lev's ÷ its", "CPU s per 1M rows", "rows/s with its start",
            "start, s")  # fmt: skip
    return _table(
        head,
        (
            (
                name,
                f"{per_second(rows, name):,.0f}",
                f"{best / per_second(rows, name):.2f}",
                f"{cpu_per_million(rows, name):.1f}",
                f"{per_second(rows, name, net=False):,.0f}",
                f"{median(taken['start_wall']):.2f}",
            )
            for name, taken in rows["programs"].items()
        ),
    )


def _memory(results: Results) -> str:
    memory = results["memory"]
    head = ("program", f"{memory['small']:,} rows, MiB", f"{memory['large']:,} rows, MiB", "ratio")
    return _table(
        head,
        (
            (
                name,
                *(f"{median(peaks[size]) / MEBIBYTE:.1f}" for size in ("small", "large")),
                f"{growth(memory, name):.2f}",
            )
            for name, peaks in memory["programs"].items()
        ),
    )


def _time(run: Results) -> str:
    more = "> " if ended(run) else ""
    return f"{more}{run['wall']:.1f}"


def _pace(results: Results) -> str:
    pace = results["pace"]
    head = ("tier", "selection", "requests", "windows", "floor, s", "tap-lev, s", "÷ floor", "429s",
            "plain tap, s", "÷ floor", "429s", "plain ÷ tap-lev")  # fmt: skip
    rows = []
    for tier, found in pace["tiers"].items():
        for name, selection in found["selections"].items():
            run, plain = ours(selection), selection[PLAIN_TAP]
            more = "> " if ended(plain) else ""
            rows.append(
                (
                    f"`{tier}`",
                    name,
                    f"{run['requests']:,}",
                    f"{run['even'] / found['window']:.1f}",
                    f"{run['floor']:.1f}",
                    _time(run),
                    f"{run['wall'] / run['floor']:.3f}",
                    f"{run['refused']}",
                    _time(plain),
                    f"{more}{plain['wall'] / run['floor']:.2f}",
                    f"{plain['refused']}",
                    f"{more}{times_faster(selection):.1f}",
                )
            )
    return _table(head, rows)


def _tiers(results: Results) -> str:
    head = ("tier", "requests a window", "of them per endpoint", "window here, s", "for Lev's, s")
    return _table(
        head,
        (
            (f"`{tier}`", *map(str, found["limits"]), f"{found['window']:g}", f"{MINUTE}")
            for tier, found in results["pace"]["tiers"].items()
        ),
    )


def _as_made(results: Results) -> str:
    sentence = (
        "As the SDK makes it, with 5 tries, the plain tap ended with exit code {} after {:,} of "
        "{:,} requests.\n"
    )
    return "".join(
        sentence.format(run["exit_code"], run["requests"], ours(selection)["requests"])
        for found in results["pace"]["tiers"].values()
        for selection in found["selections"].values()
        if (run := selection.get(GIVES_UP))
    )


def _plan(results: Results) -> str:
    head = ("tier", "selection", "what decides", "requests planned", "made", "planned, s",
            "taken, s", "planned ÷ taken")  # fmt: skip
    return _table(
        head,
        (
            (
                f"`{tier}`",
                name,
                (run["bottleneck"] or "the answers").replace("GET ", ""),
                f"{run['requests']:,}",
                f"{run['made']:,}",
                f"{run['seconds']:.1f}",
                f"{run['wall']:.1f}",
                f"{planned(run):.2f}",
            )
            for tier, cases in results["plan"]["tiers"].items()
            for name, runs in cases.items()
            if (run := sorted(runs, key=planned)[len(runs) // 2])
        ),
    )


def _startup(results: Results) -> str:
    startup = results["startup"]
    base = startup["commands"][SDK]
    head = ("command", "CPU, s", "÷ import", "wall, s", "÷ import", "rows written")
    return _table(
        head,
        (
            (
                f"`{name}`" if "," not in name else name,
                *(
                    cell
                    for kind in ("cpu", "wall")
                    for cell in (
                        f"{median(taken[kind]):.2f}",
                        f"{median(taken[kind]) / median(base[kind]):.2f}",
                    )
                ),
                f"{startup['rows'][name]:,}",
            )
            for name, taken in startup["commands"].items()
        ),
    )


def _long(results: Results) -> str:
    run = results["long"]["run"]
    head = ("what", "after the start", "median", "most", "last quarter ÷ second", "more an hour")
    kinds = (
        ("memory, MiB", "memory", MEBIBYTE, ".1f"),
        ("open files", "files", 1, ",.0f"),
        ("threads", "threads", 1, ",.0f"),
        ("STATE message, bytes", "state", 1, ",.0f"),
    )
    rows = []
    for label, kind, unit, form in kinds:
        values = [value / unit for value in run[kind]]
        rest = settled(values)
        figures = (f"{figure:{form}}" for figure in (rest[0], median(rest), max(rest)))
        more = an_hour(run["minutes"], values)
        rows.append((label, *figures, f"{drift(values):.3f}", f"{more:+.2f}"))
    return _table(head, rows)


def _restarts(results: Results) -> str:
    long = results["long"]
    run, parts, following = long["run"], long["restarts"], long["following"]
    faults = sum(run["faults"].values())
    compared = long["compared"]
    signals = Counter(part.get("signal") for part in parts)
    refused = sum(part["statuses"].get("429", 0) for part in parts)
    return _table(
        ("", ""),
        (
            ("requests of the long run", f"{run['requests']:,}"),
            ("… minutes of Lev's that it took", f"{run['wall'] / long['window']:.1f}"),
            ("… faults met", f"{faults:,}"),
            ("… rows changed, new or gone meanwhile", f"{run['changes']:,}"),
            ("… STATE messages", f"{run['states']:,}"),
            ("runs ended by SIGKILL", f"{signals['SIGKILL']}"),
            ("runs ended by SIGTERM", f"{signals['SIGTERM']}"),
            ("requests of all of them and the last", f"{sum(p['requests'] for p in parts):,}"),
            ("… ÷ those of the long run", f"{overhead(long):.3f}"),
            ("… refused by 429", f"{refused:,}"),
            ("most memory of an ended run, MiB", _mebibytes(_most(parts[:-1], "memory"))),
            ("most memory of the last run, MiB", _mebibytes(parts[-1]["memory"])),
            ("largest STATE message of them, bytes", f"{_most(parts, 'state'):,}"),
            ("incremental runs that followed", f"{len(following)}"),
            ("… memory of the first and of the last, MiB", _first_and_last(following, "memory")),
            ("… STATE of the first and of the last, bytes", _first_and_last(following, "state")),
            ("rows compared", f"{compared['rows']:,}"),
            ("**rows lost**", f"{compared['lost']:,}"),
            ("**rows wrong**", f"{compared['wrong']:,}"),
            ("rows left that Lev no longer has", f"{compared['left']:,}"),
        ),
    )


def _most(runs: Sequence[Results], kind: str) -> int:
    return max(int(run[kind]) for run in runs if run[kind] is not None)


def _mebibytes(size: float) -> str:
    return f"{size / MEBIBYTE:.1f}"


def _first_and_last(runs: Sequence[Results], kind: str) -> str:
    told = _mebibytes if kind == "memory" else "{:,}".format
    return f"{told(runs[0][kind])}, {told(runs[-1][kind])}"


def _machine(results: Results) -> str:
    head = ("part", "measured on", "machine", "Python", "versions")
    return _table(
        head,
        (
            (
                part,
                *(results[part]["machine"][k] for k in ("date", "machine", "python", "packages")),
            )
            for part in ("rows", "memory", "pace", "plan", "startup", "long")
            if part in results
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


TABLES: Mapping[str, Callable[[Results], str]] = {
    "summary": summary,
    "rows": _rows,
    "memory": _memory,
    "pace": _pace,
    "tiers": _tiers,
    "as made": _as_made,
    "plan": _plan,
    "startup": _startup,
    "long": _long,
    "restarts": _restarts,
    "machine": _machine,
}


def filled(text: str, results: Results) -> str:
    """Put the tables between their markers, as far as there are figures for them."""
    needs = {
        "tiers": "pace",
        "as made": "pace",
        "restarts": "long",
        "summary": None,
        "machine": None,
    }
    for name, build in TABLES.items():
        part = needs.get(name, name)
        if part is None or part in results:
            table = build(results)
            pattern = rf"(<!-- {name} -->\n).*(<!-- /{name} -->)"
            text = re.sub(pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def write(results: Results) -> None:
    """Write the tables into the page."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
