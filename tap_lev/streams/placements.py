"""Placements (lev-api.md §2.6)."""

from __future__ import annotations

from tap_lev.records.schema import DATE_TIME, INTEGER, NUMBER, STRING, described, table
from tap_lev.streams.lists import IncrementalStream


class Placements(IncrementalStream):
    """Placements: a deal offered to a lender."""

    name = "placements"
    path = "/placements"
    detail_path = "/placements/{placement_id}"
    schema = table(
        IncrementalStream.primary_keys,
        id=INTEGER,
        deal_id=INTEGER,
        private_company_id=described(INTEGER, "The lender's id in companies; null when masked."),
        lender_name=described(STRING, "A label such as Lender A when masked."),
        contact_id=described(INTEGER, "Null when masked."),
        contact_name=described(STRING, "Null when masked, or when the contact is not unlocked."),
        status=described(STRING, "Such as new, lender_reviewing or closed."),
        lender_status=described(STRING, "Such as origination, quotation or diligence."),
        description=STRING,
        lev_score=described(NUMBER, "The score of Lev's model."),
        score=described(NUMBER, "The score given by hand."),
        outreach_date=described(STRING, "A date, or a date-time."),
        outreach_source=STRING,
        last_communication_date=DATE_TIME,
        lender_first_response_date=DATE_TIME,
        visibility=described(STRING, "hidden, masked or shared."),
        created_at=DATE_TIME,
        updated_at=DATE_TIME,
    )
