"""Check what the key may read, and which optional parameters Lev honours."""

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
MAX_TRIED_PARENTS = 3
"""The most rows of a list whose children are requested, until one has a parent to request for."""


@dataclasses.dataclass
class Finding:
    """The result of checking a stream. The JSON report has its attributes, in their order.

    Attributes:
        stream: The stream's name.
        result: ``ok``, ``forbidden``, ``failing`` or ``not tried``.
        updated_at_filter: ``honoured``, ``not proven``, ``ignored``, ``refused`` or ``not sent``;
            None if the stream has no such filter.
        refused: Optional parameters that Lev rejects, or ignores.
        unknown_fields: Fields that this release does not know.
        notes: Remarks, a sentence each.
        request_id: Lev's id of the request that failed, or None.
    """

    stream: str
    result: str = OK
    updated_at_filter: str | None = None
    refused: list[str] = dataclasses.field(default_factory=list)
    unknown_fields: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    request_id: str | None = None


def check_streams(run: Run) -> list[Finding]:
    """Read a part of each selected stream, whatever the state says.

    Raises:
        AuthenticationError: Lev does not accept the key.
        LevError: Lev cannot be reached at all.
    """
    groups: defaultdict[str, list[LevStream]] = defaultdict(list)
    for stream in run.selected:
        groups[stream.list_type().name].append(stream)
    checks = [_ListCheck(run, streams) for streams in groups.values()]
    findings = {finding.stream: finding for check in checks for finding in check.run()}
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
            # Like a first run without a start_date, so that no row is filtered out.
            active.tracker.begin_unsaved(datetime.now(UTC))
        with self._note_failure(*self._active.streams):
            requester = ListRequester(self._run, self._active, by_row=True)
            page = requester.fetch_page({})
            for active in self._active.streams:
                with self._note_failure(active):
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
    def _note_failure(self, *concerned: ActiveStream) -> Iterator[None]:
        """Record a failure in the findings of the streams that the work is done for.

        Raises:
            AuthenticationError: Lev does not accept the key.
            LevError: Lev cannot be reached at all.
        """
        try:
            yield
        except AuthenticationError:
            raise
        except (LevError, RecursionError) as error:
            if not self._run.client.has_responded:
                raise
            for active in concerned:
                self._record(self._findings[active], error)

    @staticmethod
    def _record(finding: Finding, error: Exception) -> None:
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
                for child_row, source in reader.rows(row, response, self._caches[None]):
                    child.inspect(child_row, source)
            return
        # 2. There is nothing to request: the setting with the queries or metrics is empty.
        finding.result = NOT_TRIED
        if child.endpoint is None:
            finding.notes.append("The setting that says what to ask for is empty.")
            return
        # 3. Each parent takes requests. Some rows of the list may have no parent below them.
        for row in rows[:MAX_TRIED_PARENTS]:
            sample = reader.sample(row, response, self._caches[row["id"]])
            if sample is not None:
                finding.result = OK
                child_rows, source = sample
                for child_row in child_rows:
                    child.inspect(child_row, source)
                return
        finding.notes.append(f"Not tried: there is no row of {child.parent.name} to ask for.")

    # -- Optional parameters

    def _try_filter(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Request the rows since the newest one changed: it must come, and no older one.

        The second newest row is tried, too: a filter that compares for equality would pass with
        the newest alone. Both have a clearly older ``created_at``, so that a filter on that fails.
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
            self._filter_since(newest[: number + 1], rows, required=mode == "server")
            for number in range(len(newest))
        ]
        return next((verdict for verdict in verdicts if verdict != "honoured"), "honoured")

    def _filter_since(
        self, expected: Sequence[Canary], rows: Sequence[Mapping[str, Any]], *, required: bool
    ) -> str:
        """Request the rows since the last expected one changed, and judge what comes.

        Args:
            expected: Rows that must come, the newest first.
            rows: The rows of the list without a filter.
            required: Whether the settings demand the filter.
        """
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
            # The same rows as without the filter: Lev ignores it. Other rows prove nothing.
            is_same = [row["id"] for row in found] == first
            return "ignored" if is_same else "not proven"
        returned = {(row["id"], timestamps.parse_row_time(row[UPDATED_AT])) for row in found}
        return "honoured" if returned.issuperset(expected) else "not proven"

    def _refused(self, stream: LevStream) -> list[str]:
        refused = [name for name in stream.optional.rejected if name != FILTER]
        include = f"include={stream.embed}"
        if stream.embed and self._list_stream.optional.is_rejected(include):
            refused.append(include)
        return refused
