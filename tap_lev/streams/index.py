"""Streams of what Lev extracts from documents of deals (lev-api.md §2.20 to §2.23)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from typing_extensions import override

from tap_lev.api.json_values import whole
from tap_lev.api.request import LevRequest
from tap_lev.records.schema import object_type
from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_lev.api.response import LevResponse

HASH_LENGTH = 32  # hex digits
SOURCE = object_type(
    th.Property("type", th.StringType),
    th.Property("document_id", th.IntegerType, description="The id in documents."),
    th.Property("document_type", th.StringType),
    th.Property("file_name", th.StringType),
    th.Property("file_extension", th.StringType),
    th.Property("pages", th.ArrayType(th.IntegerType(nullable=True))),
    th.Property("observation_count", th.IntegerType),
)
VALUE_FIELDS = (
    th.Property("metric_key", th.StringType),
    th.Property("metric_id", th.IntegerType, description="The id in index_metric_definitions."),
    th.Property("value_text", th.StringType, description="Every value is a text."),
    th.Property("value_type", th.StringType),
    th.Property("context", th.StringType),
    th.Property("summary", th.StringType),
    th.Property("period_type", th.StringType),
    th.Property("period_value", th.StringType),
    th.Property("entity_type", th.StringType),
    th.Property("entity_id", th.IntegerType),
    th.Property("entity_ref", th.StringType, description="Such as property:690."),
    th.Property("group_ref", th.StringType),
    th.Property("category_id", th.IntegerType),
    th.Property("source", SOURCE),
)


class IndexEntities(ChildStream):
    """What each deal's facts are about, such as a property."""

    name = "index_entities"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/index/entities"
    primary_keys = ("deal_id", "entity_ref")
    schema = th.PropertiesList(
        th.Property("deal_id", th.IntegerType, required=True),
        th.Property(
            "entity_ref", th.StringType, required=True, description="Such as property:690."
        ),
        th.Property("entity_type", th.StringType),
        th.Property("entity_id", th.IntegerType),
        th.Property("group_ref", th.StringType),
        th.Property(
            "identifying_metrics",
            th.ArrayType(
                object_type(
                    th.Property("metric_key", th.StringType),
                    th.Property("metric_label", th.StringType),
                    th.Property("value_text", th.StringType),
                    th.Property("support_multiple_values", th.BooleanType),
                )
            ),
        ),
    ).to_dict()

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Build ``entity_ref`` as Lev does, for rows with its parts only."""
        parts = row.get("entity_type"), whole(row.get("entity_id"))
        if row.get("entity_ref") is not None or None in parts:
            return row
        return row | {"entity_ref": "{}:{}".format(*parts)}


class IndexMetricDefinitions(ChildStream):
    """Metrics that facts and observations are values of."""

    name = "index_metric_definitions"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/index/metric-definitions"
    page_limit = 200
    page_numbered = True
    deduplicate = True
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("metric_key", th.StringType),
        th.Property("metric_label", th.StringType),
        th.Property("value_type", th.StringType),
        th.Property("category_id", th.IntegerType),
    ).to_dict()


class IndexFacts(ChildStream):
    """Facts about each deal that Lev finds for the setting fact_queries."""

    name = "index_facts"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/index/search"
    page_limit = 200
    primary_keys = ("deal_id", "query_hash", "id")
    former_key = ("deal_id", "query", "id")
    schema = th.PropertiesList(
        th.Property("deal_id", th.IntegerType, required=True),
        th.Property(
            "query_hash",
            th.StringType,
            required=True,
            description="The first 32 hex digits of the SHA-256 of query.",
        ),
        th.Property(
            "query", th.StringType, description="The one of fact_queries that found the fact."
        ),
        th.Property("id", th.StringType, required=True, description="Such as a:123:property:690."),
        th.Property("sot_id", th.IntegerType, description="The number in id."),
        th.Property("metric_label", th.StringType),
        th.Property("category_label", th.StringType),
        *VALUE_FIELDS,
        th.Property("needs_review", th.BooleanType),
        th.Property("score", th.DecimalType, description="How near the fact is to the query."),
    ).to_dict()

    @override
    def requests(self) -> Iterable[LevRequest]:
        for query in self.config.get("fact_queries") or ():
            body = {"context": query, "include_signed_urls": False}
            # The key holds a hash, because a long query does not fit into an index of PostgreSQL.
            digest = hashlib.sha256(query.encode()).hexdigest()[:HASH_LENGTH]
            yield LevRequest(
                f"POST {self.path}",
                json=body,
                extra_columns={"query": query, "query_hash": digest},
            )


class IndexObservations(ChildStream):
    """Values that Lev read for the metrics in the setting observation_metric_ids."""

    name = "index_observations"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/index/observations"
    page_limit = 200
    page_numbered = True
    primary_keys = ("deal_id", "id")
    schema = th.PropertiesList(
        th.Property("deal_id", th.IntegerType, required=True),
        th.Property("id", th.IntegerType, required=True),
        *VALUE_FIELDS,
        th.Property("original_text", th.StringType),
        th.Property("confidence", th.DecimalType),
        th.Property("weight", th.IntegerType),
    ).to_dict()

    @override
    def requests(self) -> Iterable[LevRequest]:
        for metric_id in self.config.get("observation_metric_ids") or ():
            body = {"metric_id": metric_id, "include_signed_urls": False}
            yield LevRequest(f"POST {self.path}", json=body)
