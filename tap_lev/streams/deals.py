"""Deals and what Lev embeds in them (lev-api.md §2.1 to §2.5)."""

from __future__ import annotations

from tap_lev.records.schema import (
    BOOLEAN,
    DATE_TIME,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    described,
    table,
)
from tap_lev.streams.child import ChildStream
from tap_lev.streams.lists import IncrementalStream


class Deals(IncrementalStream):
    """Deals, active and archived."""

    name = "deals"
    path = "/deals"
    detail_path = "/deals/{deal_id}"
    supports_fields = True
    includes = ("financials",)
    child_embeds = ("properties", "team", "pipelines")
    schema = table(
        IncrementalStream.primary_keys,
        id=INTEGER,
        title=STRING,
        loan_amount=described(NUMBER, "The amount asked for."),
        loan_type=described(STRING, "Such as construction, permanent or land."),
        transaction_type=described(STRING, "Such as acquisition or refinance."),
        business_plan=described(STRING, "Such as stabilized or value_add."),
        description=STRING,
        estimated_close_date=described(STRING, "A date."),
        close_date=described(STRING, "A date: when the deal did close."),
        owner_account_id=described(INTEGER, "The account that owns the deal."),
        created_at=DATE_TIME,
        updated_at=DATE_TIME,
        archived=BOOLEAN,
        archived_at=DATE_TIME,
        financials=described(
            OBJECT,
            "Key figures as Lev embeds them: ltv, dscr, noi and appraised_value stand only here.",
        ),
    )


class DealProperties(ChildStream):
    """Properties of each deal."""

    name = "deal_properties"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/properties"
    embed = "properties"
    primary_keys = ("deal_id", "id")
    selected_by_default = True
    schema = table(
        primary_keys,
        deal_id=INTEGER,
        id=INTEGER,
        name=STRING,
        address=STRING,
        city=STRING,
        state=described(STRING, "Two letters."),
        zip=STRING,
        asset_type_id=described(INTEGER, "The id in asset_types."),
        units=INTEGER,
        square_footage=NUMBER,
        year_built=INTEGER,
    )


class DealTeamMembers(ChildStream):
    """People assigned to each deal, with their roles."""

    name = "deal_team_members"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/team"
    embed = "team"
    primary_keys = ("deal_id", "id")
    selected_by_default = True
    schema = table(
        primary_keys,
        deal_id=INTEGER,
        id=described(INTEGER, "The id of the assignment, not of the user."),
        user_id=described(INTEGER, "The id in account_team_members."),
        first_name=STRING,
        last_name=STRING,
        email=STRING,
        deal_role=described(STRING, "Such as deal_lead, originator or closer."),
        is_primary=BOOLEAN,
        permission=STRING,
        photo_url=STRING,
    )


class DealPipelines(ChildStream):
    """Where each deal stands in each of its pipelines."""

    name = "deal_pipelines"
    parent = Deals
    parent_key = "deal_id"
    path = None
    embed = "pipelines"
    embed_limit = 10  # lev-api.md §1.7
    primary_keys = ("deal_id", "pipeline_id")
    selected_by_default = True
    schema = table(
        primary_keys,
        deal_id=INTEGER,
        pipeline_id=INTEGER,
        status_name=described(STRING, "A name, not an id."),
        updated_at=DATE_TIME,
    )
