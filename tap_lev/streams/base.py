"""LevStream: rows of Lev as a Singer stream. They are read by a ``ListSync``."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk.exceptions import SingerSDKError
from typing_extensions import override

from tap_lev.api.optional_params import OptionalParam, OptionalParams
from tap_lev.errors import InvalidResponseError, LevAPIError, LevError, RowsFailedError
from tap_lev.records.schema import OBJECT, UNKNOWN_FIELDS
from tap_lev.records.values import Mender
from tap_lev.state.tracker import UPDATED_AT, WalkTracker
from tap_lev.streams.sdk import SDKStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from tap_lev.api.response import LevResponse
    from tap_lev.streams.lists import ListStream
    from tap_lev.tap import TapLev

FIELDS = "fields"
MAX_LISTED = 10
"""How many rows an error names."""

NEEDED_FIELDS = (UPDATED_AT, "created_at", "archived", "archived_at")
"""What the tap needs of a row, whichever columns are selected (lev-api.md §1.7)."""


class LevStream(SDKStream):
    """Rows of Lev. What differs from stream to stream are the class attributes."""

    name: str
    schema: dict[str, Any]
    path: ClassVar[str | None]
    """Route template of what is read, as in the client's allow-list."""
    primary_keys: ClassVar[tuple[str, ...]] = ("id",)
    """The columns that tell the rows apart. A child's often begin with its parent's id."""
    former_key: ClassVar[Sequence[str]] = ()
    """The key of earlier releases, where tables may still have it."""
    single_row: ClassVar[bool] = False
    """Whether ``data`` is one row and not a list of rows."""
    supports_fields: ClassVar[bool] = False
    """Whether the endpoint takes ``fields=`` (lev-api.md §1.7)."""
    includes: ClassVar[Sequence[str]] = ()
    """Columns that Lev adds when asked to by ``include=`` (lev-api.md §1.7)."""
    keeps_unknown_fields: ClassVar[bool] = True
    """Whether fields that Lev adds may be kept, where ``unknown_fields`` asks for it."""
    embed: ClassVar[str | None] = None
    """The field of another stream's row that embeds the rows, when ``include=`` asks for it."""

    awaits_embed = False
    """Whether rows came without the block that brings the stream's, and none with it so far."""

    def __init__(self, tap: TapLev) -> None:
        collects = self.keeps_unknown_fields and tap.config.get("unknown_fields") == "collect"
        collected = {UNKNOWN_FIELDS: OBJECT} if collects else {}
        self.schema = self.schema | {
            "description": (self.__doc__ or "").partition("\n")[0],
            "properties": self.schema["properties"] | collected,
        }
        super().__init__(tap)

    @property
    def source(self) -> ListStream:
        """The list whose walk brings the stream's rows."""
        raise NotImplementedError

    @property
    def account_id(self) -> int:
        """The id of the account that the key reads."""
        return self._tap.client.account_id(self.report)

    # -- The walk

    @functools.cached_property
    def walking(self) -> WalkTracker:
        """Its walk, and its place in the state."""
        return WalkTracker(self)

    def begin(self, server_time: datetime) -> None:
        """Begin a walk, at a moment of the server's clock."""
        self.walking.begin(server_time)

    @property
    @override
    def version(self) -> int | None:
        return self.walking.version

    @property
    def asked(self) -> list[Any]:
        """What is requested. A walk resumes with nothing else.

        Not in it: the account, which the state's entry names, and start_date, which bounds a first
        walk only.
        """
        return [
            self.path,
            self.replication_method,
            sorted(self.columns),
            self.config["updated_at_filter"],
        ]

    @property
    def follows_changes(self) -> bool:
        """Whether only rows of changed parents are read."""
        return False

    # -- Asking

    @functools.cached_property
    def optional(self) -> OptionalParams:
        """What is known of the parameters that Lev may refuse."""
        return OptionalParams(self._tell_refusal)

    @property
    def wanted_embeds(self) -> list[str]:
        """The selected columns that ``include=`` has to ask for."""
        return [name for name in self.includes if name in self.columns]

    def fields_option(self, *, written: bool) -> list[OptionalParam]:
        """Find the columns to ask for, where not all are wanted.

        Args:
            written: Whether the rows are written; otherwise they only lead to their children.
        """
        chosen = set(self.columns) if written else set()
        if not self.supports_fields or chosen.issuperset(self.row_fields):
            return []
        wanted = {*chosen, *self.primary_keys, *NEEDED_FIELDS}
        return [OptionalParam(FIELDS, ",".join(name for name in self.row_fields if name in wanted))]

    @property
    def row_fields(self) -> list[str]:
        """The columns that are fields of Lev's row, without the blocks."""
        added = {*self.includes, UNKNOWN_FIELDS}
        return [name for name in self.schema["properties"] if name not in added]

    def _tell_refusal(self, option: OptionalParam, error: LevAPIError) -> None:
        instead = {
            "include": f"{option.value} does not come with the rows",
            FIELDS: "all columns are read and the others left out here",
        }.get(option.param, "every row is read and the unchanged ones are left out here")
        self.warn(
            f"Lev does not accept {option.name}, so {instead} ({error.status} {error.error_type}, "
            f"request_id {error.request_id or 'not given'})."
        )

    # -- Rows

    def transform(self, row: dict[str, Any], answer: LevResponse) -> dict[str, Any]:  # noqa: ARG002
        """Bring a row of Lev into the schema's form. Most are."""
        return row

    def split(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Find the rows that one item of an answer holds: itself, as a rule."""
        yield item

    def mended(self, row: dict[str, Any], answer: LevResponse) -> dict[str, Any]:
        """Replace the values that no target takes.

        Raises:
            BrokenAnswerError: The row is nested too deeply.
        """
        try:
            return self._mender.row(row, is_odd=answer.is_odd)
        except RecursionError:
            raise InvalidResponseError(
                f"Lev sent a row of {answer.endpoint} that is nested too deeply."
            ) from None

    @functools.cached_property
    def _mender(self) -> Mender:
        return Mender(self.schema["properties"], self.embed_fields)

    def require_key(self, row: dict[str, Any], answer: LevResponse) -> dict[str, Any]:
        """Make sure that a row can be told from others.

        Raises:
            BrokenAnswerError: It cannot.
        """
        for key in self.primary_keys:
            if isinstance(value := row.get(key), dict | list | None):
                what = "without" if value is None else f"with a {type(value).__name__} for"
                raise InvalidResponseError(
                    f"Lev sent a row of {answer.endpoint} {what} {key} "
                    f"(request_id {answer.request_id or 'not given'})."
                )
        return row

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether the rows go out as they come in, where they are as the schema says."""
        steps = "transform", "split", "require_key"
        usual = all(getattr(type(self), name) is getattr(LevStream, name) for name in steps)
        return usual and not self.single_row and self.is_passthrough

    # -- Failing

    is_answered = False
    """Whether Lev has answered a request for the stream in this run."""

    @functools.cached_property
    def row_faults(self) -> dict[int, Exception]:
        """Why single rows, or what belongs to them, could not be read in this run."""
        return {}

    @functools.cached_property
    def done_rows(self) -> set[int]:
        """The rows of the list that were read in this run before the walk came to them."""
        return set()

    def accepts_gap(self, key: int | None = None) -> bool:
        """Return whether the settings name a gap.

        Args:
            key: The id of a row of the list that cannot be read. None: fewer rows than Lev counts.
        """
        accepted = (self.config.get("accepted_gaps") or {}).get(self.name)
        return (
            accepted == "total" if key is None else isinstance(accepted, list) and key in accepted
        )

    def fail(self, error: Exception) -> None:
        """Give the stream up for this run. Its walk stays in the state."""
        forbidden = isinstance(error, LevAPIError) and error.is_forbidden and not self.is_answered
        if forbidden and self.config["forbidden_streams"] == "skip":
            self.warn(f"skipped, because the key may not read it. {error}")
            self.report.skipped = True
            # With a walk of its own it would be read apart from the others ever after.
            self.walking.begin_anew()
            return
        self.report.failure = error
        if not isinstance(error, LevError | SingerSDKError):
            self.logger.error("%s failed by a fault of tap-lev", self.name, exc_info=error)
            return
        advice = (
            " Give the key that scope, deselect the stream, or set forbidden_streams to skip."
            if forbidden
            else ""
        )
        self.logger.error("The stream %s is not complete: %s%s", self.name, error, advice)

    def report_row_faults(self, keys: Iterable[int] | None = None) -> None:
        """Report the rows that are still to be read, once the others are.

        Args:
            keys: Their ids; by default those that the state keeps.
        """
        source, rest = self.source.name, []
        is_kept = keys is None
        if keys is None:
            keys = [each.key for each in self.walking.bookmark.failed]
        for key in sorted(keys):
            if self.accepts_gap(key):
                self.report.gaps.append(f"{self.name}: {source} {key} (accepted_gaps)")
            else:
                rest.append(key)
        if not rest:
            return
        first = self.row_faults.get(rest[0])
        setting = json.dumps({self.name: rest})
        error = RowsFailedError(
            f"{_listed(rest)} of {source} could not be read"
            + ("" if source == self.name else f" for {self.name}")
            + (f": {first}" if first else ".")
            + " The next run asks for them first." * is_kept
            + f" To accept the gap, add to the setting accepted_gaps: {setting}.",
            first,
        )
        self.report.failure = error
        self.logger.error("The stream %s is not complete: %s", self.name, error)


def _listed(keys: Sequence[int]) -> str:
    shown = ", ".join(map(str, keys[:MAX_LISTED]))
    more = f" and {len(keys) - MAX_LISTED} more" if len(keys) > MAX_LISTED else ""
    return f"{'Row' if len(keys) == 1 else 'Rows'} {shown}{more}"
