"""Streams of market data, which all accounts share (lev-api.md §2.14, §2.15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from typing_extensions import override

from tap_lev import timestamps
from tap_lev.streams.lists import FullTableStream

if TYPE_CHECKING:
    from tap_lev.api.response import LevResponse


class AssetTypes(FullTableStream):
    """Kinds of property, such as multifamily."""

    name = "asset_types"
    path = "/market/asset-types"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("description", th.StringType, description="The label."),
        th.Property(
            "property_sub_types",
            th.ArrayType(th.AnyType),
            description="Such as Garden or Mid-rise.",
        ),
    ).to_dict()

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Wrap sub types that are no list: Lev documents them as a string as well."""
        sub_types = row.get("property_sub_types")
        if sub_types is None or isinstance(sub_types, list):
            return row
        return row | {"property_sub_types": [sub_types]}


class BaseRates(FullTableStream):
    """Benchmark rates as they stand at the time of the run."""

    name = "base_rates"
    path = "/market/base-rates"
    primary_keys = ("code",)
    schema = th.PropertiesList(
        th.Property(
            "code",
            th.StringType,
            required=True,
            description="A key such as sofr_30, or a display name.",
        ),
        th.Property("name", th.StringType),
        th.Property("rate", th.DecimalType, description="Percent."),
        th.Property("as_of", th.DateTimeType, description="When Lev gave the rate."),
    ).to_dict()

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Add the time of the response, because a rate has none."""
        return row | {"as_of": timestamps.render(response.server_time)}
