"""Stream of placements (lev-api.md §2.6)."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_lev.streams.lists import IncrementalStream


class Placements(IncrementalStream):
    """Placements: a deal offered to a lender."""

    name = "placements"
    path = "/placements"
    detail_path = "/placements/{placement_id}"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("deal_id", th.IntegerType),
        th.Property(
            "private_company_id",
            th.IntegerType,
            description="The lender's id in companies; null when masked.",
        ),
        th.Property(
            "lender_name", th.StringType, description="A label such as Lender A when masked."
        ),
        th.Property("contact_id", th.IntegerType, description="Null when masked."),
        th.Property(
            "contact_name",
            th.StringType,
            description="Null when masked, or when the contact is not unlocked.",
        ),
        th.Property(
            "status", th.StringType, description="Such as new, lender_reviewing or closed."
        ),
        th.Property(
            "lender_status",
            th.StringType,
            description="Such as origination, quotation or diligence.",
        ),
        th.Property("description", th.StringType),
        th.Property("lev_score", th.DecimalType, description="The score of Lev's model."),
        th.Property("score", th.DecimalType, description="The score given by hand."),
        th.Property("outreach_date", th.StringType, description="A date, or a date-time."),
        th.Property("outreach_source", th.StringType),
        th.Property("last_communication_date", th.DateTimeType),
        th.Property("lender_first_response_date", th.DateTimeType),
        th.Property("visibility", th.StringType, description="hidden, masked or shared."),
        th.Property("created_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()
