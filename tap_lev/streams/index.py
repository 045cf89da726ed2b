"""What Lev extracted from the documents of deals (lev-api.md §2.20 to §2.23)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_lev.api.json_values import whole
from tap_lev.api.request import LevRequest
from tap_lev.records.schema import BOOLEAN, INTEGER, NUMBER, STRING, array, described, record, table
from tap_lev.streams.child import ChildStream
from tap_lev.streams.deals import Deals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_lev.api.response import LevResponse

HASH_LENGTH = 32
ENTITY_REF = described(STRING, "Such as property:690.")
SOURCE = record(
    type=STRING,
    document_id=described(INTEGER, "The id in documents."),
    document_type=STRING,
    file_name=STRING,
    file_extension=STRING,
    pages=array(INTEGER),
    observation_count=INTEGER,
)
VALUE = {
    "metric_key": STRING,
    "metric_id": described(INTEGER, "The id in index_metric_definitions."),
    "value_text": described(STRING, "Every value is a text."),
    "value_type": STRING,
    "context": STRING,
    "summary": STRING,
    "period_type": STRING,
    "period_value": STRING,
    "entity_type": STRING,
    "entity_id": INTEGER,
    "entity_ref": ENTITY_REF,
    "group_ref": STRING,
    "category_id": INTEGER,
    "source": SOURCE,
}


class IndexEntities(ChildStream):
    """What each deal's facts are about, such as a property."""

    name = "index_entities"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/index/entities"
    primary_keys = ("deal_id", "entity_ref")
    schema = table(
        primary_keys,
        deal_id=INTEGER,
        entity_ref=ENTITY_REF,
        entity_type=STRING,
        entity_id=INTEGER,
        group_ref=STRING,
        identifying_metrics=array(
            record(
                metric_key=STRING,
                metric_label=STRING,
                value_text=STRING,
                support_multiple_values=BOOLEAN,
            )
        ),
    )

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Build the key the way Lev does, where only its parts are given."""
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
    schema = table(
        ChildStream.primary_keys,
        id=INTEGER,
        metric_key=STRING,
        metric_label=STRING,
        value_type=STRING,
        category_id=INTEGER,
    )


class IndexFacts(ChildStream):
    """Facts about each deal that Lev finds for the setting fact_queries."""

    name = "index_facts"
    parent = Deals
    parent_key = "deal_id"
    path = "/deals/{deal_id}/index/search"
    page_limit = 200
    primary_keys = ("deal_id", "query_hash", "id")
    former_key = ("deal_id", "query", "id")
    schema = table(
        primary_keys,
        deal_id=INTEGER,
        query_hash=described(STRING, "The first 32 hex digits of the SHA-256 of query."),
        query=described(STRING, "The one of fact_queries that found the fact."),
        id=described(STRING, "Such as a:123:property:690."),
        sot_id=described(INTEGER, "The number in id."),
        metric_label=STRING,
        category_label=STRING,
        **VALUE,
        needs_review=BOOLEAN,
        score=described(NUMBER, "How near the fact is to the query."),
    )

    @override
    def requests(self) -> Iterable[LevRequest]:
        for query in self.config.get("fact_queries") or ():
            body = {"context": query, "include_signed_urls": False}
            # Not every query fits into an index of PostgreSQL: the key has its hash.
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
    schema = table(
        primary_keys,
        deal_id=INTEGER,
        id=INTEGER,
        **VALUE,
        original_text=STRING,
        confidence=NUMBER,
        weight=INTEGER,
    )

    @override
    def requests(self) -> Iterable[LevRequest]:
        for metric_id in self.config.get("observation_metric_ids") or ():
            body = {"metric_id": metric_id, "include_signed_urls": False}
            yield LevRequest(f"POST {self.path}", json=body)
