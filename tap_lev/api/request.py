"""What a request for one parent is made of."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


PathParams = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class LevRequest:
    """A read for one parent.

    Attributes:
        endpoint: Method and route template.
        body: The JSON body of a read by POST.
        columns: What the rows of the answer take from the call.
    """

    endpoint: str
    body: Mapping[str, Any] | None = None
    columns: Mapping[str, Any] = dataclasses.field(default_factory=dict)
