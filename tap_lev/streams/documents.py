"""Streams of the vaults, documents and memos of deals (lev-api.md §2.16, §2.17, §2.19)."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_lev.records.schema import object_type
from tap_lev.streams.account import PERSON
from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals

VAULT_FIELDS = (
    th.Property("type", th.StringType, description="resources (private) or shared (a Deal Room)."),
    th.Property("title", th.StringType),
)
VAULT = object_type(th.Property("id", th.IntegerType), *VAULT_FIELDS)


class Documents(ChildStream):
    """What is filed in each deal's vaults: names, sizes and places, not the files."""

    name = "documents"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/documents"
    supports_fields = True
    page_limit = 200
    # A file may belong to several deals, so its id alone is no key.
    primary_keys = ("deal_id", "id")
    former_key = ("id",)
    schema = th.PropertiesList(
        th.Property("deal_id", th.IntegerType, required=True),
        th.Property("id", th.IntegerType, required=True),
        th.Property("file_name", th.StringType),
        th.Property("extension", th.StringType, description="Without the dot."),
        th.Property("size_bytes", th.IntegerType),
        th.Property("folder_path", th.StringType, description="Null at the root."),
        th.Property("uploaded_at", th.DateTimeType),
        th.Property("vault", VAULT),
    ).to_dict()


class Vaults(ChildStream):
    """Document vaults of each deal: the private one and the Deal Rooms."""

    name = "vaults"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/vaults"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        *VAULT_FIELDS,
        th.Property("deal_id", th.IntegerType),
        th.Property(
            "is_default", th.BooleanType, description="Whether this is the main Deal Room."
        ),
        th.Property("document_count", th.IntegerType),
    ).to_dict()


class Memos(ChildStream):
    """Memos of each deal, published and draft, without their PDFs."""

    name = "memos"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/memos"
    page_limit = 200
    primary_keys = ("uuid",)
    schema = th.PropertiesList(
        th.Property("uuid", th.StringType, required=True),
        th.Property("deal_id", th.IntegerType),
        th.Property("title", th.StringType),
        th.Property("memo_type", th.StringType, description="Such as credit_memo or equity_raise."),
        th.Property("status", th.StringType, description="draft or published."),
        th.Property("published_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
        th.Property("created_by", PERSON),
        th.Property("pdf_generation_status", th.StringType),
        th.Property("pdf_ready", th.BooleanType),
        th.Property("memo_url", th.StringType),
        th.Property(
            "vaults", th.ArrayType(VAULT), description="Those that the key's user can see."
        ),
    ).to_dict()
