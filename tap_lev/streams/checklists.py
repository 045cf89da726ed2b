"""Checklists of deals, whole and task by task (lev-api.md §2.18)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_lev.records.schema import BOOLEAN, INTEGER, STRING, VAULT, array, described, record, table
from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals
from tap_lev.streams.rows import nested, without

if TYPE_CHECKING:
    from collections.abc import Iterator

TASK = {
    "id": INTEGER,
    "title": STRING,
    "description": STRING,
    "status": described(STRING, "Such as to_do, requested or approved."),
    "is_completed": described(BOOLEAN, "Independent of status."),
    "position": INTEGER,
    "due_date": STRING,
    "role": described(STRING, "Such as borrower or lender."),
    "assignee": record(id=INTEGER, first_name=STRING, last_name=STRING, email=STRING),
    "assigned_team": record(
        id=INTEGER, type=described(STRING, "account or private_company."), name=STRING
    ),
    "collaborators": array(
        record(id=described(INTEGER, "Null for people outside Lev."), email=STRING)
    ),
    "document_types": array(record(id=INTEGER, name=STRING)),
    "files": array(
        record(
            vault_resource_id=INTEGER,
            document_id=described(INTEGER, "The id in documents."),
            name=STRING,
            origin=described(STRING, "auto_match or manually_added."),
        )
    ),
}
SUBTASK = record(**TASK, subtasks=described(array({}), "Always empty: tasks nest once."))
TASKS = array(record(**TASK, subtasks=array(SUBTASK)))
SECTION = record(
    id=INTEGER, name=STRING, position=INTEGER, start_date=STRING, end_date=STRING, tasks=TASKS
)


class Checklists(ChildStream):
    """Checklists of each deal's Deal Rooms, with all their sections and tasks."""

    name = "checklists"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/checklists"
    schema = table(
        ChildStream.primary_keys,
        id=INTEGER,
        deal_id=INTEGER,
        vault=VAULT,
        sections=array(SECTION),
        tasks=described(TASKS, "Those outside any section."),
    )


class ChecklistTasks(ChildStream):
    """Tasks and subtasks of the checklists, one row each."""

    name = "checklist_tasks"
    parent = Deals
    parent_key = "deal_id"
    path = Checklists.path
    schema = table(
        ChildStream.primary_keys,
        **TASK,
        deal_id=INTEGER,
        checklist_id=INTEGER,
        section_id=described(INTEGER, "Null outside any section."),
        parent_task_id=described(INTEGER, "Null unless this is a subtask."),
    )

    @override
    def split(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Go through a checklist: a section's tasks, each followed by its subtasks."""
        for place in ({"tasks": item.get("tasks")}, *nested(item, "sections")):
            origin = {"checklist_id": item.get("id"), "section_id": place.get("id")}
            for task in nested(place, "tasks"):
                yield from _flattened(task, origin | {"parent_task_id": None})


def _flattened(task: dict[str, Any], origin: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield without(task, ("subtasks",)) | origin
    for subtask in nested(task, "subtasks"):
        yield from _flattened(subtask, origin | {"parent_task_id": task.get("id")})
