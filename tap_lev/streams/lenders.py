"""The lender directory, the same for every account (lev-api.md §2.12, §2.13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_lev.records.schema import DATE_TIME, INTEGER, NUMBER, STRING, array, described, table
from tap_lev.streams.child import ChildStream
from tap_lev.streams.lists import IncrementalStream
from tap_lev.streams.rows import without

if TYPE_CHECKING:
    from tap_lev.api.response import LevResponse

DETAILS = {
    "linkedin_url": STRING,
    "square_logo_url": STRING,
    "aliases": array(STRING),
    "domains": array(STRING),
}
"""What only the read of a single lender has, beside the rows of lender_programs."""


class Lenders(IncrementalStream):
    """Lender organizations of Lev's directory."""

    name = "lenders"
    path = "/lenders/directory"
    detail_path = "/lenders/{org_id}"
    supports_fields = True
    selected_by_default = False
    schema = table(
        IncrementalStream.primary_keys,
        id=described(INTEGER, "The org_id of other streams."),
        name=STRING,
        website=STRING,
        logo_url=STRING,
        address=STRING,
        city=STRING,
        state=STRING,
        zip=STRING,
        about=STRING,
        lender_type=described(array(STRING), "Labels such as bank or CMBS."),
        category=STRING,
        created_at=DATE_TIME,
        updated_at=DATE_TIME,
    )

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Leave to lender_details and lender_programs what the single read has for them."""
        return without(row, (*DETAILS, "programs"))


class LenderDetails(ChildStream):
    """What Lev tells of each lender beyond its row in lenders."""

    name = "lender_details"
    parent = Lenders
    parent_key = "org_id"
    path = "/lenders/{org_id}"
    single_row = True
    schema = table(
        ChildStream.primary_keys,
        id=described(INTEGER, "The id in lenders."),
        **DETAILS,
    )

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Leave out what stands in lenders and lender_programs."""
        return without(row, (Lenders.schema["properties"].keys() - {"id"}) | {"programs"})


class LenderPrograms(ChildStream):
    """Loan programs of each lender."""

    name = "lender_programs"
    parent = Lenders
    parent_key = "org_id"
    path = "/lenders/{org_id}/programs"
    primary_keys = ("org_id", "id")
    schema = table(
        primary_keys,
        org_id=described(INTEGER, "The lender's id in lenders."),
        id=INTEGER,
        title=STRING,
        loan_types=array(STRING),
        recourse_types=array(STRING),
        min_loan_amount=NUMBER,
        max_loan_amount=NUMBER,
        capital_source_type=described(STRING, "Such as balance_sheet."),
        positions=described(array(STRING), "Such as senior."),
        sponsor_states=array(STRING),
        status=STRING,
    )
