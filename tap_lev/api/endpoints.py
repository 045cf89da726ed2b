"""List the requests that the tap may make (lev-api.md §4)."""

from __future__ import annotations

ME = "GET /me"
"""Describes the user and the account of the key (lev-api.md §2.24)."""

READS = frozenset(
    {
        "GET /account/team",
        "GET /api-keys",
        "GET /billing/summary",
        "GET /companies",
        "GET /companies/{company_id}",
        "GET /companies/{company_id}/notes",
        "GET /contacts",
        "GET /contacts/{contact_id}",
        "GET /contacts/{contact_id}/notes",
        "GET /checklist-tasks/{task_id}/notes",
        "GET /deals",
        "GET /deals/{deal_id}",
        "GET /deals/{deal_id}/checklists",
        "GET /deals/{deal_id}/documents",
        "GET /deals/{deal_id}/documents/{document_id}",
        "GET /deals/{deal_id}/financials",
        "GET /deals/{deal_id}/index/entities",
        "GET /deals/{deal_id}/index/metric-definitions",
        "GET /deals/{deal_id}/memos",
        "GET /deals/{deal_id}/notes",
        "GET /deals/{deal_id}/properties",
        "GET /deals/{deal_id}/team",
        "GET /deals/{deal_id}/term-sheets",
        "GET /deals/{deal_id}/term-sheets/{term_sheet_id}",
        "GET /deals/{deal_id}/vaults",
        "GET /health",
        "GET /lenders/directory",
        "GET /lenders/{org_id}",
        "GET /lenders/{org_id}/programs",
        "GET /market/asset-types",
        "GET /market/base-rates",
        "GET /me",
        "GET /me/accounts",
        "GET /pipelines",
        "GET /pipelines/{pipeline_id}",
        "GET /placements",
        "GET /placements/{placement_id}",
        "GET /placements/{placement_id}/notes",
        "POST /auth/validate-api-key",
        "POST /deals/{deal_id}/index/observations",
        "POST /deals/{deal_id}/index/search",
    }
)
"""The client sends nothing else. None of these changes or costs anything (lev-api.md §4)."""
