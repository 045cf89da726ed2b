"""The streams, one module per domain of Lev."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_lev.streams.account import AccountTeamMembers
from tap_lev.streams.crm import Companies, Contacts
from tap_lev.streams.deals import Deals
from tap_lev.streams.market import AssetTypes, BaseRates
from tap_lev.streams.pipelines import Pipelines
from tap_lev.streams.placements import Placements

if TYPE_CHECKING:
    from tap_lev.stream import LevStream

STREAMS: tuple[type[LevStream], ...] = (
    Deals,
    Placements,
    Contacts,
    Companies,
    Pipelines,
    AssetTypes,
    BaseRates,
    AccountTeamMembers,
)
"""Every stream of the tap."""
