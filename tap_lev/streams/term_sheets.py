"""Stream of term sheets (lev-api.md §2.7)."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals


class TermSheets(ChildStream):
    """Term sheets and quotes that lenders gave for each deal."""

    name = "term_sheets"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/term-sheets"
    page_limit = 200
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("deal_id", th.IntegerType),
        th.Property("title", th.StringType),
        th.Property(
            "lender_name", th.StringType, description="A label such as Lender A when masked."
        ),
        th.Property(
            "quote_type", th.StringType, description="Such as guidance, soft_quote or term_sheet."
        ),
        th.Property("initial_funding", th.IntegerType, description="Whole dollars."),
        th.Property(
            "total_rate",
            th.DecimalType,
            description="Percent: the spread over base_rate, or the whole rate when there is none.",
        ),
        th.Property(
            "base_rate",
            th.StringType,
            description="Such as Treasury 5-Yr or Prime Rate; none-fixed is none.",
        ),
        th.Property(
            "base_rate_value", th.DecimalType, description="Percent, when the quote was given."
        ),
        th.Property("effective_spread", th.DecimalType, description="Percent."),
        th.Property("rate_type", th.StringType, description="fixed or floating."),
        th.Property("term", th.IntegerType, description="Months."),
        th.Property("io_period", th.IntegerType, description="Months of interest only."),
        th.Property("recourse", th.StringType, description="Such as non_recourse."),
        th.Property("max_ltv", th.DecimalType, description="A ratio."),
        th.Property("max_ltc", th.DecimalType, description="A ratio."),
        th.Property("origination_fee", th.DecimalType, description="A ratio."),
        th.Property("exit_fee", th.DecimalType, description="A ratio."),
        th.Property(
            "org_id", th.IntegerType, description="The lender's id in lenders; null when masked."
        ),
        th.Property("placement_id", th.IntegerType),
        th.Property("winning", th.BooleanType),
        th.Property("is_visible_to_borrower", th.BooleanType),
        th.Property("notes", th.StringType),
        th.Property("created_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
        th.Property(
            "capital_source_type",
            th.StringType,
            description="Such as balance_sheet, agency or cmbs_clo.",
        ),
        th.Property(
            "recourse_type", th.StringType, description="Such as full, partial or burn_off."
        ),
        th.Property("payment_method", th.StringType, description="Such as accrued or current_pay."),
        th.Property(
            "prepayment_penalty",
            th.StringType,
            description="Such as step_down or yield_maintenance.",
        ),
        th.Property("prepayment_penalty_details", th.StringType),
        th.Property("amortization", th.IntegerType, description="Months."),
        th.Property("extension_one", th.IntegerType, description="Months."),
        th.Property("extension_two", th.IntegerType, description="Months."),
        th.Property("extension_three", th.IntegerType, description="Months."),
        th.Property("floor", th.DecimalType, description="Percent."),
        th.Property("floor_type", th.StringType, description="base_rate or total_rate."),
        th.Property("good_faith_deposit", th.DecimalType),
        th.Property("min_dscr", th.DecimalType),
        th.Property("min_debt_yield", th.DecimalType, description="A ratio."),
        th.Property("ir_details", th.StringType, description="About the interest reserve."),
    ).to_dict()
