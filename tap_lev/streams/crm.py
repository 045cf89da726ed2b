"""Streams of contacts and companies (lev-api.md §2.8, §2.9)."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_lev.records.schema import object_type
from tap_lev.streams.lists import IncrementalStream

PHONE = object_type(
    th.Property("id", th.StringType),
    th.Property("type", th.StringType, description="mobile, office or fax."),
    th.Property("raw", th.StringType),
    th.Property("country", th.StringType, description="Two letters."),
    th.Property("e164", th.StringType),
    th.Property("extension", th.StringType),
)


class Contacts(IncrementalStream):
    """Contacts that the account is connected to."""

    name = "contacts"
    path = "/contacts"
    detail_path = "/contacts/{contact_id}"
    supports_fields = True
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("contact_type", th.StringType, description="The first of contact_types."),
        th.Property(
            "contact_types",
            th.ArrayType(th.StringType(nullable=True)),
            description="Such as lender_contact or sponsor.",
        ),
        th.Property("first_name", th.StringType),
        th.Property("last_name", th.StringType),
        th.Property("email", th.StringType),
        th.Property("title", th.StringType),
        th.Property("department", th.StringType),
        th.Property("address", th.StringType),
        th.Property("address2", th.StringType),
        th.Property("city", th.StringType),
        th.Property("state", th.StringType),
        th.Property("zip", th.StringType),
        th.Property("linkedin_url", th.StringType),
        th.Property("photo_url", th.StringType),
        th.Property("phones", th.ArrayType(PHONE)),
        th.Property(
            "is_primary",
            th.BooleanType,
            description="Whether this is the main contact of its company.",
        ),
        th.Property("owner_account_id", th.IntegerType),
        th.Property("is_connected", th.BooleanType),
        th.Property("created_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()


class Companies(IncrementalStream):
    """Lender and sponsor companies of the account."""

    name = "companies"
    path = "/companies"
    detail_path = "/companies/{company_id}"
    supports_fields = True
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("name", th.StringType),
        th.Property("website", th.StringType),
        th.Property("address", th.StringType),
        th.Property("city", th.StringType),
        th.Property("state", th.StringType),
        th.Property("zip", th.StringType),
        th.Property("linkedin_url", th.StringType),
        th.Property(
            "org_id", th.IntegerType, description="The organization's id in the lender directory."
        ),
        th.Property("owner_account_id", th.IntegerType),
        th.Property("is_connected", th.BooleanType),
        th.Property("created_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()
