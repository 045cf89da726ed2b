"""The streams as the contract describes them: told apart from the tap, for a verifier of its own.

Nothing here comes from tap_lev. What a stream is called, what tells its rows apart and which answer
of Lev its rows stand in is said once more, from the design, so that a mistake of the tap is no
mistake of the verifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.expected_rows import hash_of

Row = dict[str, Any]
Key = tuple[Any, ...]
Said = Iterator[tuple[str, Row]]

UNSUITABLE = {
    "api_key",
    "download_url",
    "pdf_url",
    "pdf_versions",
    "signed_url",
    "signed_url_error",
}
"""Secrets and signed links: never to be written, at any level of a row."""
NEW_FIELDS = {"lev_news": {"kind": "new"}, "lev_more_news": 7}
"""Fields that a round may have Lev add to its rows."""
LENDER_DETAILS = ("linkedin_url", "square_logo_url", "aliases", "domains")
BLOCKS = ("properties", "team", "pipelines")
QUERIES = ["net operating income", "rent"]
METRICS = [3, 7]


@dataclass(frozen=True)
class Stream:
    """A stream.

    Attributes:
        name: Its name.
        key: The columns that tell its rows apart.
        resource: What the sandbox calls its rows.
        root: The list whose walk brings the rows; None for a table that is one call.
        calls: About how many requests each row of the root costs.
    """

    name: str
    key: tuple[str, ...] = ("id",)
    resource: str = ""
    root: str | None = None
    calls: int = 0

    @property
    def is_list(self) -> bool:
        """Whether the rows are those of the list itself, which say when they changed."""
        return self.root == self.name


def _below(root: str, *streams: tuple[str, tuple[str, ...], str, int]) -> tuple[Stream, ...]:
    return tuple(Stream(name, key, kind, root, calls) for name, key, kind, calls in streams)


_ALL = (
    *(
        Stream(name, resource=name, root=name)
        for name in ("deals", "placements", "contacts", "companies", "lenders")
    ),
    *_below(
        "deals",
        ("deal_properties", ("deal_id", "id"), "deal_properties", 0),
        ("deal_team_members", ("deal_id", "id"), "deal_team", 0),
        ("deal_pipelines", ("deal_id", "pipeline_id"), "deal_pipelines", 0),
        ("deal_financials", ("id",), "deal_financials", 1),
        ("term_sheets", ("id",), "term_sheets", 1),
        ("documents", ("deal_id", "id"), "documents", 1),
        ("vaults", ("id",), "vaults", 1),
        ("memos", ("uuid",), "memos", 1),
        ("deal_notes", ("deal_id", "id"), "deal_notes", 1),
        ("checklists", ("id",), "checklists", 1),
        ("checklist_tasks", ("id",), "checklist_tasks", 1),
        ("checklist_task_notes", ("task_id", "id"), "checklist_task_notes", 3),
        ("index_entities", ("deal_id", "entity_ref"), "index_entities", 1),
        ("index_metric_definitions", ("id",), "index_metric_definitions", 1),
        ("index_facts", ("deal_id", "query_hash", "id"), "index_facts", 2),
        ("index_observations", ("deal_id", "id"), "index_observations", 2),
    ),
    *_below("placements", ("placement_notes", ("placement_id", "id"), "placement_notes", 1)),
    *_below("contacts", ("contact_notes", ("contact_id", "id"), "contact_notes", 1)),
    *_below("companies", ("company_notes", ("company_id", "id"), "company_notes", 1)),
    *_below(
        "lenders",
        ("lender_details", ("id",), "lenders", 1),
        ("lender_programs", ("org_id", "id"), "lender_programs", 1),
    ),
    Stream("pipelines", resource="pipelines"),
    Stream("asset_types", resource="asset_types"),
    Stream("base_rates", ("code",), "base_rates"),
    Stream("account_team_members", ("user_id",), "account_team"),
    Stream("current_user", ("user_id",)),
    Stream("accounts", resource="my_accounts"),
    Stream("billing_summary", ("account_id",)),
    Stream("api_keys", resource="api_keys"),
)
STREAMS = {stream.name: stream for stream in _ALL}
LISTS = tuple(stream.name for stream in _ALL if stream.is_list)
ROOTS = {
    "deal_id": "deals", "placement_id": "placements", "contact_id": "contacts",
    "company_id": "companies", "org_id": "lenders",
}  # fmt: skip
"""The list that a parent's id in a path is of."""
PAGES = {
    "/deals": "deals", "/placements": "placements", "/contacts": "contacts",
    "/companies": "companies", "/lenders/directory": "lenders",
}  # fmt: skip
"""The lists, by route."""


# -- Which rows an answer holds


def rows_said(route: str, ids: Mapping[str, Any], asked: Row, data: Any) -> Said:  # noqa: ANN401
    """Find the rows that an answer of Lev holds, each with its stream.

    Args:
        route: The route template.
        ids: What stands in its placeholders.
        asked: The body of a read by POST.
        data: The answer's ``data``.
    """
    for stream, rows in _HELD.get(route, ()):
        for row in rows(ids, asked, data):
            yield stream, row


def _items(data: Any) -> list[Row]:  # noqa: ANN401 - JSON is anything
    if isinstance(data, dict):
        return list(data.values())
    return data or []


def _each(_ids: Any, _asked: Row, data: Any) -> Iterable[Row]:  # noqa: ANN401
    return _items(data)


def _one(_ids: Any, _asked: Row, data: Any) -> Iterable[Row]:  # noqa: ANN401
    return [data] if data else []


def _of_parent(ids: Mapping[str, Any], _asked: Row, data: Any) -> Iterable[Row]:  # noqa: ANN401
    return [{**ids, **row} for row in _items(data)]


def _facts(ids: Mapping[str, Any], asked: Row, data: Any) -> Iterable[Row]:  # noqa: ANN401
    query = asked["context"]
    return [{**ids, **row, "query": query, "query_hash": hash_of(query)} for row in _items(data)]


def _tasks(ids: Mapping[str, Any], _asked: Row, data: Any) -> Iterable[Row]:  # noqa: ANN401
    for checklist in _items(data):
        places = [(None, checklist["tasks"])]
        places += [(section["id"], section["tasks"]) for section in checklist["sections"]]
        for section, tasks in places:
            origin = {**ids, "checklist_id": checklist.get("id"), "section_id": section}
            for task in tasks:
                yield {**task, **origin, "parent_task_id": None}
                for subtask in task["subtasks"]:
                    yield {**subtask, **origin, "parent_task_id": task.get("id")}


def _block(block: str) -> Callable[[Any, Row, Any], Iterable[Row]]:
    def rows(_ids: Any, _asked: Row, data: Any) -> Iterable[Row]:  # noqa: ANN401
        for deal in _items(data):
            given = deal.get(block) or []
            for row in [given] if isinstance(given, dict) else given:
                yield {"deal_id": deal.get("id"), **row}

    return rows


def _block_of_one(block: str) -> Callable[[Any, Row, Any], Iterable[Row]]:
    rows = _block(block)
    return lambda ids, asked, data: rows(ids, asked, [data] if data else [])


def _children(name: str) -> tuple[tuple[str, Callable[..., Iterable[Row]]], ...]:
    return ((name, _of_parent),)


_HELD: dict[str, tuple[tuple[str, Callable[..., Iterable[Row]]], ...]] = {
    **{route: ((name, _each),) for route, name in PAGES.items()},
    "/deals": (
        ("deals", _each),
        ("deal_properties", _block("properties")),
        ("deal_team_members", _block("team")),
        ("deal_pipelines", _block("pipelines")),
        ("deal_financials", _block("financials")),
    ),
    "/deals/{deal_id}": (
        ("deals", _one),
        ("deal_properties", _block_of_one("properties")),
        ("deal_team_members", _block_of_one("team")),
        ("deal_pipelines", _block_of_one("pipelines")),
        ("deal_financials", _block_of_one("financials")),
    ),
    "/contacts/{contact_id}": (("contacts", _one),),
    "/companies/{company_id}": (("companies", _one),),
    "/placements/{placement_id}": (("placements", _one),),
    "/deals/{deal_id}/properties": _children("deal_properties"),
    "/deals/{deal_id}/team": _children("deal_team_members"),
    "/deals/{deal_id}/financials": (("deal_financials", _one),),
    "/deals/{deal_id}/term-sheets": _children("term_sheets"),
    "/deals/{deal_id}/documents": _children("documents"),
    "/deals/{deal_id}/vaults": _children("vaults"),
    "/deals/{deal_id}/memos": _children("memos"),
    "/deals/{deal_id}/notes": _children("deal_notes"),
    "/deals/{deal_id}/checklists": (("checklists", _of_parent), ("checklist_tasks", _tasks)),
    "/deals/{deal_id}/index/entities": _children("index_entities"),
    "/deals/{deal_id}/index/metric-definitions": (("index_metric_definitions", _each),),
    "/deals/{deal_id}/index/search": (("index_facts", _facts),),
    "/deals/{deal_id}/index/observations": _children("index_observations"),
    "/checklist-tasks/{task_id}/notes": _children("checklist_task_notes"),
    "/placements/{placement_id}/notes": _children("placement_notes"),
    "/contacts/{contact_id}/notes": _children("contact_notes"),
    "/companies/{company_id}/notes": _children("company_notes"),
    "/lenders/{org_id}": (("lender_details", _one), ("lenders", _one)),
    "/lenders/{org_id}/programs": _children("lender_programs"),
    "/pipelines": (("pipelines", _each),),
    "/market/asset-types": (("asset_types", _each),),
    "/market/base-rates": (("base_rates", _each),),
    "/account/team": (("account_team_members", _each),),
    "/me": (("current_user", _one),),
    "/me/accounts": (("accounts", _each),),
    "/billing/summary": (("billing_summary", _one),),
    "/api-keys": (("api_keys", _each),),
}
