"""The index of a deal: metric definitions, entities, facts and observations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lev_sandbox.data import words
from lev_sandbox.data.crm import place

if TYPE_CHECKING:
    from lev_sandbox.data.draw import Draw
    from lev_sandbox.data.world import Row, World

CATEGORIES = ((1, "Property"), (2, "Income"), (3, "Expenses"), (4, "Loan"), (5, "Sponsor"))
METRICS = (
    ("address", "Address", "text", 1),
    ("units", "Units", "number", 1),
    ("square_footage", "Square footage", "number", 1),
    ("year_built", "Year built", "number", 1),
    ("occupancy", "Occupancy", "percent", 1),
    ("gross_income", "Gross income", "currency", 2),
    ("in_place_noi", "In-place NOI", "currency", 2),
    ("stabilized_noi", "Stabilized NOI", "currency", 2),
    ("average_rent", "Average rent", "currency", 2),
    ("other_income", "Other income", "currency", 2),
    ("operating_expenses", "Operating expenses", "currency", 3),
    ("real_estate_taxes", "Real estate taxes", "currency", 3),
    ("insurance", "Insurance", "currency", 3),
    ("management_fee", "Management fee", "percent", 3),
    ("loan_amount", "Loan amount", "currency", 4),
    ("maturity_date", "Maturity date", "date", 4),
    ("interest_rate", "Interest rate", "percent", 4),
    ("sponsor_name", "Sponsor name", "text", 5),
    ("net_worth", "Net worth", "currency", 5),
    ("liquidity", "Liquidity", "currency", 5),
)


def metric_definition(_world: World, _draw: Draw, number: int, _parent: int) -> Row:
    """Make a metric definition of the catalogue that all deals share."""
    key, label, kind, category = METRICS[number - 1]
    return {
        "id": number,
        "metric_key": key,
        "metric_label": label,
        "value_type": kind,
        "category_id": category,
    }


def _value(draw: Draw, kind: str) -> str:
    match kind:
        case "currency":
            return str(draw.between(10, 9000) * 1000)
        case "percent":
            return str(draw.ratio(20, 990))
        case "date":
            return draw.day()
        case "number":
            return str(draw.between(1, 2400))
        case _:
            return f"{draw.between(1, 900)} {place(draw)} {draw.pick(words.STREET_WORDS)}"


def entity_count(world: World, parent: int) -> int:
    """Return how many entities a deal's index knows: the deal and its properties."""
    return len(world.span("deal_properties", parent)) + 1


def entity(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make an entity."""
    place = number - world.span("index_entities", parent).start
    properties = world.span("deal_properties", parent)
    kind, own = ("deal", parent) if place == 0 else ("property", properties[place - 1])
    return {
        "entity_ref": f"{kind}:{own}",
        "entity_type": kind,
        "entity_id": own,
        "group_ref": draw.maybe(15, "portfolio:1"),
        "identifying_metrics": [
            {
                "metric_key": "address",
                "metric_label": "Address",
                "value_text": draw.maybe(90, _value(draw, "text")),
                "support_multiple_values": draw.maybe(80, value=False),
            }
        ]
        if kind == "property"
        else [],
    }


def _claim(world: World, draw: Draw, deal: int, order: int) -> Row:
    """Return what a fact and the observations behind it have in common."""
    metric = (order + deal) % len(METRICS)
    key, _, kind, category = METRICS[metric]
    properties = world.span("deal_properties", deal)
    owned = bool(properties) and order % 2 == 1
    entity_id = properties[order % len(properties)] if owned else deal
    entity_type = "property" if owned else "deal"
    yearly = kind == "currency"
    return {
        "metric_key": key,
        "metric_id": metric + 1,
        "value_text": _value(draw, kind),
        "value_type": kind,
        "period_type": "year" if yearly else None,
        "period_value": str(draw.between(2022, 2025)) if yearly else None,
        "entity_type": entity_type,
        "entity_id": entity_id,
        "entity_ref": f"{entity_type}:{entity_id}",
        "group_ref": None,
        "category_id": category,
    }


def _source(world: World, draw: Draw, deal: int) -> Row:
    documents = world.span("documents", deal)
    name = f"{draw.pick(words.FILE_STEMS)}.pdf"
    return {
        "type": "document",
        "document_id": draw.pick(documents) if documents else None,
        "document_type": draw.maybe(80, "Rent roll"),
        "file_name": name,
        "file_extension": "pdf",
        "pages": [draw.between(1, 40)],
        "observation_count": draw.between(1, 4),
        "signed_url": None,
        "signed_url_error": None,
    }


def fact(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make a canonical fact as a search returns it, without its score."""
    claim = _claim(world, draw, parent, number - world.span("index_facts", parent).start)
    metric = METRICS[claim["metric_id"] - 1]
    own = claim["entity_type"] == "property"
    return {
        "id": f"a:{number}:{claim['entity_ref']}" if own else f"d:{number}",
        "sot_id": number,
        **claim,
        "metric_label": metric[1],
        "context": draw.maybe(40, f"{metric[1]} as stated on the first page"),
        "summary": draw.maybe(30, f"{metric[1]}: {claim['value_text']}"),
        "category_label": CATEGORIES[claim["category_id"] - 1][1],
        "needs_review": draw.maybe(90, draw.chance(20)),
        "source": _source(world, draw, parent),
    }


def observation(world: World, draw: Draw, number: int, parent: int) -> Row:
    """Make an extracted candidate value behind one of the deal's facts."""
    place = number - world.span("index_observations", parent).start
    facts = max(1, len(world.span("index_facts", parent)))
    claim = _claim(world, draw, parent, place % facts)
    return {
        "id": number,
        **claim,
        "original_text": draw.maybe(80, f"≈ {claim['value_text']}"),
        "context": draw.maybe(40, "Table 1"),
        "summary": None,
        "confidence": draw.ratio(400, 999),
        "weight": draw.between(1, 10),
        "source": _source(world, draw, parent),
    }
