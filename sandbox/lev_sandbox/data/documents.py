"""Vaults, documents, checklists and memos of a deal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lev_sandbox.data import words
from lev_sandbox.data.draw import LAST_SECOND, Draw, date_text, stamp_text
from lev_sandbox.data.market import FIRST_USER_ID, author, team_member
from lev_sandbox.data.world import ACCOUNT_ID, MICROSECONDS, World

if TYPE_CHECKING:
    from lev_sandbox.data.world import Row

SECTIONS = ("Due diligence", "Closing", "Third-party reports")
TASK_STATUSES = ("to_do", "requested", "reviewing", "updates_needed", "approved", "cancelled")
MEMO_TYPES = (
    "debt_financing_om", "credit_memo", "investment_sales", "debt_brokerage", "equity_raise",
    "broker_opinion_of_value", "investment_committee", "invoice", "other",
)  # fmt: skip
DOCUMENT_TYPES = ("Rent roll", "Operating statement", "Appraisal", "Survey", "Lease", "Photo")
COLLABORATORS: tuple[list[Row], ...] = (
    [],
    [],
    [{"id": None, "email": "guest@example.org"}],
    [{"id": FIRST_USER_ID + 1, "email": None}],
)
SECTIONS_PER_CHECKLIST = 2


def vault(world: World, _draw: Draw, number: int, parent: int) -> Row:
    """Make a vault: the first of a deal is private, the others are deal rooms."""
    place = number - world.span("vaults", parent).start
    return {
        "id": number,
        "type": "shared" if place else "resources",
        "title": ("Resources", "Deal Room")[place] if place < 2 else f"Deal Room {place}",  # noqa: PLR2004
        "is_default": place == 1,
    }


def vault_reference(world: World, draw: Draw, deal: int) -> Row:
    """Return the short form of one of a deal's vaults."""
    number = draw.pick(world.span("vaults", deal) or (0,))
    row = vault(world, draw, number, deal)
    return {"id": number, "type": row["type"], "title": row["title"]}


def document(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make the metadata of a document."""
    kind = draw.pick(words.FILE_TYPES)
    return {
        "id": number,
        "file_name": f"{draw.pick(words.FILE_STEMS)}-{draw.between(1, 99)}.{kind}",
        "extension": draw.maybe(98, kind),
        "size_bytes": draw.maybe(92, draw.between(900, 48_000_000)),
        "folder_path": draw.maybe(70, draw.pick(words.FOLDERS)),
        "uploaded_at": draw.maybe(98, stamp_text(world.moments("documents", number)[0])),
        "vault": vault_reference(world, draw, parent),
    }


def checklist_count(world: World, parent: int) -> int:
    """Return how many checklists a deal has: one per shared vault."""
    return max(0, len(world.span("vaults", parent)) - 1)


def checklist(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make a checklist without its sections and tasks."""
    place = number - world.span("checklists", parent).start
    shared = world.span("vaults", parent).start + place + 1
    row = vault(world, draw, shared, parent)
    return {"id": number, "vault": {"id": shared, "type": "shared", "title": row["title"]}}


def section_count(_world: World, _parent: int) -> int:
    """Return how many sections a checklist has."""
    return SECTIONS_PER_CHECKLIST


def checklist_section(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make a section of a checklist."""
    place = number - world.span("checklist_sections", parent).start
    start = draw.maybe(40, draw.between(LAST_SECOND - 90 * 86_400, LAST_SECOND))
    return {
        "id": number,
        "name": SECTIONS[place % len(SECTIONS)],
        "position": place + 1,
        "start_date": date_text(start) if start else None,
        "end_date": date_text(start + 30 * 86_400) if start else None,
    }


def checklist_task(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make a task; every fifth hangs below another, every seventh outside the sections."""
    place = number - world.span("checklist_tasks", parent).start
    sections = world.span("checklist_sections", parent)
    nested = place % 5 == 4  # noqa: PLR2004
    above = number - 1 if nested else None
    own = place - 1 if nested else place
    outside = own % 7 == 6  # noqa: PLR2004
    section = None if outside or not sections else sections[own % len(sections)]
    deal = world.parent("checklists", parent)
    documents = world.span("documents", deal)
    status = draw.pick(TASK_STATUSES)
    return {
        "id": number,
        "title": draw.pick(words.TASK_TITLES),
        "description": draw.maybe(30, f"Please upload {draw.pick(words.NOTE_SUBJECTS)}"),
        "status": status,
        "is_completed": status == "approved" or draw.chance(10),
        "position": place + 1,
        "due_date": draw.maybe(50, draw.day()),
        "role": draw.maybe(70, draw.pick(("borrower", "lender", "broker"))),
        "assignee": _assignee(world, draw),
        "assigned_team": draw.maybe(
            50, {"id": ACCOUNT_ID, "type": "account", "name": "Sandbox Brokerage"}
        ),
        "collaborators": draw.pick(COLLABORATORS),
        "document_types": [
            {"id": kind + 1, "name": DOCUMENT_TYPES[kind]}
            for kind in sorted({draw.below(len(DOCUMENT_TYPES)) for _ in range(draw.below(3))})
        ],
        "files": _files(world, draw, deal) if documents and draw.chance(40) else [],
        "section_id": section,
        "parent_task_id": above,
    }


def _assignee(world: World, draw: Draw) -> Row | None:
    number = draw.maybe(60, world.reference("account_team", draw.below(1 << 30)))
    if number is None:
        return None
    member = team_member(world, world.draw("account_team", number), number, 0)
    return {
        "id": member["user_id"],
        "first_name": member["first_name"],
        "last_name": member["last_name"],
        "email": member["email"],
    }


def _files(world: World, draw: Draw, deal: int) -> list[Row]:
    number = draw.pick(world.span("documents", deal))
    row = document(world, world.draw("documents", number), number, deal)
    return [
        {
            "vault_resource_id": 10_000 + number,
            "document_id": draw.maybe(90, number),
            "name": row["file_name"],
            "origin": draw.pick(("auto_match", "manually_added")),
        }
    ]


def memo(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make a memo as a list shows it."""
    updated = world.updated("memos", number)
    published = draw.chance(60)
    ready = published and draw.chance(85)
    unique = draw.uuid()
    return {
        "uuid": unique,
        "title": draw.maybe(
            97, f"{draw.pick(words.PLACE_WORDS)} {draw.pick(words.PLACE_WORDS)} OM"
        ),
        "memo_type": draw.maybe(95, draw.pick(MEMO_TYPES)),
        "status": "published" if published else "draft",
        "published_at": stamp_text(world.moments("memos", number)[0]) if published else None,
        "updated_at": None if updated < 0 else stamp_text(updated // MICROSECONDS),
        "created_by": draw.maybe(95, author(world, draw)),
        "pdf_generation_status": draw.maybe(90, "completed" if ready else "pending"),
        "pdf_ready": ready,
        "memo_url": draw.maybe(50, f"https://memos.example.com/{unique}"),
        "vaults": [vault_reference(world, draw, parent)] if draw.chance(70) else [],
    }
