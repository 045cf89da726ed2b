"""The resources, as data: a new one is a row here and a function that makes its rows."""

from __future__ import annotations

from lev_sandbox.data import crm, deals, documents, index, market, placements
from lev_sandbox.data.world import Resource

NOTE_PARENTS = {
    "deal_notes": ("deals", "deal_id", 2),
    "contact_notes": ("contacts", "contact_id", 0.4),
    "company_notes": ("companies", "company_id", 0.5),
    "placement_notes": ("placements", "placement_id", 0.6),
    "checklist_task_notes": ("checklist_tasks", "task_id", 0.4),
}
"""Notes by kind of parent: the parent, what its id is called, and notes per parent."""

_TERM_SHEET_DETAILS = (
    "capital_source_type", "recourse_type", "payment_method", "prepayment_penalty",
    "prepayment_penalty_details", "amortization", "extension_one", "extension_two",
    "extension_three", "floor", "floor_type", "good_faith_deposit", "min_dscr", "min_debt_yield",
    "ir_details",
)  # fmt: skip

_ALL = (
    Resource(
        name="deals", make=deals.deal, size=2000, stamped=True,
        moments=("created_at", "archived_at"), touch="title",
        legacy=(("loan_type", "acquisition"), ("transaction_type", "purchase")),
    ),
    Resource(
        name="placements", make=placements.placement, size=6000, stamped=True,
        moments=("created_at", "last_communication_date", "lender_first_response_date"),
        touch="description",
        legacy=(("status", "reviewing"), ("lender_status", "under_review"),
                ("visibility", "visible")),
    ),
    Resource(
        name="contacts", make=crm.contact, size=5000, stamped=True, moments=("created_at",),
        touch="title",
    ),
    Resource(
        name="companies", make=crm.company, size=1500, stamped=True, moments=("created_at",),
        touch="name",
    ),
    Resource(
        name="lenders", make=crm.lender, size=700, stamped=True, moments=("created_at",),
        detail_only=("linkedin_url", "square_logo_url", "aliases", "domains"), touch="about",
    ),
    Resource(
        name="lender_programs", make=crm.lender_program, size=2, parent="lenders",
        parent_key="org_id", touch="title",
    ),
    Resource(name="pipelines", make=market.pipeline, fixed=len(market.PIPELINES),
             touch="description"),
    Resource(name="base_rates", make=market.base_rate, fixed=len(market.BASE_RATES), key="code",
             touch="name"),
    Resource(name="asset_types", make=market.asset_type, fixed=len(market.ASSET_TYPES),
             touch="description"),
    Resource(name="account_team", make=market.team_member, size=12, key="user_id", touch="role"),
    Resource(name="my_accounts", make=market.account, size=1, touch="name"),
    Resource(name="api_keys", make=market.api_key, size=2,
             moments=("created_at", "last_used_at"), touch="label"),
    Resource(
        name="deal_financials", make=deals.financials, size=0.9, parent="deals",
        parent_key="deal_id", stamped=True, touch="going_in_cap_rate_as_of_date",
    ),
    Resource(
        name="deal_properties", make=deals.deal_property, size=1.4, parent="deals",
        parent_key="deal_id", touch="name",
    ),
    Resource(
        name="deal_team", make=deals.deal_team, size=2.5, parent="deals", parent_key="deal_id",
        touch="deal_role",
    ),
    Resource(
        name="deal_pipelines", make=deals.deal_pipeline, key=None, parent="deals",
        parent_key="deal_id", count=deals.deal_pipeline_count, stamped=True, touch="status_name",
    ),
    Resource(
        name="term_sheets", make=placements.term_sheet, size=2, parent="deals",
        parent_key="deal_id", stamped=True, moments=("created_at",),
        detail_only=_TERM_SHEET_DETAILS, touch="title", legacy=(("base_rate", "CMT"),),
    ),
    Resource(
        name="vaults", make=documents.vault, size=2, least=1, parent="deals",
        parent_key="deal_id", touch="title",
    ),
    Resource(
        name="documents", make=documents.document, size=5, parent="deals", parent_key="deal_id",
        moments=("uploaded_at",), touch="file_name",
    ),
    Resource(
        name="memos", make=documents.memo, size=0.7, key="uuid", parent="deals",
        parent_key="deal_id", stamped=True, moments=("published_at",), touch="title",
    ),
    Resource(
        name="checklists", make=documents.checklist, parent="deals", parent_key="deal_id",
        count=documents.checklist_count,
    ),
    Resource(
        name="checklist_sections", make=documents.checklist_section, parent="checklists",
        parent_key="checklist_id", count=documents.section_count, touch="name",
    ),
    Resource(
        name="checklist_tasks", make=documents.checklist_task, size=7, parent="checklists",
        parent_key="checklist_id", inner=("section_id", "parent_task_id"), touch="title",
    ),
    Resource(name="index_metric_definitions", make=index.metric_definition,
             fixed=len(index.METRICS), touch="metric_label"),
    Resource(
        name="index_entities", make=index.entity, key="entity_ref", parent="deals",
        parent_key="deal_id", count=index.entity_count, touch="group_ref",
    ),
    Resource(
        name="index_facts", make=index.fact, size=8, parent="deals", parent_key="deal_id",
        touch="value_text",
    ),
    Resource(
        name="index_observations", make=index.observation, size=20, parent="deals",
        parent_key="deal_id", touch="value_text",
    ),
    *(
        Resource(
            name=name, make=placements.note_of(name), size=size, parent=parent,
            parent_key=parent_key, stamped=True, moments=("created_at",), touch="text",
        )
        for name, (parent, parent_key, size) in NOTE_PARENTS.items()
    ),
)  # fmt: skip

RESOURCES = {resource.name: resource for resource in _ALL}
SIZES = {
    resource.name: resource.size
    for resource in _ALL
    if not resource.fixed and resource.count is None
}
"""The sizes that can be chosen, with their defaults."""
