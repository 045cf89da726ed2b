"""What Lev says, row by row, for every stream: what a sync is held against."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Protocol

import requests

from lev_sandbox.resources import RESOURCES
from tap_lev.streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.support.process import Run

ALL = tuple(stream.name for stream in STREAMS)
KEYS = {stream.name: tuple(stream.primary_keys) for stream in STREAMS}
FACT_QUERIES = ["net operating income", "rent"]
QUERIES = {"fact_queries": FACT_QUERIES, "observation_metric_ids": [7, 3]}
"""Settings that give the two streams of the index something to ask for."""

OTHER_NAMES = {
    "account_team_members": "account_team",
    "accounts": "my_accounts",
    "deal_team_members": "deal_team",
    "lender_details": "lenders",
}
"""What the sandbox calls a stream's rows, where it is not the stream's name."""

Row = dict[str, Any]


class Rows(Protocol):
    """What knows all rows: a sandbox, in this process or in another."""

    def rows(self, resource: str, *, parents: bool = ..., include: str = ...) -> list[Row]:
        """All rows of a resource."""


class Source(Protocol):
    """A Lev that says what it holds."""

    @property
    def url(self) -> str:
        """Where its API is."""

    @property
    def key(self) -> str:
        """The key for it."""

    @property
    def sandbox(self) -> Rows:
        """What is behind it."""


def truth(lev: Source, stream: str) -> list[Row]:
    """The rows of a stream as Lev says them, with the ids of their parents, by key."""
    rows = _TRUTHS.get(stream, _listed)(lev, stream)
    return by_key(stream, rows)


def landed(run: Run, stream: str) -> list[dict[str, Any]]:
    """The rows of a stream as the tap sent them, by key, without the time of the run."""
    rows = [dict(row) for row in run.records(stream)]
    if stream == "base_rates":
        assert all(row.pop("as_of").endswith("Z") for row in rows)
    return by_key(stream, rows)


def by_key(stream: str, rows: Iterable[Row]) -> list[Row]:
    """Order rows by their key."""
    return sorted(rows, key=lambda row: key_of(stream, row))


def key_of(stream: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The key of a row."""
    return tuple(row[name] for name in KEYS[stream])


def ask(lev: Source, path: str, body: Row | None = None) -> Any:  # noqa: ANN401
    """Call the API as anyone may; return ``data``."""
    answer = requests.request(
        "GET" if body is None else "POST",
        lev.url + path,
        json=body,
        headers={"Authorization": f"Bearer {lev.key}", "X-Origin-App": "a-test"},
        timeout=10,
    )
    answer.raise_for_status()
    return answer.json()["data"]


def without(row: Row, *names: str) -> Row:
    """Copy a row without some of its fields."""
    return {name: value for name, value in row.items() if name not in names}


def _listed(lev: Source, stream: str) -> list[Row]:
    name = OTHER_NAMES.get(stream, stream)
    hidden = RESOURCES[name].detail_only
    return [without(row, *hidden) for row in lev.sandbox.rows(name, parents=True)]


def _deals(lev: Source, _: str) -> list[Row]:
    return lev.sandbox.rows("deals", include="financials")


def _task_notes(lev: Source, stream: str) -> list[Row]:
    return [without(row, "checklist_id", "deal_id") for row in _listed(lev, stream)]


def _lenders(lev: Source, _: str) -> list[Row]:
    return [without(row, "programs") for row in _listed(lev, "lenders")]


def _lender_details(lev: Source, _: str) -> list[Row]:
    kept = ("id", *RESOURCES["lenders"].detail_only)
    return [{name: row[name] for name in kept} for row in lev.sandbox.rows("lenders")]


def _unsigned(row: Row) -> Row:
    return row | {"source": without(row["source"], "signed_url", "signed_url_error")}


def _financials(lev: Source, stream: str) -> list[Row]:
    """The first of each deal: Lev has a place for one."""
    return list({row["deal_id"]: row for row in reversed(_listed(lev, stream))}.values())


def _facts(lev: Source, _: str) -> list[Row]:
    return [
        _unsigned(fact) | {"deal_id": deal["id"], "query": query, "query_hash": hash_of(query)}
        for deal in lev.sandbox.rows("deals")
        for query in FACT_QUERIES
        for fact in ask(lev, f"/deals/{deal['id']}/index/search", {"context": query, "limit": 200})
    ]


def hash_of(query: str) -> str:
    """What stands for a query in the key of index_facts."""
    return hashlib.sha256(query.encode()).hexdigest()[:32]


def _observations(lev: Source, _: str) -> list[Row]:
    return [
        _unsigned(row)
        for row in lev.sandbox.rows("index_observations", parents=True)
        if row["metric_id"] in QUERIES["observation_metric_ids"]
    ]


def _current_user(lev: Source, _: str) -> list[Row]:
    me = ask(lev, "/me")
    user = me.pop("user")
    return [{"user_id": user.pop("id"), **user, **me}]


def _billing_summary(lev: Source, _: str) -> list[Row]:
    return [{"account_id": ask(lev, "/me")["account"]["id"], **ask(lev, "/billing/summary")}]


_TRUTHS = {
    "deals": _deals,
    "deal_financials": _financials,
    "checklist_task_notes": _task_notes,
    "lenders": _lenders,
    "lender_details": _lender_details,
    "index_facts": _facts,
    "index_observations": _observations,
    "current_user": _current_user,
    "billing_summary": _billing_summary,
}
