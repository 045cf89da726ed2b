"""Handlers of the endpoints with signed links, for which a sync has no use."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import orjson

from lev_sandbox.errors import Refusal
from lev_sandbox.response import Content

if TYPE_CHECKING:
    from lev_sandbox.call import Call
    from lev_sandbox.data.world import Row


def signed_link(path: str) -> str:
    """Return a link that looks signed."""
    return f"https://files.example.com/{path}?expires=300&signature={secrets.token_hex(16)}"


def download(call: Call) -> Content:
    """Return a link that looks signed and leads nowhere."""
    document = call.store.table("documents").row(call.row_number())
    link = {
        "file_name": document["file_name"],
        "download_url": signed_link(f"documents/{document['id']}"),
        "expires_in": 300,
    }
    return Content(data=orjson.dumps(link), rows=1)


def memo(call: Call) -> Content:
    """Return a memo with its signed links."""
    quality = call.request.params.get("quality", "original")
    qualities = ("original", "high", "medium", "low")
    if quality not in qualities:
        raise Refusal(400, f"Invalid quality: {quality}")
    row: Row = orjson.loads(call.view.rows("memos", (call.row_number(),))[0])
    ready = row.get("pdf_ready")
    row["pdf_url"] = signed_link(f"memos/{row.get('uuid')}/{quality}") if ready else None
    row["pdf_versions"] = [
        {
            "quality": name,
            "status": "completed" if ready else "pending",
            "pdf_url": signed_link(f"memos/{row.get('uuid')}/{name}") if ready else None,
        }
        for name in qualities
    ]
    return Content(data=orjson.dumps(row), rows=1)
