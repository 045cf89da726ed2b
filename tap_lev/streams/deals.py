"""Streams of deals and what Lev embeds in them (lev-api.md §2.1, §2.3 to §2.5)."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_lev.records.schema import OPEN_OBJECT
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
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("title", th.StringType),
        th.Property("loan_amount", th.DecimalType, description="The amount asked for."),
        th.Property(
            "loan_type", th.StringType, description="Such as construction, permanent or land."
        ),
        th.Property(
            "transaction_type", th.StringType, description="Such as acquisition or refinance."
        ),
        th.Property("business_plan", th.StringType, description="Such as stabilized or value_add."),
        th.Property("description", th.StringType),
        th.Property("estimated_close_date", th.StringType, description="A date."),
        th.Property("close_date", th.StringType, description="A date: when the deal did close."),
        th.Property(
            "owner_account_id", th.IntegerType, description="The account that owns the deal."
        ),
        th.Property("created_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
        th.Property("archived", th.BooleanType),
        th.Property("archived_at", th.DateTimeType),
        th.Property(
            "financials",
            OPEN_OBJECT,
            description="Key figures as Lev embeds them: ltv, dscr, noi and appraised_value "
            "stand only here.",
        ),
    ).to_dict()


class DealProperties(ChildStream):
    """Properties of each deal."""

    name = "deal_properties"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/properties"
    embed = "properties"
    primary_keys = ("deal_id", "id")
    selected_by_default = True
    schema = th.PropertiesList(
        th.Property("deal_id", th.IntegerType, required=True),
        th.Property("id", th.IntegerType, required=True),
        th.Property("name", th.StringType),
        th.Property("address", th.StringType),
        th.Property("city", th.StringType),
        th.Property("state", th.StringType, description="Two letters."),
        th.Property("zip", th.StringType),
        th.Property("asset_type_id", th.IntegerType, description="The id in asset_types."),
        th.Property("units", th.IntegerType),
        th.Property("square_footage", th.DecimalType),
        th.Property("year_built", th.IntegerType),
    ).to_dict()


class DealTeamMembers(ChildStream):
    """People assigned to each deal, with their roles."""

    name = "deal_team_members"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/team"
    embed = "team"
    primary_keys = ("deal_id", "id")
    selected_by_default = True
    schema = th.PropertiesList(
        th.Property("deal_id", th.IntegerType, required=True),
        th.Property(
            "id",
            th.IntegerType,
            required=True,
            description="The id of the assignment, not of the user.",
        ),
        th.Property("user_id", th.IntegerType, description="The id in account_team_members."),
        th.Property("first_name", th.StringType),
        th.Property("last_name", th.StringType),
        th.Property("email", th.StringType),
        th.Property(
            "deal_role", th.StringType, description="Such as deal_lead, originator or closer."
        ),
        th.Property("is_primary", th.BooleanType),
        th.Property("permission", th.StringType),
        th.Property("photo_url", th.StringType),
    ).to_dict()


class DealPipelines(ChildStream):
    """Where each deal stands in each of its pipelines."""

    name = "deal_pipelines"
    parent = Deals
    parent_key = "deal_id"
    path = None
    embed = "pipelines"
    # Lev cuts the embedded list off here (lev-api.md §1.7).
    embed_limit = 10
    primary_keys = ("deal_id", "pipeline_id")
    selected_by_default = True
    schema = th.PropertiesList(
        th.Property("deal_id", th.IntegerType, required=True),
        th.Property("pipeline_id", th.IntegerType, required=True),
        th.Property("status_name", th.StringType, description="A name, not an id."),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()
