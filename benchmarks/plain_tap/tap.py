"""The plain tap."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from singer_sdk import Tap
from singer_sdk import typing as th
from typing_extensions import override

from benchmarks.plain_tap.streams import STREAMS

if TYPE_CHECKING:
    from benchmarks.plain_tap.client import PlainStream


class PlainTap(Tap):
    """A plain tap for Lev."""

    name = "tap-plain"
    config_jsonschema: ClassVar[dict[str, object]] = th.PropertiesList(
        th.Property("api_key", th.StringType, required=True, secret=True),
        th.Property("api_url", th.StringType, required=True),
        th.Property("page_size", th.IntegerType, default=200),
        th.Property("fact_query", th.StringType),
        th.Property("observation_metric_id", th.IntegerType),
        th.Property("max_tries", th.IntegerType, default=5, description="5 is the SDK's own."),
        th.Property("window_seconds", th.NumberType, default=60, description="Lev's is 60."),
    ).to_dict()

    @override
    def discover_streams(self) -> list[PlainStream]:
        return [stream(self) for stream in STREAMS]
