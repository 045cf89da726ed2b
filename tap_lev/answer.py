"""What Lev answers with success: the envelope, and the rows in it (lev-api.md §1.4)."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tap_lev import timestamps
from tap_lev.errors import BrokenAnswerError, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer (lev-api.md §1.4).

    Attributes:
        endpoint: Method and path of the request.
        data: The envelope's ``data``.
        pagination: The envelope's ``pagination``, None where there is none.
        request_id: Lev's id of the request, None where the answer has none.
        server_time: The server's clock: envelope, else ``Date`` header, else this machine's.
        shaped: Whether ``data`` is of the form that the reader of the answer expected.
    """

    endpoint: str
    data: Any
    pagination: dict[str, Any] | None
    request_id: str | None
    server_time: datetime
    shaped: bool = False


class Envelope(msgspec.Struct, kw_only=True):
    """What stands around the data of an answer."""

    data: Any
    request_id: str | None = None
    timestamp: str | None = None
    pagination: dict[str, Any] | None = None


def read_answer(
    body: bytes,
    headers: Mapping[str, str],
    endpoint: str,
    decoder: msgspec.json.Decoder[Envelope] | None = None,
) -> Answer:
    """Read an answer.

    Args:
        body: The answer's body.
        headers: The answer's headers.
        endpoint: Method and path of the request.
        decoder: Reads bodies of the usual form. ``data`` is what it makes of it, where it can.

    Raises:
        BrokenAnswerError: It is not the JSON of Lev's API.
    """
    envelope = _decoded(body, decoder) if decoder else None
    if isinstance(envelope, Envelope):
        return Answer(
            endpoint=endpoint,
            data=envelope.data,
            pagination=envelope.pagination,
            request_id=quoted(envelope.request_id) if envelope.request_id else None,
            server_time=_server_time(envelope.timestamp, headers),
            shaped=True,
        )
    envelope = _decoded(body, _ANYTHING)
    if not isinstance(envelope, dict) or "data" not in envelope:
        kind = quoted(headers.get("Content-Type", "an unnamed type"))
        raise BrokenAnswerError(
            f"Lev answered {endpoint} with {len(body)} bytes of {kind} that are not the JSON of "
            f"its API{_fault(body)}."
        )
    pagination, request_id = envelope.get("pagination"), envelope.get("request_id")
    if not isinstance(pagination, dict | None):
        # Taken for none, it would end a list after its first page.
        raise BrokenAnswerError(f"Lev answered {endpoint} with a pagination that is no object.")
    return Answer(
        endpoint=endpoint,
        data=envelope["data"],
        pagination=pagination,
        request_id=quoted(request_id) if isinstance(request_id, str) else None,
        server_time=_server_time(envelope.get("timestamp"), headers),
    )


_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def _decoded(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:  # noqa: ANN401 - JSON
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _fault(body: bytes) -> str:
    """Say what JSON does not allow, as NaN, where a body begins like an answer."""
    if not body.lstrip().startswith(b"{"):
        return ""
    try:
        _ANYTHING.decode(body)
    except RecursionError:
        return ": it is nested too deeply"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f": {error}"
    return ""


def _server_time(timestamp: object, headers: Mapping[str, str]) -> datetime:
    return timestamps.parse(timestamp) or _http_date(headers.get("Date")) or datetime.now(UTC)


def _http_date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def items(answer: Answer, *, single: bool = False) -> list[dict[str, Any]]:
    """Find the rows in ``data``.

    A list as a rule; some endpoints are also described as an object that holds a list, or whose
    values are the rows (lev-api.md §3 row 23). Null is an empty list only where Lev counts none.

    Raises:
        BrokenAnswerError: There is no list of rows, or no row.
    """
    data = answer.data
    if single:
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
        raise BrokenAnswerError(
            f"Lev answered {answer.endpoint} without {'a row' if single else 'a list of rows'} "
            f"(request_id {answer.request_id or 'not given'})."
        )
    return data
