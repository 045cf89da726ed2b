"""Streams of the checklists of deals, and of their tasks (lev-api.md §2.18)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from typing_extensions import override

from tap_lev.records.schema import object_type
from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals
from tap_lev.streams.documents import VAULT
from tap_lev.streams.rows import nested, without

if TYPE_CHECKING:
    from collections.abc import Iterator

TASK_FIELDS = (
    th.Property("title", th.StringType),
    th.Property("description", th.StringType),
    th.Property("status", th.StringType, description="Such as to_do, requested or approved."),
    th.Property("is_completed", th.BooleanType, description="Independent of status."),
    th.Property("position", th.IntegerType),
    th.Property("due_date", th.StringType),
    th.Property("role", th.StringType, description="Such as borrower or lender."),
    th.Property(
        "assignee",
        object_type(
            th.Property("id", th.IntegerType),
            th.Property("first_name", th.StringType),
            th.Property("last_name", th.StringType),
            th.Property("email", th.StringType),
        ),
    ),
    th.Property(
        "assigned_team",
        object_type(
            th.Property("id", th.IntegerType),
            th.Property("type", th.StringType, description="account or private_company."),
            th.Property("name", th.StringType),
        ),
    ),
    th.Property(
        "collaborators",
        th.ArrayType(
            object_type(
                th.Property("id", th.IntegerType, description="Null for people outside Lev."),
                th.Property("email", th.StringType),
            )
        ),
    ),
    th.Property(
        "document_types",
        th.ArrayType(
            object_type(th.Property("id", th.IntegerType), th.Property("name", th.StringType))
        ),
    ),
    th.Property(
        "files",
        th.ArrayType(
            object_type(
                th.Property("vault_resource_id", th.IntegerType),
                th.Property("document_id", th.IntegerType, description="The id in documents."),
                th.Property("name", th.StringType),
                th.Property("origin", th.StringType, description="auto_match or manually_added."),
            )
        ),
    ),
)
SUBTASK = object_type(
    th.Property("id", th.IntegerType),
    *TASK_FIELDS,
    th.Property("subtasks", th.ArrayType(th.AnyType), description="Always empty: tasks nest once."),
)
TASK = object_type(
    th.Property("id", th.IntegerType),
    *TASK_FIELDS,
    th.Property("subtasks", th.ArrayType(SUBTASK)),
)
SECTION = object_type(
    th.Property("id", th.IntegerType),
    th.Property("name", th.StringType),
    th.Property("position", th.IntegerType),
    th.Property("start_date", th.StringType),
    th.Property("end_date", th.StringType),
    th.Property("tasks", th.ArrayType(TASK)),
)


class Checklists(ChildStream):
    """Checklists of each deal's Deal Rooms, with all their sections and tasks."""

    name = "checklists"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/checklists"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("deal_id", th.IntegerType),
        th.Property("vault", VAULT),
        th.Property("sections", th.ArrayType(SECTION)),
        th.Property("tasks", th.ArrayType(TASK), description="Those outside any section."),
    ).to_dict()


class ChecklistTasks(ChildStream):
    """Tasks and subtasks of the checklists, one row each."""

    name = "checklist_tasks"
    parent = Deals
    parent_key = "deal_id"
    path = Checklists.path
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        *TASK_FIELDS,
        th.Property("deal_id", th.IntegerType),
        th.Property("checklist_id", th.IntegerType),
        th.Property("section_id", th.IntegerType, description="Null outside any section."),
        th.Property("parent_task_id", th.IntegerType, description="Null unless this is a subtask."),
    ).to_dict()

    @override
    def split(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the tasks of a checklist, each followed by its subtasks."""
        # Tasks outside any section come first: they stand beside the sections.
        for section in ({"tasks": item.get("tasks")}, *nested(item, "sections")):
            origin = {"checklist_id": item.get("id"), "section_id": section.get("id")}
            for task in nested(section, "tasks"):
                yield from _flatten(task, origin | {"parent_task_id": None})


def _flatten(task: dict[str, Any], origin: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a task and its subtasks as rows, with the ids of what they belong to."""
    yield without(task, ("subtasks",)) | origin
    for subtask in nested(task, "subtasks"):
        yield from _flatten(subtask, origin | {"parent_task_id": task.get("id")})
