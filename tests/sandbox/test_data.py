"""The generated data."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lev_sandbox import RESOURCES, SIZES, Sandbox
from lev_sandbox.data.draw import LAST_SECOND, stamp_text

SMALL = {"deals": 40, "contacts": 300, "companies": 50, "placements": 80, "lenders": 20}


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(**SMALL)


@pytest.mark.parametrize("name", RESOURCES)
def test_the_same_seed_makes_the_same_rows(sandbox: Sandbox, name: str) -> None:
    assert Sandbox(**SMALL).rows(name) == sandbox.rows(name)


def test_another_seed_makes_other_rows(sandbox: Sandbox) -> None:
    other = Sandbox(**SMALL, seed=2)
    for name, size in SIZES.items():
        if size and RESOURCES[name].stamped:
            assert other.rows(name) != sandbox.rows(name)
    assert other.key != sandbox.key


def test_rows_do_not_depend_on_the_sizes_of_others(sandbox: Sandbox) -> None:
    other = Sandbox(deals=90, contacts=100, companies=10, placements=5, lenders=20, term_sheets=9)
    assert other.rows("contacts") == sandbox.rows("contacts")[:100]
    assert other.rows("deals")[:40] == sandbox.rows("deals")
    assert other.rows("companies") == sandbox.rows("companies")[:10]
    notes = sandbox.rows("deal_notes", parents=True)
    assert [
        note for note in other.rows("deal_notes", parents=True) if note["deal_id"] <= 40
    ] == notes


@pytest.mark.parametrize("name", RESOURCES)
def test_keys_are_unique(sandbox: Sandbox, name: str) -> None:
    key = RESOURCES[name].key
    rows = sandbox.rows(name, parents=True)
    assert rows
    fields = (key,) if key != "entity_ref" else ("deal_id", key)
    if key is None:
        fields = ("deal_id", "pipeline_id")
    keys = [tuple(row[field] for field in fields) for row in rows]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", [name for name, each in RESOURCES.items() if each.stamped])
def test_moments_lie_before_the_present(sandbox: Sandbox, name: str) -> None:
    last = stamp_text(LAST_SECOND)
    rows = sandbox.rows(name)
    for row in rows:
        assert row.get("created_at", "2022") <= row["updated_at"] <= last
    assert len({row["updated_at"] for row in rows}) > 0.9 * len(rows)


def test_references_point_to_rows(sandbox: Sandbox) -> None:
    sizes = {name: sandbox.count(name) for name in ("deals", "contacts", "companies", "lenders")}
    for row in sandbox.rows("placements"):
        assert 1 <= row["deal_id"] <= sizes["deals"]
        assert row["contact_id"] is None or 1 <= row["contact_id"] <= sizes["contacts"]
        company = row["private_company_id"]
        assert company is None or 1 <= company <= sizes["companies"]
    vaults = {row["id"]: row["deal_id"] for row in sandbox.rows("vaults", parents=True)}
    for row in sandbox.rows("documents", parents=True):
        assert vaults[row["vault"]["id"]] == row["deal_id"]
    shared = [row for row in sandbox.rows("vaults") if row["type"] == "shared"]
    assert [row["vault"]["id"] for row in sandbox.rows("checklists")] == [
        row["id"] for row in shared
    ]
    users = {row["user_id"] for row in sandbox.rows("account_team")}
    assert {row["user_id"] for row in sandbox.rows("deal_team")} <= users


def test_other_accounts_deals_are_masked(sandbox: Sandbox) -> None:
    owners = {row["id"]: row["owner_account_id"] for row in sandbox.rows("deals")}
    masked = [row for row in sandbox.rows("placements") if owners[row["deal_id"]] != 56]
    assert masked
    for row in masked:
        hidden = (row["private_company_id"], row["contact_id"], row["contact_name"])
        assert hidden == (None, None, None)
        assert row["lender_name"].startswith("Lender ")
    sheets = [row for row in sandbox.rows("term_sheets") if owners[row["deal_id"]] != 56]
    assert sheets
    assert all(row["org_id"] is None and row["lender_name"][:7] == "Lender " for row in sheets)


def test_vaults_count_their_documents(sandbox: Sandbox) -> None:
    held = [row["vault"]["id"] for row in sandbox.rows("documents")]
    for row in sandbox.rows("vaults"):
        assert row["document_count"] == held.count(row["id"])


@pytest.mark.parametrize("name", ["contacts", "deals", "placements", "deal_notes"])
def test_values_are_of_all_kinds(sandbox: Sandbox, name: str) -> None:
    text = json.dumps(sandbox.rows(name), ensure_ascii=False)
    assert "null" in text
    assert name in {"deals", "placements"} or not text.isascii()


def test_rows_without_and_with_future_updated_at() -> None:
    sandbox = Sandbox(contacts=100, null_updated_every=10, future_updated_every=25)
    rows = sandbox.rows("contacts")
    assert [row["id"] for row in rows if row["updated_at"] is None] == list(range(10, 101, 10))
    future = [row["id"] for row in rows if (row["updated_at"] or "") > "2035"]
    assert future == [1, 26, 51, 76]


def test_sizes() -> None:
    sandbox = Sandbox(deals=0, contacts=0, term_sheets=5)
    assert sandbox.rows("deals") == sandbox.rows("term_sheets") == sandbox.rows("contacts") == []
    assert len(Sandbox(deals=100, term_sheets=5).rows("term_sheets")) == pytest.approx(500, rel=0.1)
    with pytest.raises(ValueError, match="There is no size 'people'; there are: deals, "):
        Sandbox(people=3)
    with pytest.raises(ValueError, match="The number of deals cannot be -1"):
        Sandbox(deals=-1)


def test_a_million_contacts_take_no_time_until_they_are_read() -> None:
    sandbox = Sandbox(contacts=1_000_000)
    assert sandbox.row("contacts", 1_000_000)["id"] == 1_000_000
    assert sandbox.row("contacts", 77) == Sandbox(contacts=100).row("contacts", 77)


def test_many_threads_at_once() -> None:
    sandbox = Sandbox(contacts=50)
    start = threading.Barrier(8)

    def work(thread: int) -> None:
        start.wait()
        for turn in range(50):
            sandbox.add("contacts", last_name=f"{thread}-{turn}")
            sandbox.update("contacts", turn + 1, title=f"{thread}")
            sandbox.rows("contacts")

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, thread) for thread in range(8)]:
            done.result()
    ids = [row["id"] for row in sandbox.rows("contacts")]
    assert ids == list(range(1, 451))
