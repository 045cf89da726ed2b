"""What docs/targets.md tells of the targets is what they do."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from devtools.meltano import plugin_program
from tests.pipelines.observed import CHANGED, PAGE, observe, runs, stored, told
from tests.pipelines.tables import SCHEMA
from tests.pipelines.targets import SETTINGS, TARGETS, needs_duckdb, new_target

if TYPE_CHECKING:
    from pathlib import Path

    from devtools.postgres import Server

Runs = list[list[str]]


@pytest.fixture(scope="module")
def loads() -> Runs:
    """Three runs of the tap."""
    return runs()


@pytest.mark.parametrize("name", TARGETS)
def test_the_page_tells_what_a_target_does(
    loads: Runs, name: str, tmp_path: Path, postgres: Server
) -> None:
    target = new_target(name, tmp_path, postgres, batch_size_rows=5)
    assert told()[name] == observe(target, loads), "run: python -m tests.pipelines.observed"


def test_the_page_has_every_target_of_the_project() -> None:
    assert list(told()) == list(SETTINGS)


@needs_duckdb
def test_duckdb_writes_parquet(loads: Runs, tmp_path: Path, postgres: Server) -> None:
    (command,) = re.findall(r"```sql\n(.*)\n```", PAGE.read_text(encoding="utf-8"))
    target = new_target("target-duckdb", tmp_path, postgres)
    target.load(loads[0])
    python = plugin_program("loaders", "target-duckdb").parent / "python"
    script = (
        "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2])\n"
        "print(duckdb.sql(\"SELECT count(*) FROM 'contacts.parquet'\").fetchone()[0])"
    )
    done = subprocess.run(
        [python, "-c", script, target.settings["path"], command.replace("lev.", f"{SCHEMA}.")],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert int(done.stdout) == len(stored(target, "contacts").rows)


# -- Settings of target-csv that one might choose


@pytest.mark.parametrize("behaviour", ["append_records", "replace_file"])
def test_without_a_moment_in_its_name_each_run_begins_a_file_anew(
    loads: Runs, behaviour: str, tmp_path: Path, postgres: Server
) -> None:
    target = new_target(
        "target-csv",
        tmp_path,
        postgres,
        file_naming_scheme="{stream_name}-2.csv",
        overwrite_behavior=behaviour,
    )
    target.load(loads[0])
    assert len(stored(target, "contacts").rows) > 1
    target.load(loads[1])
    assert [row["id"] for row in stored(target, "contacts").rows] == [str(CHANGED)]


def test_flattened_by_the_tap_what_is_nested_is_json_in_csv(
    tmp_path: Path, postgres: Server
) -> None:
    target = new_target("target-csv", tmp_path, postgres)
    (first, *_) = runs(flattening_enabled=True, flattening_max_depth=1)
    target.load(first)
    assert stored(target, "deals").kinds["financials"] == "text, as JSON"
    assert stored(target, "contacts").kinds["phones"] == "text, as JSON"


def test_flattened_by_the_target_a_null_object_stops_it(
    loads: Runs, tmp_path: Path, postgres: Server
) -> None:
    target = new_target(
        "target-csv", tmp_path, postgres, flattening_enabled=True, flattening_max_depth=1
    )
    with pytest.raises(AssertionError, match="dict contains fields not in fieldnames"):
        target.load(loads[0])
