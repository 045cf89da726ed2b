"""What docs/meltano.md tells of Meltano, its hub and Dagster: each command and example is tried."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from demo.meltano import MELTANO, OWN_VARIABLES, plugin_program
from tap_lev.settings import SETTINGS
from tests.pipelines.shell import ROOT, Shell, commands
from tests.pipelines.tables import CORE, DEFAULT, in_lev, in_postgres
from tests.support import Run

if TYPE_CHECKING:
    from pathlib import Path

    from demo.postgres import Database, Server
    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev

PAGE = (ROOT / "docs" / "meltano.md").read_text(encoding="utf-8")
ADD, RUN_ACCOUNTS, DAGSTER = commands("docs/meltano.md")
SELECT, ACCOUNTS = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
CRON = re.findall(r"^(\S+ \S+ \S+ \S+ \S+)  cd /srv/lev && (.*)$", PAGE, re.MULTILINE)
PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
ENTRY = (ROOT / "hub" / "tap-lev.yml").read_text(encoding="utf-8")
DAGSTER_PYTHON = ROOT / ".venv-dagster" / "bin" / "python"
FEW = {"deals": 8, "placements": 6, "contacts": 25, "companies": 5}
NIGHTLY = ("term_sheets", "documents", "deal_notes", "placement_notes")
needs_flock = pytest.mark.skipif(not shutil.which("flock"), reason="there is no flock")


# -- The definition


def schema() -> dict[str, Any]:
    """Meltano's own schema of a project."""
    (file,) = MELTANO.parents[1].glob("lib/python*/site-packages/meltano/schemas/*.schema.json")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def test_the_project_is_one_by_meltanos_schema() -> None:
    known = schema()
    loader = known["$defs"]["plugins"]["loaders"]["allOf"][1]["properties"]
    # The hub's schema knows these, Meltano's not yet.
    loader["capabilities"]["items"]["enum"] += ["target-schema", "validate-records"]
    jsonschema.Draft202012Validator(known).validate(PROJECT)


def test_the_entry_for_the_hub_is_made_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("hub", ROOT / "docs" / "hub.py")
    assert spec is not None
    assert spec.loader is not None
    hub = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hub)
    assert hub.written(hub.definition()) == ENTRY, "run: python docs/hub.py"


def test_the_entry_for_the_hub_has_the_settings_of_the_code() -> None:
    entry = yaml.safe_load(ENTRY)
    found = {setting["name"]: setting for setting in entry["settings"]}
    for name, setting in SETTINGS["properties"].items():
        assert found[name].get("value") == setting.get("default"), name
        assert found[name].get("sensitive", False) == setting.get("secret", False), name
        assert found[name]["description"] == setting["description"], name
    assert {"stream_maps", "flattening_enabled"} <= found.keys()
    assert entry["select"] == [f"{name}.*" for name in DEFAULT]
    known = schema()["$defs"]["base_setting"]
    known = known | {"$defs": schema()["$defs"]}
    for setting in entry["settings"]:
        jsonschema.Draft202012Validator(known).validate(setting)


# -- Meltano


@pytest.fixture
def lev(start_lev: StartLev) -> SandboxServer:
    """A small account."""
    return start_lev(**FEW)


@pytest.fixture
def database(postgres: Server) -> Database:
    """A database."""
    return postgres.create_database()


def test_the_tap_is_added_to_a_project_without_a_question(
    lev: SandboxServer, tmp_path: Path
) -> None:
    project = tmp_path / "meltano.yml"
    project.write_text("environments: [{name: prod}]\ndefault_environment: prod\nproject_id: new\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(OWN_VARIABLES)}
    environment["PATH"] = f"{MELTANO.parent}{os.pathsep}{environment['PATH']}"

    def shell(command: str, **more: str) -> str:
        done = subprocess.run(
            ["/bin/bash", "-e", "-c", command],
            cwd=tmp_path,
            env={**environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert lev.key not in done.stderr
        return done.stdout

    def plugin() -> dict[str, Any]:
        (found,) = yaml.safe_load(project.read_text())["plugins"]["extractors"]
        return dict(found)

    steps = ADD.replace("/path/to/tap-lev", str(ROOT)).replace("lev_sk_…", lev.key)
    prepare, add, *configure, install = steps.strip().splitlines()
    shell(f"{prepare}\n{add}")
    assert "select" not in plugin(), "Meltano takes it over by now, which the page may say"
    shell("\n".join(configure))
    assert plugin()["pip_url"] == str(ROOT)
    assert plugin()["select"] == [f"{name}.*" for name in DEFAULT]
    assert lev.key not in project.read_text()
    assert lev.key in (tmp_path / ".env").read_text()

    # In place of the installation, which takes what it needs from elsewhere.
    assert install == "meltano install"
    programs = tmp_path / ".meltano" / "extractors" / "tap-lev" / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "tap-lev").symlink_to(plugin_program("extractors", "tap-lev"))
    written = shell(
        "meltano invoke --no-install tap-lev",
        TAP_LEV_API_URL=lev.url,
        TAP_LEV__SELECT=json.dumps(SELECT["select"]),
    )
    run = Run(0, written.splitlines(keepends=True), "")
    columns = {m["stream"]: m["schema"]["properties"].keys() for m in run.of("SCHEMA")}
    assert columns.keys() == {"deals", "contacts", "term_sheets"}
    assert {"id", "email"} <= columns["contacts"]
    assert "first_name" not in columns["contacts"]
    assert "description" not in columns["deals"]
    assert len(run.records("contacts")) == FEW["contacts"]


def test_the_page_and_cron_have_the_schedules_of_the_project() -> None:
    for schedule in PROJECT["schedules"]:
        name, interval = schedule["name"], schedule["interval"]
        assert f"| `{name}` | `{interval}` |" in PAGE
        command = f"flock .meltano/lev.lock meltano --environment=prod schedule run {name}"
        assert (interval, command) in CRON
    assert len(CRON) == len(PROJECT["schedules"])


EXECUTE = """
import sys, dagster_lev
(schedule,) = [each for each in dagster_lev.schedules if each.job.name == sys.argv[1]]
print(schedule.cron_schedule)
print(dagster_lev.defs.resolve_job_def(sys.argv[1]).execute_in_process().success)
"""


@needs_flock
@pytest.mark.skipif(not DAGSTER_PYTHON.exists(), reason="make test installs Dagster")
def test_the_schedules_share_a_state_and_leave_the_tables_complete(
    lev: SandboxServer, database: Database, tmp_path: Path
) -> None:
    shell = Shell(lev, database, tmp_path, "prod")
    (interval, hourly), (_, nightly), (_, weekly) = CRON
    (tmp_path / "dagster").mkdir()
    shutil.copy(ROOT / "examples" / "dagster_lev.py", tmp_path)
    variable, _, names = DAGSTER.partition(" ")[0].partition("=")
    assert names == "east,west"
    done = shell(
        f"{DAGSTER_PYTHON} -c '{EXECUTE}' prod_{hourly.rpartition(' ')[2]}",
        **{variable: "prod", "DAGSTER_HOME": str(tmp_path / "dagster")},
    )
    first, *_, last = done.stdout.splitlines()
    assert (first, last) == (interval, "True"), done.stderr[-3000:]
    for stream in DEFAULT:
        assert in_postgres(database, stream) == in_lev(lev, stream), stream

    lev.sandbox.clock.advance(3600)
    for stream in CORE:
        lev.sandbox.remove(stream, 2)
    shell.well(nightly)
    for stream in NIGHTLY:
        assert in_postgres(database, stream) == in_lev(lev, stream), stream
    assert (2,) in in_postgres(database, "contacts")

    lev.sandbox.clock.advance(3600)
    shell.well(weekly)
    for stream in DEFAULT:
        assert in_postgres(database, stream) == in_lev(lev, stream), stream
    bookmarks = shell.project.state()["singer_state"]["bookmarks"]
    assert set(bookmarks) == {*DEFAULT, *NIGHTLY}


@needs_flock
def test_accounts_have_tables_and_states_of_their_own(
    start_lev: StartLev, database: Database, tmp_path: Path
) -> None:
    names = ("east", "west")
    levs = {name: start_lev(**FEW, seed=seed) for seed, name in enumerate(names, start=1)}
    shell = Shell(levs["east"], database, tmp_path)
    environment = shell.project.environment
    for name, lev in levs.items():
        environment[f"LEV_KEY_{name.upper()}"] = lev.key
    for name in ("TAP_LEV_API_KEY", "TAP_LEV_API_URL", "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA"):
        del environment[name]
    environments = ACCOUNTS["environments"]
    for each in environments:
        (tap,) = each["config"]["plugins"]["extractors"]
        tap["config"]["api_url"] = levs[each["name"]].url
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump(PROJECT | {"environments": environments}))

    with ThreadPoolExecutor() as pool:
        list(pool.map(shell.well, RUN_ACCOUNTS.strip().splitlines()))

    for name, lev in levs.items():
        for stream in CORE:
            landed = in_postgres(database, stream, f"lev_{name}")
            assert landed == in_lev(lev, stream), (name, stream)
    assert in_lev(levs["east"], "deals") != in_lev(levs["west"], "deals")
    listed = shell("meltano --environment=east state list").stdout.split()
    assert sorted(listed) == [f"{name}:tap-lev-to-target-postgres" for name in names]
