"""Describe what this package needs to know of a stream.

Stream classes fulfil these Protocols, so records are made without importing any stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tap_lev.records.schema import JSONSchema


class StreamSpec(Protocol):
    """A stream: its name, its columns and its key."""

    @property
    def name(self) -> str:
        """The name in the catalog."""

    @property
    def schema(self) -> JSONSchema:
        """The JSON schema of the records."""

    @property
    def primary_keys(self) -> Sequence[str]:
        """The columns that identify a record."""


class ListSpec(StreamSpec, Protocol):
    """A list, with what Lev embeds in its rows."""

    @property
    def includes(self) -> Sequence[str]:
        """The embedded fields that are columns of the list itself."""

    @property
    def embed_fields(self) -> Collection[str]:
        """All embedded fields, those of the children as well."""


class ChildSpec(StreamSpec, Protocol):
    """A stream whose rows Lev embeds in the rows of a list."""

    @property
    def embed(self) -> str | None:
        """The field of the list's row that embeds the rows."""

    @property
    def parent_key(self) -> str:
        """The column with the id of the list's row."""
