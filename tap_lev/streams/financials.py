"""Stream of the financials of deals (lev-api.md §2.2)."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals


class DealFinancials(ChildStream):
    """Financials of each deal that has any."""

    name = "deal_financials"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/financials"
    embed = "financials"
    # The embedded object may have fewer fields than the endpoint's (lev-api.md §3 row 22).
    verify_embed = True
    single_row = True
    missing_is_empty = True
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("deal_id", th.IntegerType),
        th.Property("purchase_price", th.DecimalType),
        th.Property("asking_price", th.DecimalType),
        th.Property("estimated_value", th.DecimalType),
        th.Property("in_place_noi", th.DecimalType, description="Per year."),
        th.Property("stabilized_noi", th.DecimalType, description="Per year."),
        th.Property("stabilized_value", th.DecimalType),
        th.Property("stabilized_occupancy", th.DecimalType, description="A ratio."),
        th.Property("going_in_cap_rate", th.DecimalType, description="A ratio."),
        th.Property("going_in_cap_rate_as_of_date", th.StringType),
        th.Property("capex", th.DecimalType),
        th.Property("historical_capex", th.DecimalType),
        th.Property("land_cost", th.DecimalType),
        th.Property("total_cost", th.DecimalType),
        th.Property("total_cost_basis", th.DecimalType),
        th.Property("cost_basis_to_date", th.DecimalType),
        th.Property("imputed_land_value", th.DecimalType),
        th.Property("existing_debt", th.DecimalType),
        th.Property("estimated_cost_basis_if_refinance", th.DecimalType),
        th.Property("exchange_amount", th.DecimalType, description="Of a 1031 exchange."),
        th.Property("exchange_required_closing_date", th.StringType),
        th.Property("outstanding_loan_amount_at_closing", th.DecimalType),
        th.Property("investment_sales_brokerage_fee", th.DecimalType),
        th.Property("debt_placement_brokerage_fee", th.DecimalType),
        th.Property("environmental_cost", th.DecimalType),
        th.Property("appraisal_cost", th.DecimalType),
        th.Property("survey_cost", th.DecimalType),
        th.Property("snda_and_estoppel_cost", th.DecimalType),
        th.Property("estimated_borrower_counsel_cost", th.DecimalType),
        th.Property("estimated_lender_counsel_cost", th.DecimalType),
        th.Property("other_closing_costs", th.DecimalType),
        th.Property("date_of_purchase_if_refinance", th.StringType, description="A date."),
        th.Property("construction_start_date", th.StringType),
        th.Property("construction_completion_date", th.StringType),
        th.Property("debt_maturity_date", th.StringType),
        th.Property("cash_out", th.BooleanType),
        th.Property("recent_phase_available", th.BooleanType),
        th.Property("recent_appraisal_available", th.BooleanType),
        th.Property("survey_available", th.BooleanType),
        th.Property("borrower_counsel_engaged", th.BooleanType),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()
