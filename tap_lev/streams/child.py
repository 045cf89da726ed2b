"""Declare rows that belong to a row of another stream: embedded, or requested."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_lev.api.request import LevRequest
from tap_lev.streams.base import LevStream

if TYPE_CHECKING:
    from collections.abc import Iterable


class ChildStream(LevStream):
    """Rows that belong to a parent's row. ``sync.child_reader`` reads them."""

    parent: ClassVar[type[LevStream]]
    """The stream whose rows have the rows. It may be a child itself."""
    parent_key: ClassVar[str]
    """The column with the parent's id, and the placeholder in the path."""
    path: ClassVar[str | None] = None
    page_limit: ClassVar[int | None] = None
    """Rows to request with each page, where the endpoint accepts a limit."""
    page_numbered: ClassVar[bool] = False
    """Whether pages have numbers."""
    missing_is_empty: ClassVar[bool] = False
    """Whether 404, null and an empty object mean that there is no row."""
    verify_embed: ClassVar[bool] = False
    """Whether the embed may be less than the endpoint returns."""
    embed_limit: ClassVar[int | None] = None
    """The most rows that the embed holds, where Lev cuts it off."""
    deduplicate: ClassVar[bool] = False
    """Whether the same row comes with many parents."""
    selected_by_default = False

    @classmethod
    @override
    def list_type(cls) -> type[LevStream]:
        return cls.parent.list_type()

    def requests(self) -> Iterable[LevRequest]:
        """Return the requests for one parent, without the parent's id."""
        return [LevRequest(f"GET {self.path}")] if self.path else []

    @functools.cached_property
    def endpoint(self) -> str | None:
        """Method and route template of the requests for each parent, or None."""
        return next((request.endpoint for request in self.requests()), None)

    @property
    @override
    def query_identity(self) -> list[Any]:
        # With other queries or metrics in the settings the rest of a walk would bring other rows.
        requests = [[r.endpoint, r.json, r.extra_columns] for r in self.requests()]
        return [*super().query_identity, self.config["per_parent_scope"], requests]

    @property
    @override
    def follows_changes(self) -> bool:
        # A row that many parents share may belong to unchanged parents only: the rows are complete
        # only if all parents are read.
        return self.config["per_parent_scope"] == "changed" and not self.deduplicate

    @property
    @override
    def row_fields(self) -> list[str]:
        # The parent's id comes from the request: Lev need not have it as a field.
        return [name for name in super().row_fields if name != self.parent_key]

    @property
    @override
    def wanted_embeds(self) -> list[str]:
        return [] if self.embed is None else [self.embed]
