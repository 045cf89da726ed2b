"""Deal financials (lev-api.md §2.2)."""

from __future__ import annotations

from tap_lev.records.schema import BOOLEAN, DATE_TIME, INTEGER, NUMBER, STRING, described, table
from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals


class DealFinancials(ChildStream):
    """Financials of each deal that has any."""

    name = "deal_financials"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/financials"
    embed = "financials"
    verify_embed = True
    single_row = True
    missing_is_empty = True
    schema = table(
        ChildStream.primary_keys,
        id=INTEGER,
        deal_id=INTEGER,
        purchase_price=NUMBER,
        asking_price=NUMBER,
        estimated_value=NUMBER,
        in_place_noi=described(NUMBER, "Per year."),
        stabilized_noi=described(NUMBER, "Per year."),
        stabilized_value=NUMBER,
        stabilized_occupancy=described(NUMBER, "A ratio."),
        going_in_cap_rate=described(NUMBER, "A ratio."),
        going_in_cap_rate_as_of_date=STRING,
        capex=NUMBER,
        historical_capex=NUMBER,
        land_cost=NUMBER,
        total_cost=NUMBER,
        total_cost_basis=NUMBER,
        cost_basis_to_date=NUMBER,
        imputed_land_value=NUMBER,
        existing_debt=NUMBER,
        estimated_cost_basis_if_refinance=NUMBER,
        exchange_amount=described(NUMBER, "Of a 1031 exchange."),
        exchange_required_closing_date=STRING,
        outstanding_loan_amount_at_closing=NUMBER,
        investment_sales_brokerage_fee=NUMBER,
        debt_placement_brokerage_fee=NUMBER,
        environmental_cost=NUMBER,
        appraisal_cost=NUMBER,
        survey_cost=NUMBER,
        snda_and_estoppel_cost=NUMBER,
        estimated_borrower_counsel_cost=NUMBER,
        estimated_lender_counsel_cost=NUMBER,
        other_closing_costs=NUMBER,
        date_of_purchase_if_refinance=described(STRING, "A date."),
        construction_start_date=STRING,
        construction_completion_date=STRING,
        debt_maturity_date=STRING,
        cash_out=BOOLEAN,
        recent_phase_available=BOOLEAN,
        recent_appraisal_available=BOOLEAN,
        survey_available=BOOLEAN,
        borrower_counsel_engaged=BOOLEAN,
        updated_at=DATE_TIME,
    )
