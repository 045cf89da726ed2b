"""The streams, one module per domain of Lev."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_lev.streams.account import (
    Accounts,
    AccountTeamMembers,
    ApiKeys,
    BillingSummary,
    CurrentUser,
)
from tap_lev.streams.checklists import Checklists, ChecklistTasks
from tap_lev.streams.crm import Companies, Contacts
from tap_lev.streams.deals import DealPipelines, DealProperties, Deals, DealTeamMembers
from tap_lev.streams.documents import Documents, Memos, Vaults
from tap_lev.streams.financials import DealFinancials
from tap_lev.streams.index import (
    IndexEntities,
    IndexFacts,
    IndexMetricDefinitions,
    IndexObservations,
)
from tap_lev.streams.lenders import LenderDetails, LenderPrograms, Lenders
from tap_lev.streams.market import AssetTypes, BaseRates
from tap_lev.streams.notes import (
    ChecklistTaskNotes,
    CompanyNotes,
    ContactNotes,
    DealNotes,
    PlacementNotes,
)
from tap_lev.streams.pipelines import Pipelines
from tap_lev.streams.placements import Placements
from tap_lev.streams.term_sheets import TermSheets

if TYPE_CHECKING:
    from tap_lev.streams.base import LevStream

STREAMS: tuple[type[LevStream], ...] = (
    Deals,
    Placements,
    Contacts,
    Companies,
    DealProperties,
    DealTeamMembers,
    DealPipelines,
    Pipelines,
    AssetTypes,
    BaseRates,
    AccountTeamMembers,
    DealFinancials,
    TermSheets,
    Documents,
    Vaults,
    Memos,
    DealNotes,
    Checklists,
    ChecklistTasks,
    ChecklistTaskNotes,
    PlacementNotes,
    ContactNotes,
    CompanyNotes,
    IndexEntities,
    IndexMetricDefinitions,
    IndexFacts,
    IndexObservations,
    Lenders,
    LenderDetails,
    LenderPrograms,
    CurrentUser,
    Accounts,
    BillingSummary,
    ApiKeys,
)
"""Every stream of the tap."""
