"""Notes on deals, placements, contacts, companies and checklist tasks (lev-api.md §2.10)."""

from __future__ import annotations

from typing import Any

from tap_lev.records.schema import DATE_TIME, INTEGER, PERSON, STRING, table
from tap_lev.streams.checklists import ChecklistTasks
from tap_lev.streams.child import ChildStream
from tap_lev.streams.crm import Companies, Contacts
from tap_lev.streams.deals import Deals
from tap_lev.streams.placements import Placements


def notes(key: tuple[str, str]) -> dict[str, Any]:
    """Build the schema of the notes on one kind of row.

    Args:
        key: The column with the id of what the note is on, and the note's own.
    """
    return table(
        key,
        **dict.fromkeys(key, INTEGER),
        text=STRING,
        created_by=PERSON,
        created_at=DATE_TIME,
        updated_at=DATE_TIME,
    )


class DealNotes(ChildStream):
    """Notes on deals."""

    name = "deal_notes"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = notes(primary_keys)


class ChecklistTaskNotes(ChildStream):
    """Comments on checklist tasks."""

    name = "checklist_task_notes"
    parent = ChecklistTasks
    parent_key = "task_id"
    path = "/checklist-tasks/{task_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = notes(primary_keys)


class PlacementNotes(ChildStream):
    """Notes on placements."""

    name = "placement_notes"
    parent = Placements
    parent_key = "placement_id"
    path = "/placements/{placement_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = notes(primary_keys)


class ContactNotes(ChildStream):
    """Notes on contacts."""

    name = "contact_notes"
    parent = Contacts
    parent_key = "contact_id"
    path = "/contacts/{contact_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = notes(primary_keys)


class CompanyNotes(ChildStream):
    """Notes on companies."""

    name = "company_notes"
    parent = Companies
    parent_key = "company_id"
    path = "/companies/{company_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = notes(primary_keys)
