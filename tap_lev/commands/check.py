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
from tap_lev.api.request import LevRequest
from tap_lev.errors import AuthenticationError, InvalidResponseError, LevAPIError, LevError
from tap_lev.state.tracker import UPDATED_AT
from tap_lev.streams import STREAMS
from tap_lev.sync.active_streams import ActiveStreams
from tap_lev.sync.filter_proof import FilterProof, oldest_of
from tap_lev.sync.list_filter import FILTER
from tap_lev.sync.list_requester import ListRequester

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_lev.api.response import LevResponse
    from tap_lev.state.bookmark import Canary
    from tap_lev.streams.base import LevStream
    from tap_lev.sync.active_streams import ActiveStream
    from tap_lev.sync.child_reader import ChildReader
    from tap_lev.sync.run import Run

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


def check(run: Run) -> list[Finding]:
    """Read something of each selected stream, whatever the state says.

    Raises:
        AuthenticationError: Lev does not accept the key.
        LevError: Lev cannot be reached at all.
    """
    groups: defaultdict[str, list[LevStream]] = defaultdict(list)
    for stream in run.selected:
        groups[stream.list_type().name].append(stream)
    checks = [_ListCheck(run, streams) for streams in groups.values()]
    findings = {finding.stream: finding for each in checks for finding in each.run()}
    return [findings[stream.name] for stream in STREAMS if stream.name in findings]


class _ListCheck:
    """Checks the streams of one list."""

    def __init__(self, run: Run, streams: Sequence[LevStream]) -> None:
        self._run = run
        self._active = ActiveStreams(run, streams)
        self._list_stream = self._active.list_stream
        self._findings = {active: Finding(active.name) for active in self._active.streams}
        self._caches: defaultdict[Any, ResponseCache] = defaultdict(lambda: ResponseCache(run.lock))

    def run(self) -> Iterator[Finding]:
        for active in self._active.streams:
            # As in a first run without a start_date: no row is left out.
            active.tracker.begin_whole(datetime.now(UTC))
        with self._noting(*self._active.streams):
            requester = ListRequester(self._run, self._active, by_row=True)
            page = requester.fetch_page({})
            for active in self._active.streams:
                with self._noting(active):
                    self._inspect(active, page.rows, page.response)
        for active, finding in self._findings.items():
            stream = active.stream
            finding.refused = self._refused(stream)
            finding.unknown_fields = stream.unknown_fields
            if stream.former_key and finding.result == OK:
                finding.notes.append(
                    f"Its key is {', '.join(stream.primary_keys)} now, and was "
                    f"{', '.join(stream.former_key)}: a table of an earlier release has to be "
                    "changed, see 'Keys that changed' in docs/schema-changes.md."
                )
            name = f"{stream.name}: "
            finding.notes += [note.removeprefix(name) for note in active.report.notes]
            yield finding

    @contextlib.contextmanager
    def _noting(self, *concerned: ActiveStream) -> Iterator[None]:
        """Note a failure in the findings of the streams that the work is done for."""
        try:
            yield
        except AuthenticationError:
            raise
        except (LevError, RecursionError) as error:
            if not self._run.client.has_responded:
                raise
            for active in concerned:
                self._note(self._findings[active], error)

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

    def _inspect(
        self, active: ActiveStream, rows: Sequence[dict[str, Any]], response: LevResponse
    ) -> None:
        if active.reader is not None:
            self._inspect_children(active, active.reader, rows, response)
            return
        for row in rows:
            active.stream.inspect(row, response)
        if active.stream.replication_method == REPLICATION_INCREMENTAL:
            self._findings[active].updated_at_filter = self._try_filter(rows)

    def _inspect_children(
        self,
        active: ActiveStream,
        reader: ChildReader,
        rows: Sequence[dict[str, Any]],
        response: LevResponse,
    ) -> None:
        child, finding = reader.stream, self._findings[active]
        reader.verify_embed(filter(active.takes, rows), lambda row: self._caches[row["id"]])
        # 1. The rows come with their parents.
        if reader.is_embedded or not child.path:
            for row in rows:
                for each, source in reader.rows(row, response, self._caches[None]):
                    child.inspect(each, source)
            return
        # 2. Nothing can be requested.
        finding.result = NOT_TRIED
        if child.endpoint is None:
            finding.notes.append("The setting that says what to ask for is empty.")
            return
        # 3. Some parents are tried, until one has something to request.
        for row in rows[:TRIED_PARENTS]:
            sample = reader.sample(row, response, self._caches[row["id"]])
            if sample is not None:
                finding.result = OK
                for each in sample[0]:
                    child.inspect(each, sample[1])
                return
        finding.notes.append(f"Not tried: there is no row of {child.parent.name} to ask for.")

    # -- What Lev does with what it is asked

    def _try_filter(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Ask for the rows since the newest one changed: it must come, and no older one.

        The same is asked of the second newest row, so that a filter that compares for equality
        does not pass. Rows with a clearly older ``created_at`` are taken, for a filter on that.
        """
        mode = self._run.config["updated_at_filter"]
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
        list_stream, bound = self._list_stream, expected[-1].updated_at
        option = OptionalParam(FILTER, timestamps.render(bound), required=required)
        limit = {"limit": self._run.config["page_size"]}
        client = self._run.client_for(list_stream)
        response = list_stream.optional.request(
            [option],
            lambda params: client.send(LevRequest(f"GET {list_stream.path}", limit | params)),
        )
        if list_stream.optional.is_rejected(FILTER):
            return "refused"
        keyed = [row for row in list_stream.rows(response, {}) if row is not None]
        found = [row for row in keyed if timestamps.parse_row_time(row.get(UPDATED_AT))]
        oldest = oldest_of(found)
        if oldest is not None and oldest < bound:
            first = [row["id"] for row in rows if timestamps.parse_row_time(row.get(UPDATED_AT))]
            is_same = [row["id"] for row in found] == first
            return "ignored" if is_same else "not proven"
        came = {(row["id"], timestamps.parse_row_time(row[UPDATED_AT])) for row in found}
        return "honoured" if came.issuperset(expected) else "not proven"

    def _refused(self, stream: LevStream) -> list[str]:
        refused = [name for name in stream.optional.rejected if name != FILTER]
        block = f"include={stream.embed}"
        if stream.embed and self._list_stream.optional.is_rejected(block):
            refused.append(block)
        return refused
