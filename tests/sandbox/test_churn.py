"""Random changes to rows."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from lev_sandbox import RESOURCES, Sandbox
from lev_sandbox.churn import ACTS, ADDABLE, LASTING, Churn

if TYPE_CHECKING:
    from tests.sandbox.lab import Lab

SMALL = {"deals": 6, "contacts": 8, "companies": 4, "placements": 8, "lenders": 4}


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("act", ACTS)
def test_an_act_changes_a_resource_or_cannot_be_drawn(resource: str, act: str) -> None:
    sandbox = Sandbox(**SMALL)
    before = sandbox.rows(resource)
    change = Churn(sandbox, random.Random(1), [resource], acts={act: 1}).change()
    possible = {
        "touch": RESOURCES[resource].touch is not None,
        "add": resource in ADDABLE,
        "archive": resource in {"deals", "placements"},
        "remove": resource not in LASTING and len(before) > 1,
    }
    assert (change is not None) == possible[act]
    assert (sandbox.rows(resource) != before) == possible[act]


def test_so_many_rows_stay() -> None:
    sandbox = Sandbox(contacts=8)
    churn = Churn(sandbox, random.Random(1), ["contacts"], acts={"remove": 1}, least=5)
    while churn.change():
        pass
    assert len(sandbox.rows("contacts")) == 5
    assert (churn.made, len(churn.removed["contacts"])) == (3, 3)


def test_rows_behind_a_reader_change_as_often_as_others() -> None:
    churn = Churn(Sandbox(contacts=1000), random.Random(1), ["contacts"], acts={"touch": 1})
    numbers = [churn.change(behind=5).number for _ in range(200)]
    assert 70 < sum(number <= 5 for number in numbers) < 130


def test_changes_are_made_at_requests(lab: Lab) -> None:
    churn = Churn(lab.sandbox, random.Random(1), ["contacts"])
    churn.rate = 0.9
    stop = lab.sandbox.on_request(churn.on_request)
    lab.data("/contacts")
    made = churn.made
    assert made > 0
    stop()
    lab.data("/contacts")
    assert churn.made == made


def test_changes_can_be_asked_for_over_http(lab: Lab) -> None:
    given = {"resources": ["contacts"], "acts": {"touch": 1}, "count": 3, "seed": 4}
    before = lab.sandbox.rows("contacts")
    changes = lab.control("POST", "/churn", **given).json()["changes"]
    changed = {row["id"] for row in lab.sandbox.rows("contacts") if row not in before}
    assert {change["number"] for change in changes} == changed
    assert {change["act"] for change in changes} == {"touch"}
    lab.sandbox.reset()
    assert lab.control("POST", "/churn", **given).json()["changes"] == changes
    assert lab.control("POST", "/churn", resources=["nothing"]).status_code == 404
    assert lab.control("POST", "/churn", nothing=1).status_code == 400
