"""The endpoints, as data."""

from __future__ import annotations

from lev_sandbox import endpoints as to
from lev_sandbox import files, index
from lev_sandbox.call import Route
from lev_sandbox.resources import NOTE_PARENTS

_UPDATED = {"updated_at": "moment"}
_DEAL_FILTERS = {
    "loan_type": "text", "transaction_type": "text", "business_plan": "text", "archived": "flag",
    "loan_amount": "number", "created_at": "moment", "updated_at": "moment",
}  # fmt: skip
_MEMO_FILTERS = {"title": "text", "status": "text", "memo_type": "text", "pdf_ready": "flag"}
_SORTS = ("created_at", "updated_at")
_DEAL, _INDEX = "/deals/{deal_id}", "/deals/{deal_id}/index"

ROUTES = (
    Route(path="/health", handler=to.health, public_limit=100),
    Route(path="/auth/validate-api-key", handler=to.validate_key, method="POST", public_limit=10),
    Route(path="/me", handler=to.me, scope="account:read", needs_account=False),
    Route(path="/me/accounts", handler=to.rows, resource="my_accounts", scope="account:read",
          needs_account=False),
    Route(path="/account/team", handler=to.rows, resource="account_team", scope="account:read"),
    Route(path="/billing/summary", handler=to.billing_summary, scope="billing:read"),
    Route(path="/billing/credits/balance", handler=to.credits_balance, scope="billing:read"),
    Route(path="/api-keys", handler=to.rows, resource="api_keys", style="offset"),
    Route(path="/deals", handler=to.rows, resource="deals", scope="deals:read", style="cursor",
          fields=True, include=True, filters=_DEAL_FILTERS,
          sort=("title", "loan_amount", *_SORTS)),
    Route(path=_DEAL, handler=to.row, resource="deals", scope="deals:read", fields=True,
          include=True),
    Route(path=f"{_DEAL}/financials", handler=to.financials, resource="deal_financials",
          scope="deals:read"),
    Route(path=f"{_DEAL}/properties", handler=to.rows, resource="deal_properties",
          scope="deals:read"),
    Route(path=f"{_DEAL}/team", handler=to.rows, resource="deal_team", scope="deals:read"),
    Route(path=f"{_DEAL}/term-sheets", handler=to.rows, resource="term_sheets",
          scope="termsheets:read", style="cursor"),
    Route(path=f"{_DEAL}/term-sheets/{{term_sheet_id}}", handler=to.row, resource="term_sheets",
          scope="termsheets:read"),
    Route(path=f"{_DEAL}/vaults", handler=to.rows, resource="vaults", scope="documents:read"),
    Route(path=f"{_DEAL}/documents", handler=to.rows, resource="documents",
          scope="documents:read", style="cursor", fields=True, clamp=True, refuses_filters=True,
          search={"search": "file_name", "extension": "extension", "vault_id": "vault",
                  "folder_id": "folder_path"}),
    Route(path=f"{_DEAL}/documents/{{document_id}}", handler=to.row, resource="documents",
          scope="documents:read", fields=True),
    Route(path=f"{_DEAL}/documents/{{document_id}}/download", handler=files.download,
          resource="documents", scope="documents:read", unsuitable=True),
    Route(path=f"{_DEAL}/checklists", handler=to.rows, resource="checklists",
          scope="checklists:read", search={"vault_id": "vault"}),
    Route(path=f"{_DEAL}/memos", handler=to.rows, resource="memos", scope="deals:read",
          style="offset", clamp=True, filters=_MEMO_FILTERS,
          search={"search": "title", "vault_id": "vaults"}),
    Route(path=f"{_DEAL}/memos/{{memo_uuid}}", handler=files.memo, resource="memos",
          scope="deals:read", unsuitable=True),
    Route(path=f"{_INDEX}/search", handler=index.search, method="POST", resource="index_facts",
          scope="deals:read", default_limit=20, clamp=True),
    Route(path=f"{_INDEX}/observations", handler=index.observations, method="POST",
          resource="index_observations", scope="deals:read", style="page", default_limit=20,
          clamp=True),
    Route(path=f"{_INDEX}/metric-definitions", handler=to.rows,
          resource="index_metric_definitions", scope="deals:read", style="page",
          default_limit=100, clamp=True,
          search={"metric_label": "metric_label", "category_id": "category_id"}),
    Route(path=f"{_INDEX}/entities", handler=to.rows, resource="index_entities",
          scope="deals:read"),
    Route(path="/placements", handler=to.rows, resource="placements", scope="placements:read",
          style="cursor", fields=True, filters=_UPDATED, sort=_SORTS),
    Route(path="/placements/{placement_id}", handler=to.row, resource="placements",
          scope="placements:read"),
    Route(path="/contacts", handler=to.rows, resource="contacts", scope="contacts:read",
          style="cursor", fields=True, filters=_UPDATED, sort=_SORTS),
    Route(path="/contacts/{contact_id}", handler=to.row, resource="contacts",
          scope="contacts:read"),
    Route(path="/companies", handler=to.rows, resource="companies", scope="companies:read",
          style="cursor", fields=True, filters=_UPDATED, sort=("name", *_SORTS)),
    Route(path="/companies/{company_id}", handler=to.row, resource="companies",
          scope="companies:read"),
    Route(path="/pipelines", handler=to.rows, resource="pipelines", scope="pipelines:read",
          style="offset", sort=("order",)),
    Route(path="/pipelines/{pipeline_id}", handler=to.row, resource="pipelines",
          scope="pipelines:read"),
    Route(path="/lenders/directory", handler=to.rows, resource="lenders", scope="lenders:read",
          style="cursor", fields=True, filters={"state": "text", **_UPDATED}, sort=("name",),
          search={"name": "name"}),
    Route(path="/lenders/{org_id}", handler=to.row, resource="lenders", scope="lenders:read"),
    Route(path="/lenders/{org_id}/programs", handler=to.rows, resource="lender_programs",
          scope="lenders:read"),
    Route(path="/market/base-rates", handler=to.rows, resource="base_rates", scope="market:read"),
    Route(path="/market/asset-types", handler=to.rows, resource="asset_types",
          scope="market:read"),
    *(
        Route(
            path=f"/{parent.replace('_', '-')}/{{{key}}}/notes", handler=to.rows, resource=name,
            scope=f"{'checklists' if parent == 'checklist_tasks' else parent}:read",
            style="cursor",
        )
        for name, (parent, key, _) in NOTE_PARENTS.items()
    ),
)  # fmt: skip

_NOTE_PATHS = tuple(
    f"/{parent.replace('_', '-')}/{{{key}}}/notes" for parent, key, _ in NOTE_PARENTS.values()
)
VIOLATIONS: frozenset[tuple[str, str]] = frozenset({
    ("POST", "/contacts/{contact_id}/actions/unlock"),
    ("POST", "/deals/{deal_id}/actions/search-lenders"),
    ("PATCH", "/me/active-account"),
    ("DELETE", "/api-keys/{key_id}"),
    ("POST", "/checklist-tasks"),
    ("PATCH", "/checklist-tasks/{task_id}"),
    ("POST", "/checklist-tasks/{task_id}/complete"),
    ("POST", "/deals/{deal_id}/pipeline"),
    ("POST", "/deals/{deal_id}/index/facts"),
    ("PATCH", "/deals/{deal_id}/index/facts"),
    *(("PATCH", f"{path}/{{note_id}}") for path in _NOTE_PATHS),
    *(("DELETE", f"{path}/{{note_id}}") for path in _NOTE_PATHS),
})  # fmt: skip
"""Requests that a sync must never send, beyond other methods of the endpoints above."""
