"""The plain tap's streams: the endpoints that tap-lev reads, each as the SDK would read it.

Names, paths, schemas and keys come from tap-lev, so that both taps write the same columns. All
else is the SDK's own: no base class and no helper of tap-lev takes part in a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from typing_extensions import override

from benchmarks.plain_tap.client import PlainStream
from tap_lev.streams import STREAMS as MODELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.helpers.types import Context, Record

BLOCKS = ("properties", "team", "pipelines")
"""Lists that are embedded in deals: columns here, streams in tap-lev."""
FLATTENED = {"deal_properties", "deal_team_members", "deal_pipelines", "checklist_tasks"}
"""Streams of tap-lev whose rows are part of another stream's rows here."""
SINGLE_ROWS = {"current_user", "billing_summary", "deal_financials", "lender_details"}
KEYS = {"current_user": (), "billing_summary": (), "index_facts": ("deal_id", "id")}
"""The keys where tap-lev adds a column to get one."""


class ParentStream(PlainStream):
    """A list with pages, a bookmark and children.

    Attributes:
        context_key: The name of a row's id in the paths of its children.
    """

    replication_key = "updated_at"
    paged = True
    context_key = ""

    @override
    def get_child_context(self, record: Record, context: Context | None) -> dict[str, Any]:
        return {self.context_key: record["id"]}


class Deals(ParentStream):
    """Deals, with all that can be embedded in them."""

    context_key = "deal_id"

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: str | None
    ) -> dict[str, Any]:
        params = super().get_url_params(context, next_page_token)
        return {**params, "include": ",".join(("financials", *BLOCKS))}


class Placements(ParentStream):
    """Placements."""

    context_key = "placement_id"


class Contacts(ParentStream):
    """Contacts."""

    context_key = "contact_id"


class Companies(ParentStream):
    """Companies."""

    context_key = "company_id"


class Lenders(ParentStream):
    """Lenders of the directory."""

    context_key = "org_id"


class Checklists(PlainStream):
    """Checklists of a deal, with their tasks."""

    @override
    def generate_child_contexts(
        self, record: Record, context: Context | None
    ) -> Iterable[dict[str, Any]]:
        for place in (record, *(record.get("sections") or ())):
            for task in _tasks(place, "tasks"):
                yield {"task_id": task["id"]}


def _tasks(place: Record, field: str) -> Iterator[Record]:
    for task in place.get(field) or ():
        yield task
        yield from _tasks(task, "subtasks")


class PostStream(PlainStream):
    """A read by POST, with the query in the body."""

    http_method = "POST"

    @override
    def prepare_request_payload(
        self, context: Context | None, next_page_token: str | None
    ) -> dict[str, Any]:
        return {**self.query(), "include_signed_urls": False, "limit": 200}

    def query(self) -> dict[str, Any]:
        """Return what is read."""
        return {}


class IndexFacts(PostStream):
    """Facts about a deal."""

    @override
    def query(self) -> dict[str, Any]:
        return {"context": self.config["fact_query"]}


class IndexObservations(PostStream):
    """Values of a metric for a deal."""

    @override
    def query(self) -> dict[str, Any]:
        return {"metric_id": self.config["observation_metric_id"]}


BASES: dict[str, type[PlainStream]] = {
    "deals": Deals,
    "placements": Placements,
    "contacts": Contacts,
    "companies": Companies,
    "lenders": Lenders,
    "checklists": Checklists,
    "index_facts": IndexFacts,
    "index_observations": IndexObservations,
}
"""Streams that are more than a path; all others are a plain one."""
PARENTS = {
    "deal_id": "deals",
    "placement_id": "placements",
    "contact_id": "contacts",
    "company_id": "companies",
    "org_id": "lenders",
    "task_id": "checklists",
}
"""The parent stream of a path with a placeholder."""


def _schema(name: str) -> dict[str, Any]:
    columns: dict[str, Any] = dict(_SCHEMAS[name]["properties"])
    objects = th.ArrayType(th.ObjectType(additional_properties=True)).type_dict
    if name == "deals":
        columns |= dict.fromkeys(BLOCKS, objects)
    elif name == "lender_details":  # has the columns of the list again
        columns = {**_SCHEMAS["lenders"]["properties"], **columns, "programs": objects}
    return {"type": "object", "properties": columns}


def _streams() -> dict[str, type[PlainStream]]:
    streams: dict[str, type[PlainStream]] = {}
    # A parent comes before its children, as in tap-lev, except that tasks are part of checklists.
    for model in MODELS:
        name, path = model.name, model.path
        if name in FLATTENED or path is None:
            continue
        parent = next((PARENTS[key] for key in PARENTS if f"{{{key}}}" in path), None)
        attributes = {
            "name": name,
            "path": path,
            "primary_keys": KEYS.get(name, tuple(model.primary_keys)),
            "schema": _schema(name),
            "records_jsonpath": "$.data" if name in SINGLE_ROWS else "$.data[*]",
            "parent_stream_type": parent and streams[parent],
        }
        streams[name] = type(name, (BASES.get(name, PlainStream),), attributes)
    return streams


_SCHEMAS = {model.name: model.schema for model in MODELS}
STREAMS = tuple(_streams().values())
