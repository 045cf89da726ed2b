"""Parse the envelope of a response, and the rows in it (lev-api.md §1.4)."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from tap_lev import timestamps
from tap_lev.api import error_response, json_values, surrogates
from tap_lev.errors import ELSEWHERE, ForeignResponseError, InvalidResponseError
from tap_lev.text import name_request, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class LevResponse:
    """A successful response (lev-api.md §1.4).

    Attributes:
        endpoint: Method and path of the request.
        data: The envelope's ``data``.
        pagination: The envelope's ``pagination``, or None.
        request_id: Lev's id of the request, or None.
        server_time: The server's clock: envelope, else ``Date`` header, else this machine's.
        is_typed: Whether ``data`` holds the structs of the caller's decoder.
        envelope_time: The envelope's ``timestamp``, or None if it is absent or no date-time.
        envelope_has_zone: Whether that names its time zone; without one it is read as UTC.
        date_header: The ``Date`` header, or None if it is absent or no date.
        halves: Number of halves of characters that came, each of which is U+FFFD now.
        is_odd: Whether the rows may hold NUL characters, NaN or infinities, which no target takes.
    """

    endpoint: str
    data: Any
    pagination: dict[str, Any] | None
    request_id: str | None
    server_time: datetime
    is_typed: bool = False
    envelope_time: datetime | None = None
    envelope_has_zone: bool = False
    date_header: datetime | None = None
    halves: int = 0
    is_odd: bool = False


class Envelope(msgspec.Struct, kw_only=True):
    """The envelope around the data of a response."""

    data: Any
    request_id: str | None = None
    timestamp: str | None = None
    pagination: dict[str, Any] | None = None
    # A success of Lev's has none of these. A gateway may report a failure here, with status 200.
    error: Any = None
    errors: Any = None
    success: Any = None
    ok: Any = None


def parse_response(
    body: bytes,
    headers: Mapping[str, str],
    endpoint: str,
    decoder: surrogates.Decoder[Envelope] | None = None,
) -> LevResponse:
    """Parse a response with status 200.

    Args:
        body: The response's body.
        headers: The response's headers.
        endpoint: Method and path of the request.
        decoder: Decodes bodies of the usual form into structs; None for dicts.

    Raises:
        LevAPIError: The body says that it is an error, whatever its status is.
        ForeignResponseError: The body is not the JSON of Lev's API.
        InvalidResponseError: It is, with something wrong in it.
    """
    # 1. The usual form: one pass, straight into structs. Whatever does not fit them exactly is
    #    decoded again below, so the structs need not allow for it.
    usual, halves = _decoded(body, decoder) if decoder else (None, 0)
    if isinstance(usual, Envelope) and not _fails(
        usual.error, usual.errors, usual.success, usual.ok
    ):
        return LevResponse(
            endpoint=endpoint,
            data=usual.data,
            pagination=usual.pagination,
            request_id=quoted(usual.request_id) if usual.request_id else None,
            is_typed=True,
            halves=halves,
            **_clocks(usual.timestamp, headers),
        )
    # 2. Any other form that may be Lev's.
    envelope, halves, is_odd = _read_anything(body)
    fields: dict[str, Any] = envelope if isinstance(envelope, dict) else {}
    fails = _fails(*map(fields.get, ("error", "errors", "success", "ok")))
    # 3. A failure with status 200. Taken for a success, it could be an empty list.
    if fails and ("data" in fields or error_response.is_error(fields)):
        raise error_response.error_in(HTTPStatus.OK, fields, headers, endpoint=endpoint)
    # 4. No envelope: a page of a proxy or a firewall.
    if "data" not in fields:
        # What begins like Lev's JSON may hold rows, and they have no place in a log.
        begins = not body.lstrip().startswith((b"{", b"["))
        description = error_response.described(body, headers, begins=begins)
        raise ForeignResponseError(
            f"{ELSEWHERE} {endpoint} with 200: {description}, which is not the JSON of "
            f"Lev's API{_fault(body)}."
        )
    pagination, request_id = fields.get("pagination"), fields.get("request_id")
    if not isinstance(pagination, dict | None):
        # Taken for none, it would end a list after its first page.
        raise InvalidResponseError(f"Lev answered {endpoint} with a pagination that is no object.")
    return LevResponse(
        endpoint=endpoint,
        data=fields["data"],
        pagination=pagination,
        request_id=quoted(request_id) if isinstance(request_id, str) else None,
        halves=halves,
        is_odd=is_odd,
        **_clocks(fields.get("timestamp"), headers),
    )


_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def _decoded(body: bytes, decoder: surrogates.Decoder[Any]) -> tuple[Any, int]:
    try:
        return surrogates.decoded(decoder, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, 0


def _read_anything(body: bytes) -> tuple[Any, int, bool]:
    """Decode a body of any form.

    Returns:
        The value, or None if it is no JSON at all; the number of halves of characters; and whether
        the value may be odd, as ``LevResponse.is_odd`` says.
    """
    value, halves = _decoded(body, _ANYTHING)
    if value is not None:
        return value, halves, json_values.may_hold_nul(body)
    # A slower decoder reads NaN, infinities and numbers too large for a float. One such row need
    # not cost its page.
    whole, halves = surrogates.mended(body)
    try:
        return json_values.decoded(whole), halves, True
    except (ValueError, RecursionError):
        return None, 0, False


def _fails(error: object, errors: object, success: object, ok: object) -> bool:
    """Return whether an envelope reports a failure. ``"error": false`` reports none."""
    return error not in (None, False, "") or bool(errors) or success is False or ok is False


def _fault(body: bytes) -> str:
    """Say what JSON does not allow in a body that begins like a response of Lev's."""
    if not body.lstrip().startswith(b"{"):
        return ""
    try:
        surrogates.decoded(_ANYTHING, body)
    except RecursionError:
        return ": it is nested too deeply"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f": {error}"
    return ""


class _Clocks(TypedDict):
    server_time: datetime
    envelope_time: datetime | None
    envelope_has_zone: bool
    date_header: datetime | None


def _clocks(timestamp: object, headers: Mapping[str, str]) -> _Clocks:
    """Parse the two times in a response. The client compares them with earlier ones."""
    envelope_time = timestamps.parse(timestamp)
    date = timestamps.http_date(headers.get("Date"))
    return {
        "server_time": envelope_time or date or datetime.now(UTC),
        "envelope_time": envelope_time,
        "envelope_has_zone": envelope_time is not None and timestamps.has_zone(str(timestamp)),
        "date_header": date,
    }


def extract_rows(response: LevResponse, *, single_row: bool = False) -> list[dict[str, Any]]:
    """Return the rows in ``data``.

    Args:
        response: The response.
        single_row: Whether ``data`` is one row and not a list.

    Raises:
        InvalidResponseError: There is no list of rows, or no row.
    """
    # Some lists are also described as an object (lev-api.md §3 row 23):
    # 1. It holds one list, which has the rows.
    # 2. It holds no list, or several: its values are the rows.
    data = response.data
    if single_row:
        data = [data]
    elif isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        data = lists[0] if len(lists) == 1 else list(data.values())
    # Nothing is an empty list only where Lev counts no rows: elsewhere it is a fault, and taken for
    # the end of a list it would hide its rows.
    pagination = response.pagination or {}
    total = pagination.get("total")
    if data is None and total == 0:
        return []
    if data == [] and isinstance(response.data, dict) and total and not pagination.get("has_more"):
        data = None  # an empty object, though Lev counts rows and has no more pages
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise InvalidResponseError(
            f"Lev answered {response.endpoint} without "
            f"{'a row' if single_row else 'a list of rows'} "
            f"({name_request(response.request_id)})."
        )
    return data
