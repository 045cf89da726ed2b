"""Values that stop a target: mended by the tap, all rows land."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.pipelines.targets import NO_DUCKDB, new_target
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import run_tap
from tests.unit.records.test_values import CASES, SPELLINGS, answering, contacts

if TYPE_CHECKING:
    from pathlib import Path

    from devtools.postgres import Server
    from tests.conftest import StartLev

TARGETS = ["target-postgres", "target-jsonl", *([] if NO_DUCKDB else ["target-duckdb"])]
CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    *((change, becomes) for change, becomes, _ in CASES.values() if "id" not in change),
    *(
        ({"created_at": text}, {"created_at": "2026-11-26T10:00:00Z"})
        for text in SPELLINGS.values()
    ),
]
"""What is changed in a row each, and what it is after that."""


@pytest.mark.parametrize("validate", [True, False], ids=["validating", "trusting"])
@pytest.mark.parametrize("name", TARGETS)
def test_mended_values_and_the_rows_beside_them_land(
    start_lev: StartLev, name: str, tmp_path: Path, postgres: Server, *, validate: bool
) -> None:
    lev = start_lev(contacts=len(CHANGES) + 2)
    rows = contacts(lev)
    expected = {(row["id"],): dict(row) for row in rows}
    for row, (change, becomes) in zip(rows, CHANGES, strict=False):
        row.update(change)
        expected[row["id"],] |= becomes
    rows[-1]["id"] = float(rows[-1]["id"])
    answering(lev, rows)
    run = run_tap(config_of(lev), catalog=catalog_of("contacts"))
    assert run.exit_code == 0, run.stderr

    target = new_target(name, tmp_path, postgres, validate_records=validate)
    target.load(run.lines)
    landed = target.tables(["contacts"])["contacts"]
    assert landed.keys() == expected.keys()
    for key, row in expected.items():
        found = {column: landed[key][column] for column in row}
        assert found == row, key
