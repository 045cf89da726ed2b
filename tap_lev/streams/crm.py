"""Contacts and companies (lev-api.md §2.8, §2.9)."""

from __future__ import annotations

from tap_lev.records.schema import (
    BOOLEAN,
    DATE_TIME,
    INTEGER,
    STRING,
    array,
    described,
    record,
    table,
)
from tap_lev.streams.lists import IncrementalStream

PHONE = record(
    id=STRING,
    type=described(STRING, "mobile, office or fax."),
    raw=STRING,
    country=described(STRING, "Two letters."),
    e164=STRING,
    extension=STRING,
)


class Contacts(IncrementalStream):
    """Contacts that the account is connected to."""

    name = "contacts"
    path = "/contacts"
    detail_path = "/contacts/{contact_id}"
    supports_fields = True
    schema = table(
        IncrementalStream.primary_keys,
        id=INTEGER,
        contact_type=described(STRING, "The first of contact_types."),
        contact_types=described(array(STRING), "Such as lender_contact or sponsor."),
        first_name=STRING,
        last_name=STRING,
        email=STRING,
        title=STRING,
        department=STRING,
        address=STRING,
        address2=STRING,
        city=STRING,
        state=STRING,
        zip=STRING,
        linkedin_url=STRING,
        photo_url=STRING,
        phones=array(PHONE),
        is_primary=described(BOOLEAN, "Whether this is the main contact of its company."),
        owner_account_id=INTEGER,
        is_connected=BOOLEAN,
        created_at=DATE_TIME,
        updated_at=DATE_TIME,
    )


class Companies(IncrementalStream):
    """Lender and sponsor companies of the account."""

    name = "companies"
    path = "/companies"
    detail_path = "/companies/{company_id}"
    supports_fields = True
    schema = table(
        IncrementalStream.primary_keys,
        id=INTEGER,
        name=STRING,
        website=STRING,
        address=STRING,
        city=STRING,
        state=STRING,
        zip=STRING,
        linkedin_url=STRING,
        org_id=described(INTEGER, "The organization's id in the lender directory."),
        owner_account_id=INTEGER,
        is_connected=BOOLEAN,
        created_at=DATE_TIME,
        updated_at=DATE_TIME,
    )
