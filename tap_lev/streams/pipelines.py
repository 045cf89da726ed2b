"""Pipelines (lev-api.md §2.11)."""

from __future__ import annotations

from tap_lev.records.schema import INTEGER, STRING, array, described, record, table
from tap_lev.streams.lists import FullTableStream

STATUS = record(
    id=INTEGER,
    status=described(STRING, "The status key, such as quoting."),
    custom_status_name=STRING,
    description=STRING,
    order=INTEGER,
    icon=STRING,
)


class Pipelines(FullTableStream):
    """Deal pipelines, each with its statuses in order."""

    name = "pipelines"
    path = "/pipelines"
    detail_path = "/pipelines/{pipeline_id}"
    schema = table(
        FullTableStream.primary_keys,
        id=INTEGER,
        pipeline_type=described(STRING, "Such as financing or acquisition."),
        pipeline_name=STRING,
        description=STRING,
        owner_account_id=INTEGER,
        order=INTEGER,
        statuses=array(STATUS),
    )
