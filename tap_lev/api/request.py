"""Describe a request to Lev."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PathParams = dict[str, Any]
"""The values of a route template's placeholders, by name."""


@dataclasses.dataclass(frozen=True, slots=True)
class LevRequest:
    """A request to one of Lev's endpoints.

    Attributes:
        endpoint: Method and route template, one of ``endpoints.READS``.
        params: Query parameters.
        path_params: The values of the route template's placeholders.
        json: The body of a read by POST, or None for a GET.
        extra_columns: Columns that the rows of the response take from the request.
    """

    # The template and its values are apart: the endpoint is the key of the allow-list, of the rate
    # limit (lev-api.md §1.10) and of the workload, whichever parent a request is for.

    endpoint: str
    params: Mapping[str, str | int] = dataclasses.field(default_factory=dict)
    path_params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    extra_columns: Mapping[str, Any] = dataclasses.field(default_factory=dict)
