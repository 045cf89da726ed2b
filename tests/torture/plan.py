"""What a round will be like: everything that is left to chance, drawn from its seed beforehand."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.torture.faults import COUNTED, LOSSES, draw_faults, draw_outage, draw_switches
from tests.torture.streams import LISTS, METRICS, QUERIES, STREAMS

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.torture.account import Account

REQUESTS = 80
"""About how many requests the first run of a round may need: what keeps a round short."""
MOST_KILLS = 6
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0b3J0dXJlIn0.c2lnbmF0dXJl"
NO_LIMIT = 1_000_000_000
DEFAULT = (
    *LISTS[:4], "deal_properties", "deal_team_members", "deal_pipelines", "pipelines",
    "asset_types", "base_rates", "account_team_members",
)  # fmt: skip
FIELDS = {
    "deals": ("title", "close_date", "financials"),
    "contacts": ("title", "phones", "city"),
    "companies": ("name", "website", "zip"),
    "lenders": ("about", "logo_url"),
    "documents": ("file_name", "size_bytes"),
    "placements": ("description", "score"),
    "pipelines": ("pipeline_name", "statuses"),
    "deal_notes": ("text", "created_by"),
}
"""Columns that a round may leave out."""
KILLS = ("kill", "kill", "kill", "term", "term", "int", "pipe", "disk")
"""``kill``, ``term`` and ``int`` are signals to the tap; with ``pipe`` the target goes away, and
with ``disk`` it cannot store the next state, and goes away then."""


ROW_POISONS = ("500", "500", "500_always", "no_key", "surrogate")
BELOW_POISONS = ("no_children", "no_children", "null_children", "keyless_child")
STATUSES = (402, 403, 404, 409, 422, 423, 451, 500, 503)
"""What a row's endpoints may answer with."""
SLOW = {"500", "500_always", "no_children"}
"""Poisons that are tried again, without an end."""
POISONED_BELOW = {
    "term_sheets", "documents", "vaults", "deal_notes", "contact_notes", "company_notes",
    "placement_notes", "lender_programs",
}  # fmt: skip


@dataclass(frozen=True)
class Kill:
    """How a run is ended.

    Attributes:
        kind: One of ``KILLS``.
        unit: What is counted: ``bytes`` or ``rows`` of output, or ``requests``.
        at: How many.
        drained: Whether the target writes the rows that came after the last state.
    """

    kind: str
    unit: str
    at: int
    drained: bool


@dataclass(frozen=True)
class Selection:
    """What a run is to read.

    Attributes:
        streams: The selected streams.
        columns: Of some streams, the columns that are left out.
        whole: Lists that are read as full tables.
    """

    streams: tuple[str, ...]
    columns: tuple[tuple[str, frozenset[str]], ...] = ()
    whole: tuple[str, ...] = ()

    def of(self, root: str) -> tuple[tuple[str, frozenset[str], bool], ...]:
        """Tell what is selected of a list, and of the streams that live on it."""
        left_out = dict(self.columns)
        return tuple(
            (name, left_out.get(name, frozenset()), name in self.whole)
            for name in self.streams
            if STREAMS[name].root == root
        )


@dataclass(frozen=True)
class Poison:
    """A row that goes wrong each time it is asked for.

    Attributes:
        resource: What the sandbox calls such rows.
        place: Which of them, counted from the first; more than there are begin anew.
        kind: What goes wrong.
        status: What the endpoints below the row answer with, where it is that.
        cured: Whether it ends before the clean runs.
    """

    resource: str
    place: int
    kind: str
    status: int | None = None
    cured: bool = True


@dataclass(frozen=True)
class Variation:
    """What is done to a run beside killing it.

    Attributes:
        state: What the store gives it: the last state (``usual``), none (``full-refresh``: what the
            run writes is merged into the last one), one of those before (``older``), or the last
            one as the release before wrote it (``old-release``).
        who: Whose key it is: ``same``, ``user`` (another one, from now on), ``stranger`` (one of
            another account, for this run).
        weekly: Whether the lists are read as full tables.
        silent: Whether versions are turned off.
    """

    state: str = "usual"
    who: str = "same"
    weekly: bool = False
    silent: bool = False


NO_VARIATION = Variation()


@dataclass(frozen=True)
class Plan:
    """A round.

    Attributes:
        seed: Where everything comes from.
        streams: The selected streams.
        whole: Lists that are read as full tables.
        columns: Of some streams, the columns that are left out.
        early_selections: What each of the first runs selects instead.
        options: How the sandbox is made.
        switches: How it behaves.
        outage: Switches that hold until the clean runs.
        faults: What goes wrong until the clean runs.
        limits: The sandbox's limits, if it has any: account, endpoint, window.
        config: Settings of the tap.
        kills: How the runs are ended, one after the other.
        change_rate: The probability of a change at each request.
        settled: Whether a clean run comes first.
        jwt: Whether the key is that of a user with two accounts.
        poisons: Rows that go wrong.
        variations: What else is done to each of the first runs.
        interval: Seconds between two states.
        drops: Which rows the target drops at the end of a full table: those of any ``other``
            version, or those of an ``older`` one.
        only_touches: Whether rows only change while they are read: where pages get lost on the way,
            a count tells of it only if no row comes or goes.
    """

    seed: int
    streams: tuple[str, ...]
    whole: tuple[str, ...]
    columns: tuple[tuple[str, frozenset[str]], ...]
    early_selections: tuple[Selection, ...]
    options: dict[str, Any]
    switches: dict[str, Any]
    outage: dict[str, Any]
    faults: tuple[dict[str, Any], ...]
    limits: dict[str, Any] | None
    config: dict[str, Any]
    kills: tuple[Kill, ...]
    change_rate: float
    settled: bool
    jwt: bool
    poisons: tuple[Poison, ...] = ()
    variations: tuple[Variation, ...] = ()
    interval: float = 0.0
    drops: str = "other"
    only_touches: bool = False

    @property
    def selection(self) -> Selection:
        """What is selected in the end."""
        return Selection(self.streams, self.columns, self.whole)

    @property
    def mirrors(self) -> frozenset[str]:
        """The streams whose removed rows leave the destination."""
        if not self.config["emit_activate_version_messages"]:
            return frozenset()
        return self.tables(self.selection)

    def tables(self, selection: Selection) -> frozenset[str]:
        """The streams that every walk brings as a whole."""
        changed = self.config["per_parent_scope"] == "changed"
        return frozenset(
            name
            for name in self.streams
            if name in selection.whole
            or STREAMS[name].root is None
            or name == "index_metric_definitions"
            or not (STREAMS[name].is_list or changed)
        )

    def key(self, account: Account) -> str:
        """The key that the tap is given."""
        return JWT if self.jwt else account.key

    def __str__(self) -> str:
        """Tell the round, a line for each part of it."""
        said = dataclasses.asdict(self)
        return "\n".join(f"  {name}: {value}" for name, value in said.items() if value)


def draw(seed: int, only: Collection[str] = ()) -> Plan:
    """Draw a round.

    Args:
        seed: The seed.
        only: Streams to choose from; all by default.
    """
    chance = random.Random(f"round {seed}")
    streams = _streams(chance, tuple(only) or tuple(STREAMS))
    limits = _limits(chance)
    jwt = chance.random() < 0.05
    scope = "changed" if chance.random() < 0.3 else "all"
    switches = draw_switches(chance, real_time=limits is not None)
    poisons = _poisons(chance, streams, scope)
    config = _config(chance, switches, scope, limits)
    if any(poison.kind in SLOW for poison in poisons):
        config["max_retries"] = chance.choice((0, 1))
    faults = draw_faults(chance, streams, scope)
    change_rate = chance.choice((0.0, 0.05, 0.2, 0.5))
    if only_touches := any(fault["kind"] in LOSSES for fault in faults):
        switches |= COUNTED
        switches["pagination_shape"] |= dict.fromkeys(LISTS)
        poisons = ()
    if switches.get("date_header_skew", 0) > 0:
        # No other clock is left to be right.
        faults = tuple(fault for fault in faults if fault["kind"] != "timestamp")
    if change_rate:
        # Where pages are not in the order of ids, rows that come and go move others across them.
        switches["list_order"] = {}
    whole = tuple(s for s in streams if s in LISTS and chance.random() < 0.15)
    usual = Selection(streams, _columns(chance, streams), whole)
    return Plan(
        seed=seed,
        streams=streams,
        whole=whole,
        columns=usual.columns,
        early_selections=_early_selections(random.Random(f"moods {seed}"), usual),
        options={
            "seed": chance.randrange(1 << 30),
            "null_updated_every": chance.choice((0, 0, 3, 7)),
            "future_updated_every": chance.choice((0, 0, 5)),
            "my_accounts": 2 if jwt else 1,
            **_sizes(chance, streams),
        },
        switches=switches,
        outage=draw_outage(chance),
        faults=faults,
        limits=limits,
        config=config,
        kills=_kills(chance, streams, few=limits is not None),
        change_rate=change_rate,
        settled=chance.random() < 0.4,
        jwt=jwt,
        poisons=poisons,
        variations=_variations(random.Random(f"twists {seed}")),
        interval=chance.choice((0.0, 0.0, 1.0)),
        drops=chance.choice(("other", "older")),
        only_touches=only_touches,
    )


def _config(
    chance: random.Random, switches: dict[str, Any], scope: str, limits: dict[str, Any] | None
) -> dict[str, Any]:
    """Draw the settings that hold for the whole round."""
    start_date = chance.choice((None, None, None, "2023-06-01", "2024-09-30T12:00:00Z"))
    config: dict[str, Any] = {
        "overlap_seconds": chance.choice((0, 0, 1, 60, 300)),
        "unknown_fields": chance.choice(("warn", "collect")),
        "per_parent_scope": scope,
        "emit_activate_version_messages": chance.random() < 0.7,
        "max_retries": chance.choice((2, 3, 5)),
        "request_timeout_seconds": 1,
        "forbidden_streams": chance.choice(("fail", "skip")),
        "fact_queries": QUERIES,
        "observation_metric_ids": METRICS,
        **({"start_date": start_date} if start_date else {}),
        **(_paced(limits) if limits else _unpaced()),
    }
    # Whoever insists on the filter vouches for it.
    good = set(switches["updated_at_filter"].values()) <= {"honoured", "ignored", "whole_days_from"}
    config["updated_at_filter"] = chance.choice(["auto"] * 4 + ["client"] + ["server"] * good)
    return config


def each_run(chance: random.Random) -> dict[str, Any]:
    """Draw the settings that differ from run to run: they must not matter."""
    return {
        "page_size": chance.randint(1, 20),
        "max_parallel_streams": chance.randint(1, 8),
    }


def _streams(chance: random.Random, among: tuple[str, ...]) -> tuple[str, ...]:
    kind = chance.random()
    if kind < 0.1:
        return among
    if kind < 0.2 and set(DEFAULT) <= set(among):
        return DEFAULT
    many = min(len(among), chance.choice((1, 3, 5, 8, 12)))
    chosen = set(chance.sample(among, many))
    return tuple(name for name in among if name in chosen)


def _columns(
    chance: random.Random, streams: tuple[str, ...]
) -> tuple[tuple[str, frozenset[str]], ...]:
    if chance.random() > 0.2:
        return ()
    return _some_columns(chance, streams)


def _some_columns(
    chance: random.Random, streams: tuple[str, ...]
) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple(
        (name, frozenset(chance.sample(FIELDS[name], chance.randint(1, 2))))
        for name in streams
        if name in FIELDS and chance.random() < 0.5
    )


def _early_selections(chance: random.Random, usual: Selection) -> tuple[Selection, ...]:
    """Draw what each run selects: the same as the one before it, or as in the end, or else."""
    if chance.random() > 0.4:
        return ()
    early_selections = [usual]
    for _ in range(1 + MOST_KILLS):
        before = chance.choice((early_selections[-1], early_selections[-1], usual))
        streams, columns = before.streams, before.columns
        if chance.random() < 0.5:
            some = tuple(name for name in usual.streams if chance.random() < 0.6)
            streams = some or usual.streams[-1:]
        if chance.random() < 0.5:
            columns = _some_columns(chance, usual.streams)
        whole = usual.whole if chance.random() < 0.7 else ()
        early_selections.append(Selection(streams, columns, whole))
    return tuple(early_selections[1:])


def _variations(chance: random.Random) -> tuple[Variation, ...]:
    """Draw what is done to each run beside killing it."""
    if chance.random() > 0.35:
        return ()
    states = ("usual", "usual", "usual", "full-refresh", "older", "old-release")
    users = ("same",) * 8 + ("user", "stranger")
    weekly, silent = chance.random() < 0.5, chance.random() < 0.2

    def variation() -> Variation:
        state, who = chance.choice(states), chance.choice(users)
        # A state without an account would become the stranger's.
        return Variation(
            "usual" if who == "stranger" else state,
            who,
            weekly and chance.random() < 0.5,
            silent and chance.random() < 0.3,
        )

    return tuple(variation() for _ in range(1 + MOST_KILLS))


def _poisons(chance: random.Random, streams: tuple[str, ...], scope: str) -> tuple[Poison, ...]:
    """Draw rows that go wrong."""
    if chance.random() > 0.25:
        return ()
    below = [STREAMS[name].resource for name in streams if STREAMS[name].calls]
    roots = sorted({STREAMS[name].root or "" for name in streams} - {""})
    if not roots:
        return ()
    cured, found = chance.random() < 0.5, []
    for _ in range(chance.choice((1, 1, 2, 3))):
        resource = chance.choice(roots)
        kind = chance.choice(ROW_POISONS + BELOW_POISONS * bool(below))
        if chance.random() < 0.3 and (bearable := sorted({*below} & POISONED_BELOW)):
            resource, kind = chance.choice(bearable), chance.choice(("500", "no_key"))
        status = chance.choice(STATUSES) if kind == "no_children" else None
        # What Lev says to be none is not asked for again where only changes are.
        if kind == "null_children" and scope == "changed":
            continue
        found.append(Poison(resource, int(20 ** chance.random()) - 1, kind, status, cured))
    return tuple(found)


def _sizes(chance: random.Random, streams: tuple[str, ...]) -> dict[str, float]:
    sizes: dict[str, float] = {"placements": 0, "contacts": 0, "companies": 0, "lenders": 0}
    for root in LISTS:
        calls = sum(STREAMS[name].calls for name in streams if STREAMS[name].root == root)
        most = min(45, REQUESTS // calls) if calls else 45
        sizes[root] = chance.choice((0, chance.randint(1, 5), chance.randint(1, most), most))
    sizes["deals"] = max(1, sizes["deals"])
    small = {
        "checklist_tasks": 1.3, "checklist_task_notes": 0.6, "index_facts": 3,
        "index_observations": 6, "documents": 2, "deal_notes": 1.5, "account_team": 4,
    }  # fmt: skip
    if "deal_notes" in streams and chance.random() < 0.05:
        # More than one page of children.
        sizes["deals"], small["deal_notes"] = 2, 215
    return sizes | small


def _limits(chance: random.Random) -> dict[str, Any] | None:
    if chance.random() > 0.08:
        return None
    return {
        "account": chance.choice((40, 80)),
        "endpoint": chance.choice((15, 30)),
        "window": chance.choice((0.3, 0.5)),
    }


def _paced(limits: dict[str, Any]) -> dict[str, Any]:
    return {
        "requests_per_minute": limits["account"],
        "requests_per_minute_per_endpoint": limits["endpoint"],
        "rate_limit_window_seconds": limits["window"],
    }


def _unpaced() -> dict[str, Any]:
    return {"requests_per_minute": NO_LIMIT, "requests_per_minute_per_endpoint": NO_LIMIT}


def _kills(chance: random.Random, streams: tuple[str, ...], *, few: bool) -> tuple[Kill, ...]:
    def kill() -> Kill:
        kind = chance.choice(KILLS)
        unit = chance.choice(("bytes", "rows", "rows", "requests"))
        if kind in {"pipe", "disk"} and unit == "requests":
            unit = "rows"
        most = {"bytes": 2500 * len(streams), "rows": 60, "requests": 30}[unit]
        at = int(most ** chance.random())
        return Kill(kind, unit, at, drained=chance.random() < 0.5)

    return tuple(
        kill() for _ in range(chance.randint(1, 2) if few else chance.randint(3, MOST_KILLS))
    )
