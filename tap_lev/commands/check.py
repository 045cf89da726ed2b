"""``--check``: what the key may read, and what Lev does with what the tap asks for."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from tap_lev import timestamps
from tap_lev.api.cache import ResponseCache
from tap_lev.api.optional_params import OptionalParam
from tap_lev.errors import AuthenticationError, InvalidResponseError, LevAPIError, LevError
from tap_lev.state.tracker import UPDATED_AT
from tap_lev.state.walk import Walk
from tap_lev.streams import STREAMS
from tap_lev.streams.child import ChildStream
from tap_lev.sync.filter_proof import FilterProof, oldest_of
from tap_lev.sync.list_requester import FILTER, ListRequester

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_lev.api.response import LevResponse
    from tap_lev.state.bookmark import Canary
    from tap_lev.streams.base import LevStream
    from tap_lev.streams.lists import ListStream
    from tap_lev.tap import TapLev

OK, FORBIDDEN, FAILING, NOT_TRIED = "ok", "forbidden", "failing", "not tried"
TRIED_PARENTS = 3
"""How many rows of a list are asked for children, until one has some to ask on with."""


@dataclasses.dataclass
class Finding:
    """What was found out about a stream.

    Attributes:
        stream: Its name.
        result: ``ok``, ``forbidden``, ``failing`` or ``not tried``.
        updated_at_filter: ``honoured``, ``not proven``, ``ignored``, ``refused`` or ``not sent``;
            None where the stream has no such filter.
        refused: Optional parameters that Lev does not accept, or leaves without effect.
        unknown_fields: Fields that this release does not know.
        notes: What else there is to say, a sentence each.
        request_id: Lev's id of the request that failed.
    """

    stream: str
    result: str = OK
    updated_at_filter: str | None = None
    refused: list[str] = dataclasses.field(default_factory=list)
    unknown_fields: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    request_id: str | None = None


def check(tap: TapLev) -> list[Finding]:
    """Ask for something of each selected stream, whatever the state says.

    Raises:
        KeyRefusedError: Lev does not accept the key.
        LevError: Lev cannot be reached at all.
    """
    members: defaultdict[ListStream, list[LevStream]] = defaultdict(list)
    for stream in tap.selected:
        members[stream.source].append(stream)
    checks = [_Check(tap, source, streams) for source, streams in members.items()]
    found = {finding.stream: finding for each in checks for finding in each.run()}
    return [found[stream.name] for stream in STREAMS if stream.name in found]


class _Check:
    """Checks the streams that live on one list."""

    def __init__(self, tap: TapLev, source: ListStream, members: Sequence[LevStream]) -> None:
        self._tap = tap
        self._source = source
        self._members = members
        self._findings = {stream: Finding(stream.name) for stream in members}
        self._answers: defaultdict[Any, ResponseCache] = defaultdict(
            lambda: ResponseCache(tap.lock)
        )

    def run(self) -> Iterator[Finding]:
        for stream in self._members:
            # As in a first run without a start_date: no row is left out.
            stream.walking.walk = Walk("", datetime.now(UTC))
        with self._noting(*self._members):
            asking = ListRequester(self._tap, self._source, [*self._members])
            asking.by_row = True
            answer = asking.page({})
            rows = list(self._source.rows(answer))
            for stream in self._members:
                with self._noting(stream):
                    self._look(stream, rows, answer)
        for stream, finding in self._findings.items():
            finding.refused = self._refused(stream)
            finding.unknown_fields = stream.unknown_fields
            if stream.former_key and finding.result == OK:
                finding.notes.append(
                    f"Its key is {', '.join(stream.primary_keys)} now, and was "
                    f"{', '.join(stream.former_key)}: a table of an earlier release has to be "
                    "changed, see 'Keys that changed' in docs/schema-changes.md."
                )
            name = f"{stream.name}: "
            finding.notes += [note.removeprefix(name) for note in stream.report.notes]
            yield finding

    @contextlib.contextmanager
    def _noting(self, *streams: LevStream) -> Iterator[None]:
        """Do something; if it fails, say so of the streams that it was done for."""
        try:
            yield
        except AuthenticationError:
            raise
        except (LevError, RecursionError) as error:
            if not self._tap.client.reached:
                raise
            for stream in streams:
                self._note(self._findings[stream], error)

    @staticmethod
    def _note(finding: Finding, error: Exception) -> None:
        if isinstance(error, RecursionError):
            error = InvalidResponseError("Lev sends something that is nested too deeply.")
        finding.result = FAILING
        if isinstance(error, LevAPIError):
            finding.request_id = error.request_id
            if error.is_forbidden:
                finding.result = FORBIDDEN
        finding.notes.append(str(error))

    def _look(self, stream: LevStream, rows: list[dict[str, Any]], answer: LevResponse) -> None:
        if isinstance(stream, ChildStream):
            self._look_at_children(stream, rows, answer)
            return
        for row in rows:
            stream.inspect(row, answer)
        if stream.replication_method == REPLICATION_INCREMENTAL:
            self._findings[stream].updated_at_filter = self._try_filter(rows)

    def _look_at_children(
        self, child: ChildStream, rows: list[dict[str, Any]], answer: LevResponse
    ) -> None:
        child.prove(rows, lambda row: self._answers[row["id"]])
        if child.embedded or not child.path:
            for row in rows:
                for found, given in child.children(row, answer, self._answers[None], child.report):
                    child.inspect(found, given)
            return
        finding = self._findings[child]
        finding.result = NOT_TRIED
        if not list(child.requests()):
            finding.notes.append("The setting that says what to ask for is empty.")
            return
        for row in rows[:TRIED_PARENTS]:
            looked = child.look(row, answer, self._answers[row["id"]])
            if looked is not None:
                finding.result = OK
                for found in looked[0]:
                    child.inspect(found, looked[1])
                return
        finding.notes.append(f"Not tried: there is no row of {child.parent.name} to ask for.")

    # -- What Lev does with what it is asked

    def _try_filter(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Ask for the rows since the newest one changed: it must come, and no older one.

        The same is asked of the second newest row, so that a filter that compares for equality
        does not pass. Rows with a clearly older ``created_at`` are taken, for a filter on that.
        """
        mode = self._tap.config["updated_at_filter"]
        if mode == "client":
            return "not sent"
        proof = FilterProof()
        proof.look(list(rows), datetime.max.replace(tzinfo=UTC))
        newest = proof.candidates
        if not newest:
            return "not proven"
        verdicts = [
            self._verdict(newest[: number + 1], rows, required=mode == "server")
            for number in range(len(newest))
        ]
        return next((verdict for verdict in verdicts if verdict != "honoured"), "honoured")

    def _verdict(
        self, expected: Sequence[Canary], rows: Sequence[Mapping[str, Any]], *, required: bool
    ) -> str:
        source, bound = self._source, expected[-1].updated_at
        option = OptionalParam(FILTER, timestamps.render(bound), required=required)
        limit = {"limit": self._tap.config["page_size"]}
        given = source.optional.request(
            [option],
            lambda params: self._tap.client.read(
                f"GET {source.path}", source.report, limit | params
            ),
        )
        if source.optional.is_rejected(FILTER):
            return "refused"
        parse = timestamps.parse_row_time
        found = [row for row in source.rows(given) if parse(row.get(UPDATED_AT))]
        oldest = oldest_of(found)
        if oldest is not None and oldest < bound:
            first = [row["id"] for row in rows if parse(row.get(UPDATED_AT))]
            is_same = [row["id"] for row in found] == first
            return "ignored" if is_same else "not proven"
        came = {(row["id"], parse(row[UPDATED_AT])) for row in found}
        return "honoured" if came.issuperset(expected) else "not proven"

    def _refused(self, stream: LevStream) -> list[str]:
        refused = [name for name in stream.optional.rejected if name != FILTER]
        block = f"include={stream.embed}"
        if stream.embed and self._source.optional.is_rejected(block):
            refused.append(block)
        return refused
