"""Request a single row of a list by its id."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from tap_lev.api.request import LevRequest
from tap_lev.errors import InvalidResponseError, LevError, NoRowError
from tap_lev.text import name_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_lev.api.client import BoundClient, RetryPolicy
    from tap_lev.api.response import LevResponse
    from tap_lev.streams.lists import ListStream


def request_row(
    client: BoundClient,
    list_stream: ListStream,
    key: int,
    params: Mapping[str, str],
    policy: RetryPolicy | None = None,
) -> LevResponse:
    """Request a single row of a list by its id.

    Args:
        client: Sends the request.
        list_stream: The list.
        key: The row's id.
        params: Query parameters.
        policy: How long to retry, or None for the settings.

    Returns:
        The response, with ``data`` in the form of a list that has only this row.

    Raises:
        LevError: Lev has no read of single rows of this list, or the request fails.
    """
    path = list_stream.detail_path
    if path is None:
        raise LevError(f"Lev has no read of single rows of {list_stream.name}.")
    (name,) = re.findall(r"\{(\w+)\}", path)
    request = LevRequest(f"GET {path}", params, path_params={name: key})
    response = client.send(request, policy=policy)
    if not isinstance(response.data, dict):
        # Nothing at all is a separate error: where the list has the row, only the embed in the
        # request is missing.
        kind = InvalidResponseError if response.data else NoRowError
        raise kind(
            f"Lev answered {response.endpoint} without a row ({name_request(response.request_id)})."
        )
    return dataclasses.replace(response, data=[response.data])
