"""Streams of the lender directory, which all accounts share (lev-api.md §2.12, §2.13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from typing_extensions import override

from tap_lev.streams.child import ChildStream
from tap_lev.streams.lists import IncrementalStream
from tap_lev.streams.rows import without

if TYPE_CHECKING:
    from tap_lev.api.response import LevResponse

DETAIL_FIELDS = (
    th.Property("linkedin_url", th.StringType),
    th.Property("square_logo_url", th.StringType),
    th.Property("aliases", th.ArrayType(th.StringType(nullable=True))),
    th.Property("domains", th.ArrayType(th.StringType(nullable=True))),
)
"""Columns that only the read of a single lender has."""

DETAIL_NAMES = frozenset({*(field.name for field in DETAIL_FIELDS), "programs"})
"""All that only the read of a single lender has."""


class Lenders(IncrementalStream):
    """Lender organizations of Lev's directory."""

    name = "lenders"
    path = "/lenders/directory"
    detail_path = "/lenders/{org_id}"
    supports_fields = True
    selected_by_default = False
    schema = th.PropertiesList(
        th.Property(
            "id", th.IntegerType, required=True, description="The org_id of other streams."
        ),
        th.Property("name", th.StringType),
        th.Property("website", th.StringType),
        th.Property("logo_url", th.StringType),
        th.Property("address", th.StringType),
        th.Property("city", th.StringType),
        th.Property("state", th.StringType),
        th.Property("zip", th.StringType),
        th.Property("about", th.StringType),
        th.Property(
            "lender_type",
            th.ArrayType(th.StringType(nullable=True)),
            description="Labels such as bank or CMBS.",
        ),
        th.Property("category", th.StringType),
        th.Property("created_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Drop what belongs to lender_details and lender_programs."""
        # Only the read of a single lender has it, as when a failed row is read again.
        return without(row, DETAIL_NAMES)


class LenderDetails(ChildStream):
    """What Lev tells of each lender beyond its row in lenders."""

    name = "lender_details"
    parent = Lenders
    parent_key = "org_id"
    path = "/lenders/{org_id}"
    single_row = True
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True, description="The id in lenders."),
        *DETAIL_FIELDS,
    ).to_dict()

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Drop what belongs to lenders and lender_programs."""
        return without(row, (Lenders.schema["properties"].keys() - {"id"}) | {"programs"})


class LenderPrograms(ChildStream):
    """Loan programs of each lender."""

    name = "lender_programs"
    parent = Lenders
    parent_key = "org_id"
    path = "/lenders/{org_id}/programs"
    primary_keys = ("org_id", "id")
    schema = th.PropertiesList(
        th.Property(
            "org_id", th.IntegerType, required=True, description="The lender's id in lenders."
        ),
        th.Property("id", th.IntegerType, required=True),
        th.Property("title", th.StringType),
        th.Property("loan_types", th.ArrayType(th.StringType(nullable=True))),
        th.Property("recourse_types", th.ArrayType(th.StringType(nullable=True))),
        th.Property("min_loan_amount", th.DecimalType),
        th.Property("max_loan_amount", th.DecimalType),
        th.Property("capital_source_type", th.StringType, description="Such as balance_sheet."),
        th.Property(
            "positions", th.ArrayType(th.StringType(nullable=True)), description="Such as senior."
        ),
        th.Property("sponsor_states", th.ArrayType(th.StringType(nullable=True))),
        th.Property("status", th.StringType),
    ).to_dict()
