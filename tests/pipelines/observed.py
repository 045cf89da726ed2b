"""What each target does with the rows of the tap: ``python -m tests.pipelines.observed``.

It loads three runs into each and looks at what is there. The table goes into docs/targets.md.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import psycopg.rows
from psycopg import sql

from devtools.meltano import plugin_program
from devtools.postgres import running_postgres
from lev_sandbox import Sandbox, SandboxServer
from tests.pipelines.tables import SCHEMA, SMALL
from tests.pipelines.targets import SETTINGS, new_target
from tests.support.inprocess import config_of, sync

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.pipelines.tables import Row
    from tests.pipelines.targets import Target

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "targets.md"
TABLE = re.compile(r"(?<=<!-- targets -->\n).*?(?=<!-- /targets -->)", re.DOTALL)
STREAMS = ("contacts", "deals", "asset_types", "checklist_tasks")
CHANGED, GONE, EMPTY, NULL = 3, 2, 4, 5
"""Ids of contacts: one that changes, two whose department is so. And of an asset type that goes."""
NEW_COLUMN = "_unknown_fields"

READ_DUCKDB = """
import json, sys, duckdb
table = f'"{sys.argv[2]}"."{sys.argv[3]}"'
connection = duckdb.connect(sys.argv[1], read_only=True)
columns = connection.execute(f"DESCRIBE {table}").fetchall()
rows = connection.execute(f"SELECT * FROM {table}").fetchall()
names = [column[0] for column in columns]
print(json.dumps([
    {column[0]: column[1].lower() for column in columns}, [dict(zip(names, row)) for row in rows]
], default=str))
"""


@dataclass(frozen=True)
class Stored:
    """What a target has written of a stream.

    Attributes:
        rows: The rows as they are read back, older ones of the same key before newer ones.
        kinds: The type of each column, as the target's place knows it.
    """

    rows: list[Row]
    kinds: dict[str, str]

    def of(self, number: int) -> list[Row]:
        """The rows of an id."""
        return [row for row in self.rows if str(row["id"]) == str(number)]


def runs(**settings: object) -> list[list[str]]:
    """Three runs of the tap, each from the state of the one before.

    In the second something has changed and something is gone, in the third a column is new.

    Args:
        **settings: Further settings of the tap.
    """
    with SandboxServer(Sandbox(**SMALL)) as lev:
        box = lev.sandbox
        config = config_of(lev, page_size=5, emit_activate_version_messages=True, **settings)
        box.update("contacts", EMPTY, department="")
        box.update("contacts", NULL, department=None)
        box.clock.advance(3600)
        first = sync(config, streams=STREAMS)
        box.clock.advance(3600)
        box.touch("contacts", ids=[CHANGED])
        box.remove("asset_types", GONE)
        second = sync(config, streams=STREAMS, state=first.state)
        box.clock.advance(3600)
        box.switch(extra_fields={"contacts": ["nickname"]})
        box.touch("contacts", ids=[CHANGED])
        third = sync(config | {"unknown_fields": "collect"}, streams=STREAMS, state=second.state)
        assert not any(run.exit_code for run in (first, second, third))
        return [first.lines, second.lines, third.lines]


def observe(target: Target, loads: Iterable[list[str]]) -> dict[str, str]:
    """Load three runs and answer the questions of the table."""
    first, second, third = loads
    target.load(first)
    before, states = stored(target, "contacts"), len(target.states)
    deals = stored(target, "deals")
    target.load(second)
    changed, asset_types = stored(target, "contacts"), stored(target, "asset_types")
    target.load(third)
    after = stored(target, "contacts")

    assert len(before.of(CHANGED)) == 1
    assert {str(n) for n in range(1, 21)} == {str(row["id"]) for row in after.rows}
    empty, null = before.of(EMPTY)[0]["department"], before.of(NULL)[0]["department"]
    is_one = len(changed.of(CHANGED)) == 1
    is_file = target.name in {"target-jsonl", "target-csv"}
    return {
        "release": f"`{release(target.name)}`",
        "a row that changed": f"{'replaces' if is_one else 'comes after'} the older one",
        "a row that is gone from Lev": "stays" if asset_types.of(GONE) else "is deleted",
        "an object (`deals.financials`)": deals.kinds["financials"],
        "a list of texts (`contacts.contact_types`)": before.kinds["contact_types"],
        "a list of objects (`contacts.phones`)": before.kinds["phones"],
        "a moment (`updated_at`)": before.kinds["updated_at"],
        "an amount (`deals.loan_amount`)": deals.kinds["loan_amount"],
        "null and the empty text": "told apart" if empty != null else "the same",
        "a column that is new": (
            "is there in new rows" if is_file else "is added, null in older rows"
        ) if _came_later(before, after) else "is missing",
        "states given back": "one, at the end" if states == 1 else "after each batch",
    }  # fmt: skip


def _came_later(before: Stored, after: Stored) -> bool:
    newest, untouched = after.of(CHANGED)[-1], after.of(CHANGED + 1)[-1]
    return (
        NEW_COLUMN not in before.kinds
        and "nickname" in str(newest[NEW_COLUMN])
        and not untouched.get(NEW_COLUMN)
    )


def stored(target: Target, stream: str) -> Stored:
    """Read what a target has written of a stream, as it is."""
    match target.name:
        case "target-jsonl":
            lines = (target.directory / f"{stream}.jsonl").read_text(encoding="utf-8").splitlines()
            rows = [json.loads(line) for line in lines]
            return Stored(rows, _kinds(rows))
        case "target-csv":
            rows = []
            for file in sorted(target.directory.glob(f"{stream}-2*.csv")):
                with file.open(encoding="utf-8", newline="") as written:
                    rows += csv.DictReader(written)
            return Stored(rows, _kinds(rows))
        case "target-duckdb":
            python = plugin_program("loaders", target.name).parent / "python"
            file = target.directory / target.settings["path"]
            done = subprocess.run(
                [python, "-c", READ_DUCKDB, file, SCHEMA, stream],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            kinds, rows = json.loads(done.stdout)
            return Stored(rows, {name: f"`{kind}`" for name, kind in kinds.items()})
    names = ("host", "port", "user", "password")
    options = {name: target.settings[name] for name in names}
    with psycopg.connect(
        **options, dbname=target.settings["database"], row_factory=psycopg.rows.dict_row
    ) as connection:
        rows = connection.execute(
            sql.SQL("SELECT * FROM {}").format(sql.Identifier(SCHEMA, stream))
        ).fetchall()
        columns = connection.execute(
            "SELECT attname AS name, format_type(atttypid, NULL) AS kind FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0",
            (f"{SCHEMA}.{stream}",),
        ).fetchall()
    return Stored(rows, {column["name"]: f"`{column['kind']}`" for column in columns})


def _kinds(rows: list[Row]) -> dict[str, str]:
    """What the columns of a file look like, by their first value."""
    found: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            if value not in (None, ""):
                found.setdefault(name, _kind(value))
    return found


def _kind(value: object) -> str:
    match value:
        case dict():
            return "object"
        case list():
            return "list"
        case int() | float():
            return "number"
    text = str(value)
    if moment := re.fullmatch(r"[-\d]+[T ][:\d]+(Z|\+00:00)", text):
        return f"text ending in `{moment[1]}`"
    if text[0] in "[{":
        return "text, as JSON" if _is_json(text) else "text, as Python writes it"
    return "text"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def release(name: str) -> str:
    """The pinned release of a target."""
    pinned = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    found = re.search(rf"^\S*{name}==(\S+)", pinned, re.MULTILINE)
    assert found
    return found[1]


def table(answers: Mapping[str, Mapping[str, str]]) -> str:
    """Build the table of the page."""
    questions = list(next(iter(answers.values())))
    rows = [[question, *(of[question] for of in answers.values())] for question in questions]
    lines = [["", *answers], ["---"] * (len(answers) + 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def told() -> dict[str, dict[str, str]]:
    """What the page tells of each target."""
    found = TABLE.search(PAGE.read_text(encoding="utf-8"))
    assert found
    (_, *names), _, *rows = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in found[0].splitlines()
    )
    return {
        name: {row[0]: row[number] for row in rows} for number, name in enumerate(names, start=1)
    }


def _main() -> None:
    loads = runs()
    found = {}
    with tempfile.TemporaryDirectory() as directory, running_postgres() as server:
        for name in SETTINGS:
            place = Path(directory) / name
            place.mkdir()
            found[name] = observe(new_target(name, place, server, batch_size_rows=5), loads)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: table(found), page), encoding="utf-8")


if __name__ == "__main__":
    _main()
