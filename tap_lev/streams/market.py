"""Market data, the same for every account (lev-api.md §2.14, §2.15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_lev import timestamps
from tap_lev.records.schema import DATE_TIME, INTEGER, NUMBER, STRING, array, described, table
from tap_lev.streams.lists import FullTableStream

if TYPE_CHECKING:
    from tap_lev.api.response import LevResponse


class AssetTypes(FullTableStream):
    """Kinds of property, such as multifamily."""

    name = "asset_types"
    path = "/market/asset-types"
    schema = table(
        FullTableStream.primary_keys,
        id=INTEGER,
        description=described(STRING, "The label."),
        property_sub_types=described(array({}), "Such as Garden or Mid-rise."),
    )

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Make a list of the sub types, of which Lev's pages say that they may be anything."""
        sub_types = row.get("property_sub_types")
        if sub_types is None or isinstance(sub_types, list):
            return row
        return row | {"property_sub_types": [sub_types]}


class BaseRates(FullTableStream):
    """Benchmark rates as they stand at the time of the run."""

    name = "base_rates"
    path = "/market/base-rates"
    primary_keys = ("code",)
    schema = table(
        primary_keys,
        code=described(STRING, "A key such as sofr_30, or a display name."),
        name=STRING,
        rate=described(NUMBER, "Percent."),
        as_of=described(DATE_TIME, "When Lev gave the rate."),
    )

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Date the row: it has no time of its own."""
        return row | {"as_of": timestamps.render(response.server_time)}
