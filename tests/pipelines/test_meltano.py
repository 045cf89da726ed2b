"""What docs/meltano.md tells of Meltano, its hub and Dagster: each command and example is tried."""

from __future__ import annotations

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

from devtools import hub
from devtools.meltano import MELTANO, OWN_VARIABLES, plugin_program
from tap_lev.config.settings import SETTINGS, SHARED
from tests.pipelines.shell import ROOT, Shell, commands
from tests.pipelines.tables import CORE, DEFAULT, in_lev, in_postgres
from tests.support.process import Run

if TYPE_CHECKING:
    from pathlib import Path

    from devtools.postgres import Database, Server
    from lev_sandbox import SandboxServer
    from tests.conftest import StartLev

PAGE = (ROOT / "docs" / "meltano.md").read_text(encoding="utf-8")
PASTED_RUN, ADD, MAPS, RUN_ACCOUNTS, DAGSTER = commands("docs/meltano.md")
PASTED, SELECT, ACCOUNTS = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
CRON = re.findall(r"^(\S+ \S+ \S+ \S+ \S+)  cd /srv/lev && (.*)$", PAGE, re.MULTILINE)
PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
ENTRY = (ROOT / "deploy" / "hub" / "tap-lev.yml").read_text(encoding="utf-8")
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
    assert hub.rendered(hub.definition()) == ENTRY, "run: python -m devtools.hub"


def test_the_entry_for_the_hub_has_the_settings_of_the_code() -> None:
    entry = yaml.safe_load(ENTRY)
    found = {setting["name"]: setting for setting in entry["settings"]}
    for name, setting in SETTINGS["properties"].items():
        assert found[name].get("value") == setting.get("default"), name
        assert found[name].get("sensitive", False) == setting.get("secret", False), name
        assert found[name]["description"] == setting["description"], name
    assert found.keys() - SETTINGS["properties"].keys() == SHARED.keys()
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


def test_the_block_to_paste_has_the_settings_and_the_selection_of_the_hub() -> None:
    (pasted,), entry = PASTED["plugins"]["extractors"], yaml.safe_load(ENTRY)
    for name in ("name", "namespace", "executable", "capabilities", "select"):
        assert pasted[name] == entry[name], name
    assert pasted["settings"] == [
        {
            "name": setting["name"],
            # Which values there are, the tap tells itself.
            "kind": setting["kind"].replace("options", "string"),
            **({"sensitive": True} if setting.get("sensitive") else {}),
        }
        for setting in entry["settings"]
    ]
    assert pasted["config"] == PROJECT["plugins"]["extractors"][0]["config"]


class NewProject:
    """A Meltano project of a user's, in which the commands of the page are run.

    Args:
        lev: The Lev to read.
        directory: Where the project is.
        plugins: Its plugins, if it has any yet.
    """

    def __init__(self, lev: SandboxServer, directory: Path, **plugins: Any) -> None:  # noqa: ANN401
        self.lev, self.directory = lev, directory
        self.file = directory / "meltano.yml"
        self.file.write_text(
            yaml.safe_dump(
                {
                    "environments": [{"name": "prod"}],
                    "default_environment": "prod",
                    "project_id": "new",
                    "plugins": plugins,
                }
            )
        )
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(OWN_VARIABLES)}
        self.environment["PATH"] = f"{MELTANO.parent}{os.pathsep}{self.environment['PATH']}"

    def shell(self, command: str) -> None:
        done = self._run(["/bin/bash", "-e", "-c", command])
        assert done.returncode == 0, done.stderr[-2000:]

    def plugin(self) -> dict[str, Any]:
        (found,) = yaml.safe_load(self.file.read_text())["plugins"]["extractors"]
        return dict(found)

    def invoke(self, *args: str, **more: str) -> Run:
        # In place of the installation, which takes what it needs from elsewhere.
        programs = self.directory / ".meltano" / "extractors" / "tap-lev" / "venv" / "bin"
        if not programs.exists():
            programs.mkdir(parents=True)
            (programs / "tap-lev").symlink_to(plugin_program("extractors", "tap-lev"))
        command = [str(MELTANO), "invoke", "--no-install", "tap-lev", *args]
        done = self._run(
            command, TAP_LEV_API_URL=self.lev.url, TAP_LEV_API_KEY=self.lev.key, **more
        )
        return Run(done.returncode, done.stdout.splitlines(keepends=True), done.stderr)

    def _run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.directory,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert self.lev.key not in done.stderr
        return done


def prepared(steps: str, lev: SandboxServer) -> str:
    assert steps.strip().endswith("\nmeltano install")
    return (
        steps.strip()
        .removesuffix("meltano install")
        .replace("/path/to/tap-lev", str(ROOT))
        .replace("lev_sk_…", lev.key)
    )


def test_the_block_that_is_pasted_reads_the_streams_that_cost_little(
    lev: SandboxServer, tmp_path: Path
) -> None:
    project = NewProject(lev, tmp_path, **PASTED["plugins"])
    project.shell(prepared(PASTED_RUN, lev))
    assert lev.key not in project.file.read_text()
    assert lev.key in (tmp_path / ".env").read_text()
    run = project.invoke()
    assert run.exit_code == 0, run.stderr
    assert {m["stream"] for m in run.of("SCHEMA")} == set(DEFAULT)
    assert run.of("ACTIVATE_VERSION")


def test_the_tap_is_added_to_a_project_without_a_question(
    lev: SandboxServer, tmp_path: Path
) -> None:
    project = NewProject(lev, tmp_path)
    prepare, add, *configure = prepared(ADD, lev).strip().splitlines()
    project.shell(f"{prepare}\n{add}")
    assert "select" not in project.plugin(), "Meltano takes it over by now, which the page may say"
    project.shell("\n".join(configure))
    plugin = project.plugin()
    assert plugin["pip_url"] == str(ROOT)
    assert plugin["select"] == [f"{name}.*" for name in DEFAULT]
    assert lev.key not in project.file.read_text()
    assert lev.key in (tmp_path / ".env").read_text()
    run = project.invoke(TAP_LEV__SELECT=json.dumps(SELECT["select"]))
    assert run.exit_code == 0, run.stderr
    columns = {m["stream"]: m["schema"]["properties"].keys() for m in run.of("SCHEMA")}
    assert columns.keys() == {"deals", "contacts", "term_sheets"}
    assert {"id", "email"} <= columns["contacts"]
    assert "first_name" not in columns["contacts"]
    assert "description" not in columns["deals"]
    assert len(run.records("contacts")) == FEW["contacts"]


# -- Settings that come through Meltano

CONTACTS = {"TAP_LEV__SELECT": '["contacts.*"]'}
HASHED = {"contacts": {"email": "md5(email)"}}


def pasted(lev: SandboxServer, directory: Path, **config: Any) -> NewProject:  # noqa: ANN401
    (plugin,) = PASTED["plugins"]["extractors"]
    return NewProject(lev, directory, extractors=[plugin | {"config": config}])


@pytest.mark.parametrize(
    ("maps", "others"),
    [
        pytest.param({"email": "md5(email)"}, {}, id="hashed"),
        pytest.param({"email": None}, {}, id="null"),
        pytest.param({"email": "__NULL__"}, {}, id="NULL"),
        pytest.param({"email": None, "first_name": "md5(first_name)"}, {}, id="null and hashed"),
        pytest.param({"email": "md5(email)"}, {"deals": None}, id="null for a stream"),
        pytest.param(
            {"email": None}, {"documents": {"file_name": None}}, id="a stream not selected"
        ),
    ],
)
@pytest.mark.parametrize("way", ["file", "variable", "config set"])
def test_no_email_leaves_that_a_map_hides_whichever_way_it_comes(
    lev: SandboxServer, tmp_path: Path, maps: dict[str, Any], others: dict[str, Any], way: str
) -> None:
    maps, variables = {"contacts": maps, **others}, dict(CONTACTS)
    project = pasted(lev, tmp_path, **({"stream_maps": maps} if way == "file" else {}))
    if way == "variable":
        variables["TAP_LEV_STREAM_MAPS"] = json.dumps(maps)
    if way == "config set":
        project.shell(f"meltano config set tap-lev stream_maps '{json.dumps(maps)}'")
    run = project.invoke(**variables)
    assert run.exit_code == 0, run.stderr
    assert {m["stream"] for m in run.of("SCHEMA")} == {"contacts"}
    rows = run.records("contacts")
    assert len(rows) == FEW["contacts"]
    is_hashed = maps["contacts"]["email"] == "md5(email)"
    assert [row for row in rows if "@" in str(row.get("email", ""))] == []
    assert all(("email" in row) == is_hashed for row in rows)


def test_the_map_of_the_page_hides_what_it_says(lev: SandboxServer, tmp_path: Path) -> None:
    project = pasted(lev, tmp_path)
    project.shell(MAPS)
    run = project.invoke(**CONTACTS)
    assert run.exit_code == 0, run.stderr
    assert len(run.records("contacts")) == FEW["contacts"]
    for row in run.records("contacts"):
        assert "phones" not in row
        assert "@" not in str(row["email"])


@pytest.mark.parametrize(
    ("variables", "undeclared", "sentence"),
    [
        (
            {"TAP_LEV_STREAM_MAPS": json.dumps(HASHED)},
            "stream_maps",
            "lacks the setting: add {name: stream_maps, kind: object} to the plugin's settings in",
        ),
        (
            {"TAP_LEV_STREAM_MAPS_CONTACTS_EMAIL": "md5(email)"},
            None,
            "The environment variable TAP_LEV_STREAM_MAPS_CONTACTS_EMAIL is not read: give all",
        ),
        (
            {"TAP_LEV_STREAM_MAPS": '{"contact": {"email": null}}'},
            None,
            "The setting stream_maps names 'contact', which is no stream: is it 'contacts'?",
        ),
        ({"TAP_LEV_STREAM_MAPS": "{}"}, None, "The setting stream_maps is empty."),
    ],
    ids=["undeclared", "one map", "no stream", "empty"],
)
def test_a_map_that_would_hide_nothing_is_refused(
    lev: SandboxServer,
    tmp_path: Path,
    variables: dict[str, str],
    undeclared: str | None,
    sentence: str,
) -> None:
    project = pasted(lev, tmp_path)
    written = yaml.safe_load(project.file.read_text())
    (plugin,) = written["plugins"]["extractors"]
    plugin["settings"] = [each for each in plugin["settings"] if each["name"] != undeclared]
    project.file.write_text(yaml.safe_dump(written))
    run = project.invoke(**CONTACTS, **variables)
    assert run.exit_code == 2
    assert sentence in run.stderr
    assert run.lines == []


def test_objects_become_columns_by_meltanos_config(lev: SandboxServer, tmp_path: Path) -> None:
    project = pasted(lev, tmp_path)
    project.shell("meltano config set tap-lev flattening_enabled true")
    project.shell("meltano config set tap-lev flattening_max_depth 1")
    run = project.invoke(TAP_LEV__SELECT='["billing_summary.*"]')
    assert run.exit_code == 0, run.stderr
    (schema,) = run.of("SCHEMA")
    assert any(name.startswith("credits__") for name in schema["schema"]["properties"])


@pytest.mark.parametrize("value", ['"true"', "true ", "on"])
def test_a_boolean_in_quotes_or_blanks_is_read_through_meltano(
    lev: SandboxServer, tmp_path: Path, value: str
) -> None:
    """Of a boolean, Meltano itself would make false."""
    project = pasted(lev, tmp_path)
    variables = {
        "TAP_LEV_EMIT_ACTIVATE_VERSION_MESSAGES": value,
        "TAP_LEV_FACT_QUERIES": "'[\"a\"]'",
    }
    run = project.invoke(TAP_LEV__SELECT='["pipelines.*"]', TAP_LEV_START_DATE="", **variables)
    assert run.exit_code == 0, run.stderr
    assert run.of("ACTIVATE_VERSION")


def test_a_boolean_that_is_none_is_refused_through_meltano(
    lev: SandboxServer, tmp_path: Path
) -> None:
    project = pasted(lev, tmp_path)
    run = project.invoke(TAP_LEV_EMIT_ACTIVATE_VERSION_MESSAGES="enabled", TAP_LEV_PAGESIZE="5")
    assert run.exit_code == 2
    assert "MESSAGES must be true or false, not 'enabled'." in run.stderr
    assert "'TAP_LEV_PAGESIZE': is it TAP_LEV_PAGE_SIZE?" in run.stderr


def test_meltanos_own_variables_are_no_unknown_settings(lev: SandboxServer, tmp_path: Path) -> None:
    """Those that it sets itself, and those of a plugin that inherits."""
    project = pasted(lev, tmp_path, stream_maps=HASHED)
    run = project.invoke(**CONTACTS, TAP_LEV_PROD__SELECT="[]", TAP_LEV_PROD_PAGE_SIZE="7")
    assert run.exit_code == 0, run.stderr
    assert "There is no setting" not in run.stderr


def test_a_selection_that_matches_nothing_is_refused(lev: SandboxServer, tmp_path: Path) -> None:
    run = pasted(lev, tmp_path).invoke(TAP_LEV__SELECT='["deal.*"]')
    assert run.exit_code == 2
    assert "No stream is selected. Select one: in Meltano by a line such as deals.*" in run.stderr
    assert run.lines == []


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
    shutil.copy(ROOT / "deploy" / "dagster" / "dagster_lev.py", tmp_path)
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
