"""Map a row of Lev to a record, and report fields and types that Lev changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_lev import timestamps
from tap_lev.records.schema import UNKNOWN_FIELDS
from tap_lev.text import name_request, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tap_lev.records.schema import JSONSchema

NEVER_EMITTED = frozenset(
    {"api_key", "download_url", "pdf_url", "pdf_versions", "signed_url", "signed_url_error"}
)
"""Fields that are never emitted: secrets, and links that are signed anew in each response."""

_PYTHON_TYPES: dict[str, set[type]] = {
    "array": {list},
    "boolean": {bool},
    "integer": {int},
    "null": {type(None)},
    "number": {int, float},
    "object": {dict},
    "string": {str},
}


class RecordMapper:
    """Makes the records of one stream.

    Args:
        properties: The columns' JSON schemas, by name.
        columns: The selected columns.
        embeds: Fields that hold the rows of other streams.
        warn: Called with a sentence for each field or type that Lev changed, once.

    Attributes:
        unknown_fields: Fields in the rows so far that this release does not know.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        columns: Sequence[str],
        embeds: Collection[str],
        warn: Callable[[str], None],
    ) -> None:
        self._columns = columns
        self._types = {name: _python_types(properties[name]) for name in columns}
        self._instants = [n for n in columns if properties[n].get("format") == "date-time"]
        self._expected = {*properties, *embeds, *NEVER_EMITTED}
        self.unknown_fields: set[str] = set()
        self._warn = warn

    def to_record(self, row: Mapping[str, Any], request_id: str | None) -> dict[str, Any]:
        """Make the record of a row.

        Args:
            row: The row, as the schema describes it.
            request_id: Lev's id of the response that brought it.
        """
        record = {name: row[name] for name in self._columns if name in row}
        # Counting is cheap: a row without any further field has no unknown ones.
        if len(record) < len(row):
            self._keep_unknown_fields(row, record)
        for name, value in record.items():
            if type(value) not in self._types[name]:
                self._warn_about_type(name, value, request_id)
            if isinstance(value, dict | list):
                record[name] = drop_secrets(value)
        for name in self._instants:
            if isinstance(value := record.get(name), str):
                # Never None: the Mender has replaced every text that is no date-time.
                record[name] = timestamps.normalise(value)
        return record

    def _keep_unknown_fields(self, row: Mapping[str, Any], record: dict[str, Any]) -> None:
        """Warn about unknown fields once, and keep them where that column is selected."""
        unknown = {name: value for name, value in row.items() if name not in self._expected}
        if not unknown:
            return
        is_kept = UNKNOWN_FIELDS in self._types
        if is_kept:
            record[UNKNOWN_FIELDS] = unknown
        if added := unknown.keys() - self.unknown_fields:
            self.unknown_fields.update(added)
            self._warn(
                "Lev sends fields that this release does not know: "
                f"{quoted(', '.join(sorted(added)))}. They are "
                + (f"collected in {UNKNOWN_FIELDS}." if is_kept else "left out.")
            )

    def _warn_about_type(self, name: str, value: object, request_id: str | None) -> None:
        # From now on the type counts as expected, so each is reported once.
        self._types[name].add(type(value))
        self._warn(
            f"Lev sends {name} as {type(value).__name__}, which the schema does not expect; it is "
            f"passed on ({name_request(request_id)})."
        )


def drop_secrets(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Copy a value without secrets and signed links, at every level."""
    if isinstance(value, dict):
        return {name: drop_secrets(v) for name, v in value.items() if name not in NEVER_EMITTED}
    return [drop_secrets(item) for item in value] if isinstance(value, list) else value


def _python_types(column: JSONSchema) -> set[type]:
    """Return the Python types of a column's values, as JSON is decoded."""
    return {python_type for kind in column["type"] for python_type in _PYTHON_TYPES[kind]}
