"""Streams of notes on deals, placements, contacts, companies and tasks (lev-api.md §2.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk import typing as th

from tap_lev.streams.account import PERSON
from tap_lev.streams.checklists import ChecklistTasks
from tap_lev.streams.child import ChildStream
from tap_lev.streams.crm import Companies, Contacts
from tap_lev.streams.deals import Deals
from tap_lev.streams.placements import Placements

if TYPE_CHECKING:
    from tap_lev.records.schema import JSONSchema


def note_schema(parent_key: str) -> JSONSchema:
    """Build the schema of the notes on one kind of row.

    Args:
        parent_key: The column with the id of the row that a note is on.
    """
    return th.PropertiesList(
        th.Property(parent_key, th.IntegerType, required=True),
        th.Property("id", th.IntegerType, required=True),
        th.Property("text", th.StringType),
        th.Property("created_by", PERSON),
        th.Property("created_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()


class DealNotes(ChildStream):
    """Notes on deals."""

    name = "deal_notes"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = note_schema(parent_key)


class ChecklistTaskNotes(ChildStream):
    """Comments on checklist tasks."""

    name = "checklist_task_notes"
    parent = ChecklistTasks
    parent_key = "task_id"
    path = "/checklist-tasks/{task_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = note_schema(parent_key)


class PlacementNotes(ChildStream):
    """Notes on placements."""

    name = "placement_notes"
    parent = Placements
    parent_key = "placement_id"
    path = "/placements/{placement_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = note_schema(parent_key)


class ContactNotes(ChildStream):
    """Notes on contacts."""

    name = "contact_notes"
    parent = Contacts
    parent_key = "contact_id"
    path = "/contacts/{contact_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = note_schema(parent_key)


class CompanyNotes(ChildStream):
    """Notes on companies."""

    name = "company_notes"
    parent = Companies
    parent_key = "company_id"
    path = "/companies/{company_id}/notes"
    page_limit = 200
    primary_keys = (parent_key, "id")
    schema = note_schema(parent_key)
