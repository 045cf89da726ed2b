"""What Lev answers with success: the envelope, and the rows in it (lev-api.md §1.4)."""

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
    """A successful answer (lev-api.md §1.4).

    Attributes:
        endpoint: Method and path of the request.
        data: The envelope's ``data``.
        pagination: The envelope's ``pagination``, None where there is none.
        request_id: Lev's id of the request, None where the answer has none.
        server_time: The server's clock: envelope, else ``Date`` header, else this machine's.
        shaped: Whether ``data`` is of the form that the reader of the answer expected.
        envelope_time: The envelope's ``timestamp``, None where there is none to read.
        envelope_has_zone: Whether that names its time zone; without one it is read as UTC.
        date_header: The ``Date`` header, None where there is none to read.
        halves: How many halves of characters came, each of which is U+FFFD now.
        is_odd: Whether the rows may hold NUL characters, NaN or infinities, which no target takes.
    """

    endpoint: str
    data: Any
    pagination: dict[str, Any] | None
    request_id: str | None
    server_time: datetime
    shaped: bool = False
    envelope_time: datetime | None = None
    envelope_has_zone: bool = False
    date_header: datetime | None = None
    halves: int = 0
    is_odd: bool = False


class Envelope(msgspec.Struct, kw_only=True):
    """What stands around the data of an answer."""

    data: Any
    request_id: str | None = None
    timestamp: str | None = None
    pagination: dict[str, Any] | None = None
    # Lev's success has none of these; an answer that has one may be none.
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
    """Read an answer.

    Args:
        body: The answer's body.
        headers: The answer's headers.
        endpoint: Method and path of the request.
        decoder: Reads bodies of the usual form. ``data`` is what it makes of it, where it can.

    Raises:
        LevAPIError: It says that it is an error, whatever its status is.
        ForeignAnswerError: It is not the JSON of Lev's API.
        BrokenAnswerError: It is, with something wrong in it.
    """
    usual, halves = _decoded(body, decoder) if decoder else (None, 0)
    if isinstance(usual, Envelope) and not _fails(
        usual.error, usual.errors, usual.success, usual.ok
    ):
        return LevResponse(
            endpoint=endpoint,
            data=usual.data,
            pagination=usual.pagination,
            request_id=quoted(usual.request_id) if usual.request_id else None,
            shaped=True,
            halves=halves,
            **_clocks(usual.timestamp, headers),
        )
    envelope, halves, is_odd = _read_anything(body)
    fields: dict[str, Any] = envelope if isinstance(envelope, dict) else {}
    fails = _fails(*map(fields.get, ("error", "errors", "success", "ok")))
    if fails and ("data" in fields or error_response.is_error(fields)):
        raise error_response.error_in(HTTPStatus.OK, fields, headers, endpoint=endpoint)
    if "data" not in fields:
        # What begins like Lev's JSON may hold rows, and they have no place in a log.
        begins = not body.lstrip().startswith((b"{", b"["))
        told = error_response.described(body, headers, begins=begins)
        raise ForeignResponseError(
            f"{ELSEWHERE} {endpoint} with 200: {told}, which is not the JSON of Lev's "
            f"API{_fault(body)}."
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
    """Decode a body whatever its form, None if it cannot be.

    Returns:
        The value, how many halves of characters there were, and whether it is an odd one.
    """
    value, halves = _decoded(body, _ANYTHING)
    if value is not None:
        return value, halves, json_values.may_hold_nul(body)
    whole, halves = surrogates.mended(body)
    try:
        return json_values.decoded(whole), halves, True
    except (ValueError, RecursionError):
        return None, 0, False


def _fails(error: object, errors: object, success: object, ok: object) -> bool:
    """Return whether an envelope reports a failure. ``"error": false`` reports none."""
    return error not in (None, False, "") or bool(errors) or success is False or ok is False


def _fault(body: bytes) -> str:
    """Say what JSON does not allow, as NaN, where a body begins like an answer."""
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
    """Read the two times in a response."""
    told, date = timestamps.parse(timestamp), timestamps.http_date(headers.get("Date"))
    return {
        "server_time": told or date or datetime.now(UTC),
        "envelope_time": told,
        "envelope_has_zone": told is not None and timestamps.has_zone(str(timestamp)),
        "date_header": date,
    }


def extract_rows(answer: LevResponse, *, single_row: bool = False) -> list[dict[str, Any]]:
    """Find the rows in ``data``.

    A list as a rule; some endpoints are also described as an object that holds a list, or whose
    values are the rows (lev-api.md §3 row 23). Null is an empty list only where Lev counts none.

    Raises:
        BrokenAnswerError: There is no list of rows, or no row.
    """
    data = answer.data
    if single_row:
        data = [data]
    elif isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        data = lists[0] if len(lists) == 1 else list(data.values())
    pagination = answer.pagination or {}
    total = pagination.get("total")
    if data is None and total == 0:
        return []
    if data == [] and isinstance(answer.data, dict) and total and not pagination.get("has_more"):
        data = None  # an empty object is an empty list only where Lev counts none, or has more
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise InvalidResponseError(
            f"Lev answered {answer.endpoint} without {'a row' if single_row else 'a list of rows'} "
            f"({name_request(answer.request_id)})."
        )
    return data
