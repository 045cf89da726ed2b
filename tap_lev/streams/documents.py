"""Vaults, documents and memos of deals (lev-api.md §2.16, §2.17, §2.19)."""

from __future__ import annotations

from tap_lev.records.schema import (
    BOOLEAN,
    DATE_TIME,
    INTEGER,
    PERSON,
    STRING,
    VAULT,
    array,
    described,
    table,
)
from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals


class Documents(ChildStream):
    """What is filed in each deal's vaults: names, sizes and places, not the files."""

    name = "documents"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/documents"
    supports_fields = True
    page_limit = 200
    primary_keys = ("deal_id", "id")  # a file may belong to several deals
    former_key = ("id",)
    schema = table(
        primary_keys,
        deal_id=INTEGER,
        id=INTEGER,
        file_name=STRING,
        extension=described(STRING, "Without the dot."),
        size_bytes=INTEGER,
        folder_path=described(STRING, "Null at the root."),
        uploaded_at=DATE_TIME,
        vault=VAULT,
    )


class Vaults(ChildStream):
    """Document vaults of each deal: the private one and the Deal Rooms."""

    name = "vaults"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/vaults"
    schema = table(
        ChildStream.primary_keys,
        **VAULT["properties"],
        deal_id=INTEGER,
        is_default=described(BOOLEAN, "Whether this is the main Deal Room."),
        document_count=INTEGER,
    )


class Memos(ChildStream):
    """Memos of each deal, published and draft, without their PDFs."""

    name = "memos"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/memos"
    page_limit = 200
    primary_keys = ("uuid",)
    schema = table(
        primary_keys,
        uuid=STRING,
        deal_id=INTEGER,
        title=STRING,
        memo_type=described(STRING, "Such as credit_memo or equity_raise."),
        status=described(STRING, "draft or published."),
        published_at=DATE_TIME,
        updated_at=DATE_TIME,
        created_by=PERSON,
        pdf_generation_status=STRING,
        pdf_ready=BOOLEAN,
        memo_url=STRING,
        vaults=described(array(VAULT), "Those that the key's user can see."),
    )
