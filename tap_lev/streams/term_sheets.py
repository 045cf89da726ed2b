"""Term sheets (lev-api.md §2.7)."""

from __future__ import annotations

from tap_lev.records.schema import BOOLEAN, DATE_TIME, INTEGER, NUMBER, STRING, described, table
from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals


class TermSheets(ChildStream):
    """Term sheets and quotes that lenders gave for each deal."""

    name = "term_sheets"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/term-sheets"
    page_limit = 200
    schema = table(
        ChildStream.primary_keys,
        id=INTEGER,
        deal_id=INTEGER,
        title=STRING,
        lender_name=described(STRING, "A label such as Lender A when masked."),
        quote_type=described(STRING, "Such as guidance, soft_quote or term_sheet."),
        initial_funding=described(INTEGER, "Whole dollars."),
        total_rate=described(
            NUMBER, "Percent: the spread over base_rate, or the whole rate when there is none."
        ),
        base_rate=described(STRING, "Such as Treasury 5-Yr or Prime Rate; none-fixed is none."),
        base_rate_value=described(NUMBER, "Percent, when the quote was given."),
        effective_spread=described(NUMBER, "Percent."),
        rate_type=described(STRING, "fixed or floating."),
        term=described(INTEGER, "Months."),
        io_period=described(INTEGER, "Months of interest only."),
        recourse=described(STRING, "Such as non_recourse."),
        max_ltv=described(NUMBER, "A ratio."),
        max_ltc=described(NUMBER, "A ratio."),
        origination_fee=described(NUMBER, "A ratio."),
        exit_fee=described(NUMBER, "A ratio."),
        org_id=described(INTEGER, "The lender's id in lenders; null when masked."),
        placement_id=INTEGER,
        winning=BOOLEAN,
        is_visible_to_borrower=BOOLEAN,
        notes=STRING,
        created_at=DATE_TIME,
        updated_at=DATE_TIME,
        capital_source_type=described(STRING, "Such as balance_sheet, agency or cmbs_clo."),
        recourse_type=described(STRING, "Such as full, partial or burn_off."),
        payment_method=described(STRING, "Such as accrued or current_pay."),
        prepayment_penalty=described(STRING, "Such as step_down or yield_maintenance."),
        prepayment_penalty_details=STRING,
        amortization=described(INTEGER, "Months."),
        extension_one=described(INTEGER, "Months."),
        extension_two=described(INTEGER, "Months."),
        extension_three=described(INTEGER, "Months."),
        floor=described(NUMBER, "Percent."),
        floor_type=described(STRING, "base_rate or total_rate."),
        good_faith_deposit=NUMBER,
        min_dscr=NUMBER,
        min_debt_yield=described(NUMBER, "A ratio."),
        ir_details=described(STRING, "About the interest reserve."),
    )
