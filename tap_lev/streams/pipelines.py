"""Stream of deal pipelines (lev-api.md §2.11)."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_lev.records.schema import object_type
from tap_lev.streams.lists import FullTableStream

STATUS = object_type(
    th.Property("id", th.IntegerType),
    th.Property("status", th.StringType, description="The status key, such as quoting."),
    th.Property("custom_status_name", th.StringType),
    th.Property("description", th.StringType),
    th.Property("order", th.IntegerType),
    th.Property("icon", th.StringType),
)


class Pipelines(FullTableStream):
    """Deal pipelines, each with its statuses in order."""

    name = "pipelines"
    path = "/pipelines"
    detail_path = "/pipelines/{pipeline_id}"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property(
            "pipeline_type", th.StringType, description="Such as financing or acquisition."
        ),
        th.Property("pipeline_name", th.StringType),
        th.Property("description", th.StringType),
        th.Property("owner_account_id", th.IntegerType),
        th.Property("order", th.IntegerType),
        th.Property("statuses", th.ArrayType(STATUS)),
    ).to_dict()
