"""Every answer is what the published description says, its known slips aside."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from lev_sandbox.routes import ROUTES, VIOLATIONS

if TYPE_CHECKING:
    from lev_sandbox.call import Route
    from tests.sandbox.lab import Json, Lab

PREFIX = "/api/external/v2"
DESCRIPTION = Path(__file__).parents[3] / "shared" / "lev-openapi.json"

LIST_SLIPS = {
    ("Deal", "properties"), ("Deal", "team"), ("Deal", "pipelines"), ("Pipeline", "statuses"),
    ("LenderDirectoryLender", "programs"), ("AssetTypes", "property_sub_types"),
}  # fmt: skip
"""Typed string by the description's generator; samples and texts show arrays."""
DATA_SLIPS = {"/pipelines", "/market/base-rates", "/market/asset-types", "/me/accounts"}
"""Lists whose data the generator typed object."""
ROW_SCHEMAS = {
    "/pipelines": "Pipeline",
    "/pipelines/{pipeline_id}": "Pipeline",
    "/market/base-rates": "BaseRates",
    "/market/asset-types": "AssetTypes",
    "/me/accounts": "CurrentUser",
}
"""What the rows are where the description leaves data free."""
BODIES = {
    "/auth/validate-api-key": {"api_key": "lev_sk_other"},
    "/deals/{deal_id}/index/search": {"context": "What is the NOI?"},
    "/deals/{deal_id}/index/observations": {"metric_id": 4},
}


def _load() -> dict[str, Any]:
    if not DESCRIPTION.exists():
        return {"paths": {}, "components": {"schemas": {}}}
    found: dict[str, Any] = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return found


DOCUMENT = _load()


def _schema(node: Json) -> Json:
    """Return a schema as its texts mean it: nullable, and closed against made-up fields."""
    if isinstance(node, list):
        return [_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: _schema(value) for key, value in node.items() if key != "nullable"}
    if found.get("type") == "object" and found.get("properties"):
        found["additionalProperties"] = False
    if node.get("nullable"):
        found = {"anyOf": [found, {"type": "null"}]}
    return found


def _components() -> dict[str, Any]:
    found = {name: _schema(schema) for name, schema in DOCUMENT["components"]["schemas"].items()}
    for name, field in LIST_SLIPS & {(name, field) for name in found for _, field in LIST_SLIPS}:
        found[name]["properties"][field] = {"type": ["array", "null"]}
    return found


def _answer_schema(path: str, method: str) -> dict[str, Any]:
    responses = DOCUMENT["paths"][PREFIX + path][method.lower()]["responses"]
    schema = _schema(responses["200"]["content"]["application/json"]["schema"])
    if path in ROW_SCHEMAS:
        row = {"$ref": f"#/components/schemas/{ROW_SCHEMAS[path]}"}
        data = {"type": "array", "items": row} if path in DATA_SLIPS else row
        schema["properties"]["data"] = data
    schema["properties"].setdefault("pagination", {"type": "object"})
    return {**schema, "components": {"schemas": _components()}}


@pytest.mark.skipif(not DESCRIPTION.exists(), reason="the description is not beside the checkout")
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("form", ["default", "other"])
def test_answers_validate(lab: Lab, route: Route, form: str) -> None:
    if form == "other":
        lab.sandbox.switch(
            embedded_financials="whole", term_sheet_list="whole", timestamp_fractions=True,
            legacy_values=False, pagination_total=False, missing_financials="empty",
        )  # fmt: skip
    path = _filled(lab, route)
    params = {"include": "financials,properties,team,pipelines"} if route.include else {}
    body = BODIES.get(route.path)
    response = lab.ask(route.method, path, params=params, json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    schema = _answer_schema(route.path, route.method)
    if route.path in {"/deals", "/deals/{deal_id}"} and form == "default":
        # The reduced block has names that the description does not know.
        rows = answer["data"] if isinstance(answer["data"], list) else [answer["data"]]
        assert set().union(*(row["financials"] or {} for row in rows)) <= {
            "id", "noi", "purchase_price", "appraised_value", "ltv", "dscr",
        }  # fmt: skip
    jsonschema.Draft202012Validator(schema).validate(answer)
    rows = answer["data"]
    assert rows not in ([], {}, None), "an empty answer proves nothing"


def _filled(lab: Lab, route: Route) -> str:
    """Return the path to the first row of a route, or to the list it stands in."""
    row = lab.sandbox.rows(route.resource, parents=True)[0] if route.resource else {}
    names = re.findall(r"{(\w+)}", route.path)
    values = {name: row.get(name, 3) for name in names}
    if names and route.path.endswith(f"{{{names[-1]}}}"):
        values[names[-1]] = row.get("uuid") or row["id"]
    if route.path.endswith("/download"):
        values["document_id"] = row["id"]
    return route.path.format(**values)


@pytest.mark.skipif(not DESCRIPTION.exists(), reason="the description is not beside the checkout")
def test_every_described_operation_is_known() -> None:
    served = {(route.method, route.path) for route in ROUTES}
    for path, operations in DOCUMENT["paths"].items():
        for method in {"get", "post", "patch", "delete"} & operations.keys():
            known = (method.upper(), path.removeprefix(PREFIX))
            refused = known in VIOLATIONS or known[1] in {route.path for route in ROUTES}
            assert known in served or (method != "get" and refused), known
