"""Declare a resource of Lev as a Singer stream, by class attributes."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_lev import timestamps
from tap_lev.api.optional_params import OptionalParam, OptionalParams
from tap_lev.errors import InvalidResponseError
from tap_lev.records.schema import UNKNOWN_FIELDS, complete_schema
from tap_lev.records.values import Mender
from tap_lev.state.tracker import UPDATED_AT, StreamFacts, WalkTracker
from tap_lev.streams.sdk import SDKStream
from tap_lev.text import name_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk import Tap

    from tap_lev.api.response import LevResponse
    from tap_lev.errors import LevAPIError

FIELDS = "fields"

NEEDED_FIELDS = (UPDATED_AT, "created_at", "archived", "archived_at")
"""What the tap needs of a row, whichever columns are selected (lev-api.md §1.7)."""


class LevStream(SDKStream):
    """A resource of Lev. Its streams differ in their class attributes."""

    name: str
    schema: dict[str, Any]
    path: ClassVar[str | None]
    """Route template of the endpoint, as in the client's allow-list."""
    primary_keys: ClassVar[tuple[str, ...]] = ("id",)
    """The columns that identify a row. A child's often begin with its parent's id."""
    former_key: ClassVar[Sequence[str]] = ()
    """The key of earlier releases, where tables may still have it."""
    single_row: ClassVar[bool] = False
    """Whether ``data`` is one row and not a list of rows."""
    supports_fields: ClassVar[bool] = False
    """Whether the endpoint accepts ``fields=`` (lev-api.md §1.7)."""
    includes: ClassVar[Sequence[str]] = ()
    """Columns that Lev adds when the request has them in ``include=`` (lev-api.md §1.7)."""
    keeps_unknown_fields: ClassVar[bool] = True
    """Whether the setting ``unknown_fields`` may keep fields that Lev adds."""
    embed: ClassVar[str | None] = None
    """The field of a parent's row that holds the rows, when the request includes it."""
    account_id_column: ClassVar[str | None] = None
    """The column that takes the account's id, where Lev's rows lack it."""

    def __init__(self, tap: Tap) -> None:
        collects = self.keeps_unknown_fields and tap.config.get("unknown_fields") == "collect"
        description = (self.__doc__ or "").partition("\n")[0]
        self.schema = complete_schema(self.schema, description, keeps_unknown_fields=collects)
        super().__init__(tap)

    @classmethod
    def list_type(cls) -> type[LevStream]:
        """Return the list whose walk brings the stream's rows."""
        raise NotImplementedError

    # -- The walk

    @functools.cached_property
    def tracker(self) -> WalkTracker:
        """Tracks the stream's walk and its place in the state."""
        is_full_table = self.replication_method == REPLICATION_FULL_TABLE
        facts = StreamFacts(
            name=self.name,
            list_name=self.list_type().name,
            replication_key=self.replication_key,
            query_identity=self.query_identity,
            columns=self.columns,
            # Children of changed parents only are not the whole table: nothing may be dropped.
            is_full_table=is_full_table and not self.follows_changes,
            emits_versions=bool(self.config["emit_activate_version_messages"]),
            overlap=timedelta(seconds=self.config["overlap_seconds"]),
            start_date=timestamps.parse(self.config.get("start_date")),
        )
        return WalkTracker(self.stream_state, facts, self.logger)

    @property
    @override
    def version(self) -> int | None:
        return self.tracker.version

    @property
    def query_identity(self) -> list[Any]:
        """What the requests depend on: a walk resumes only if it is the same."""
        # Not in it: the account, which the state's entry names; start_date, which bounds a first
        # walk only; and page_size: a walk may resume with pages of another size.
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

    # -- Query parameters

    @functools.cached_property
    def optional(self) -> OptionalParams:
        """What this run knows of the parameters that Lev may reject."""
        # Of the stream, not of a pass: two passes through one list share what they find out.
        return OptionalParams(self._warn_of_rejection)

    @property
    def wanted_embeds(self) -> list[str]:
        """The selected columns that the request has to include."""
        return [name for name in self.includes if name in self.columns]

    def fields_option(self, *, written: bool) -> list[OptionalParam]:
        """Return the parameter ``fields=``, or nothing if all columns are wanted.

        Args:
            written: Whether the rows are written; otherwise they only lead to their children.
        """
        # Without it Lev sends all fields, and those that this release does not know are logged.
        chosen = set(self.columns) if written else set()
        if not self.supports_fields or chosen.issuperset(self.row_fields):
            return []
        wanted = {*chosen, *self.primary_keys, *NEEDED_FIELDS}
        return [OptionalParam(FIELDS, ",".join(name for name in self.row_fields if name in wanted))]

    @property
    def row_fields(self) -> list[str]:
        """The columns that are fields of Lev's row, without the embeds."""
        added = {*self.includes, UNKNOWN_FIELDS, self.account_id_column}
        return [name for name in self.schema["properties"] if name not in added]

    def _warn_of_rejection(self, option: OptionalParam, error: LevAPIError) -> None:
        instead = {
            "include": f"{option.value} does not come with the rows",
            FIELDS: "all columns are read and the others left out here",
        }.get(option.param, "every row is read and the unchanged ones are left out here")
        self.warn(
            f"Lev does not accept {option.name}, so {instead} ({error.status} {error.error_type}, "
            f"{name_request(error.request_id)})."
        )

    def accepts_gap(self, key: int | None = None) -> bool:
        """Return whether ``accepted_gaps`` names a gap.

        Args:
            key: The id of a row of the list that cannot be read, or None if fewer rows come than
                Lev counts.
        """
        accepted = (self.config.get("accepted_gaps") or {}).get(self.name)
        return (
            accepted == "total" if key is None else isinstance(accepted, list) and key in accepted
        )

    # -- Rows

    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:  # noqa: ARG002
        """Return a row in the form of the schema; most rows have it."""
        return row

    def split(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows that one item of a response holds: itself, as a rule."""
        yield item

    def mend(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Replace the values that no target accepts.

        Raises:
            InvalidResponseError: The row is nested too deeply.
        """
        try:
            return self._mender.mend(row, is_odd=response.is_odd)
        except RecursionError:
            raise InvalidResponseError(
                f"Lev sent a row of {response.endpoint} that is nested too deeply."
            ) from None

    @functools.cached_property
    def _mender(self) -> Mender:
        return Mender(self.schema["properties"], self.embed_fields)

    def require_key(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Return a row, once it is certain that it has its key.

        Raises:
            InvalidResponseError: It lacks it.
        """
        # A target merges rows by their key. A row without one would replace another, or stop it.
        for key in self.primary_keys:
            if isinstance(value := row.get(key), dict | list | None):
                what = "without" if value is None else f"with a {type(value).__name__} for"
                raise InvalidResponseError(
                    f"Lev sent a row of {response.endpoint} {what} {key} "
                    f"({name_request(response.request_id)})."
                )
        return row

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether rows that fit the schema are written as they come."""
        # Then a page is decoded into structs and written as a whole, at a fraction of the time. A
        # stream that overrides one of these steps needs each of its rows.
        steps = "transform", "split", "require_key"
        usual = all(getattr(type(self), name) is getattr(LevStream, name) for name in steps)
        changes = self.single_row or self.account_id_column is not None
        return usual and not changes and self.is_passthrough
