"""Fields that Lev embeds when asked to: whatever a server leaves out, no row in them is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.expected_rows import by_key, landed, truth
from tests.support.inprocess import catalog_of, config_of, sync
from tests.support.process import Target

if TYPE_CHECKING:
    from lev_sandbox import Entry, Request, SandboxServer
    from tests.conftest import StartLev
    from tests.support.process import Run

STREAM_OF = {
    "financials": "deals",
    "properties": "deal_properties",
    "team": "deal_team_members",
    "pipelines": "deal_pipelines",
}
"""The stream that a block is for."""
ROWS_OF = {
    "financials": "deal_financials",
    "properties": "deal_properties",
    "team": "deal_team",
    "pipelines": "deal_pipelines",
}
"""What the sandbox calls the rows in it."""
VARIANTS = ("empty", "all", "some", "page", "everywhere")
PLAIN = ("deals", "deal_properties", "deal_team_members", "deal_pipelines")
"""Read in pages, without looking at each row."""
SINGLE = (*PLAIN, "documents")
"""Read row by row."""
SELECTED = pytest.mark.parametrize("streams", [PLAIN, SINGLE], ids=["pages", "rows"])
BLOCKS = pytest.mark.parametrize("block", STREAM_OF)


def asked(lev: SandboxServer, route: str) -> list[Entry]:
    return [entry for entry in lev.sandbox.requests if entry.route == route]


def check(run: Run, lev: SandboxServer, *streams: str) -> None:
    """Hold streams against what Lev has."""
    for stream in streams:
        assert landed(run, stream) == truth(lev, stream), stream


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelname in {"WARNING", "ERROR"}]


def is_complete(run: Run, stream: str) -> bool:
    assert run.state is not None
    entry = run.state["bookmarks"][stream]
    return bool(entry["replication_key_value"] or entry["completed_at"])


def cannot_be_had(block: str, variant: str) -> bool:
    """Whether a block comes in no way at all."""
    return variant == "everywhere" and block in {"financials", "pipelines"}


# -- Blocks that are missing


@SELECTED
@BLOCKS
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_full_walk_reads_what_is_missing(
    lev: SandboxServer,
    caplog: pytest.LogCaptureFixture,
    streams: tuple[str, ...],
    block: str,
    variant: str,
) -> None:
    lev.sandbox.switch(missing_blocks={block: variant})
    run = sync(config_of(lev, page_size=10), streams=streams)
    failing = STREAM_OF[block] if cannot_be_had(block, variant) else ""
    check(run, lev, *(stream for stream in streams if stream != failing))
    assert {stream for stream in streams if not is_complete(run, stream)} == {failing} - {""}
    assert run.exit_code == (1 if failing else 0)
    if failing == "deals":
        assert landed(run, "deals") == lev.sandbox.rows("deals"), "without the column"
    if failing:
        assert any(f"The stream {failing} is not complete: Lev does not embed {block}" in text
                   for text in warnings(caplog))  # fmt: skip
    if variant in {"empty", "page", "some"}:
        assert warnings(caplog) == []


@SELECTED
@BLOCKS
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_walk_of_changed_rows_reads_what_is_missing(
    lev: SandboxServer, streams: tuple[str, ...], block: str, variant: str
) -> None:
    config, target = config_of(lev, page_size=5, per_parent_scope="changed"), Target()
    target.load(sync(config, streams=streams).messages)
    lev.sandbox.clock.advance(3600)
    changed = {row["id"] for row in lev.sandbox.touch("deals", 17)}
    lev.sandbox.clock.advance(3600)
    lev.sandbox.switch(missing_blocks={block: variant})
    run = sync(config, streams=streams, state=target.state)
    target.load(run.messages)
    assert run.exit_code == (1 if cannot_be_had(block, variant) else 0)
    for stream in PLAIN:  # what cannot be had keeps the values that the target has
        assert by_key(stream, target.rows(stream)) == truth(lev, stream), stream
    if not cannot_be_had(block, variant):
        return
    lev.sandbox.switch(missing_blocks=None)
    healed = sync(config, streams=streams, state=target.state)
    assert healed.exit_code == 0
    of_deals = "id" if block == "financials" else "deal_id"
    came = {row[of_deals] for row in healed.records(STREAM_OF[block])}
    assert came == {row[of_deals] for row in truth(lev, STREAM_OF[block])}.intersection(changed)


@BLOCKS
@pytest.mark.parametrize("variant", ["all", "some", "page", "empty"])
@pytest.mark.parametrize("left", [(), (33, 42)], ids=["none", "few"])
def test_a_block_that_most_deals_lack_is_read_where_there_is_one(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, block: str, variant: str, left: tuple[int]
) -> None:
    """The first deals without one do not show that this server leaves out what is empty."""
    thin(lev, block, *left)
    lev.sandbox.switch(missing_blocks={block: variant})
    run = sync(config_of(lev, page_size=10), streams=PLAIN)
    if block == "pipelines" and variant == "empty" and not left:
        return  # nothing shows that the server embeds them at all
    assert run.exit_code == 0
    check(run, lev, *PLAIN)
    assert warnings(caplog) == [] or variant == "all"


def thin(lev: SandboxServer, block: str, *left: int) -> None:
    """Leave only some deals something in a block."""
    resource = ROWS_OF[block]
    rows = lev.sandbox.rows(resource, parents=True)
    for number, row in enumerate(rows, 1):
        if row["deal_id"] not in left:
            lev.sandbox.remove(resource, row.get("id", number))
    parents = {row["deal_id"] for row in lev.sandbox.rows(resource, parents=True)}
    for deal in set(left) - parents:
        lev.sandbox.add(resource, parent=deal)


@BLOCKS
def test_a_server_that_leaves_out_what_is_empty_costs_a_few_requests(
    start_lev: StartLev, caplog: pytest.LogCaptureFixture, block: str
) -> None:
    lev = start_lev(deals=200)
    thin(lev, block, *range(3, 200, 20))
    sync(config_of(lev), streams=PLAIN)
    usual = len(lev.sandbox.requests)
    lev.sandbox.clear_log()
    lev.sandbox.switch(missing_blocks={block: "empty"})
    run = sync(config_of(lev), streams=PLAIN)
    assert run.exit_code == 0
    check(run, lev, *PLAIN)
    assert warnings(caplog) == []
    assert len(lev.sandbox.requests) <= usual + 2 * 5


@pytest.mark.parametrize("block", ["financials", "pipelines"])
def test_a_deal_that_is_deleted_meanwhile_is_no_fault(lev: SandboxServer, block: str) -> None:
    def remove(request: Request) -> None:
        if request.path in {"/deals/4", "/deals/8"}:
            lev.sandbox.hide("deals", int(request.path.rpartition("/")[2]))

    lev.sandbox.on_request(remove)
    lev.sandbox.switch(missing_blocks={block: "all"})
    run = sync(config_of(lev, page_size=10), streams=PLAIN)
    assert run.exit_code == 0
    there = {row["id"] for row in lev.sandbox.rows("deals")}
    assert len(there) == 43
    for stream in PLAIN:
        key = "id" if stream == "deals" else "deal_id"
        rows = [row for row in landed(run, stream) if row[key] in there]
        assert rows == truth(lev, stream)


@SELECTED
@pytest.mark.parametrize("block", ["financials", "pipelines"])
def test_a_block_that_cannot_be_read_costs_its_row_alone(
    lev: SandboxServer, block: str, streams: tuple[str, ...]
) -> None:
    lev.sandbox.switch(missing_blocks={block: "all"})
    lev.sandbox.fault("status", path="/deals/4", status=500, times=None)
    config, failing, target = (
        config_of(lev, page_size=10, max_retries=0),
        STREAM_OF[block],
        Target(),
    )
    run = sync(config, streams=streams)
    target.load(run.messages)
    assert run.exit_code == 1
    check(run, lev, *(stream for stream in streams if stream != failing))
    assert run.state is not None
    assert [key for key, *_ in run.state["bookmarks"][failing]["failed"]] == [4]
    lev.sandbox.clear_faults()
    again = sync(config, streams=streams, state=run.state)
    assert again.exit_code == 0
    target.load(again.messages)
    assert by_key(failing, target.rows(failing)) == truth(lev, failing)
    assert again.state is not None
    assert again.state["bookmarks"][failing]["failed"] == []


# -- Blocks that the key may not read


@BLOCKS
def test_a_403_because_of_one_block_is_asked_without_it(lev: SandboxServer, block: str) -> None:
    lev.sandbox.switch(include_scope={block: 403})
    run = sync(config_of(lev, page_size=10), streams=PLAIN)
    others = [s for b, s in STREAM_OF.items() if b != block]
    check(run, lev, *others)
    if block in {"properties", "team"}:
        assert run.exit_code == 0
        check(run, lev, STREAM_OF[block])
    elif block == "pipelines":
        assert run.exit_code == 1
    else:
        assert landed(run, "deals") == lev.sandbox.rows("deals")


# -- With chosen columns


@BLOCKS
@pytest.mark.parametrize("variant", ["empty", "all", "some", "page"])
def test_what_is_missing_beside_chosen_columns_is_read(
    lev: SandboxServer, block: str, variant: str
) -> None:
    lev.sandbox.switch(missing_blocks={block: variant})
    chosen = {"title", "financials"}
    run = sync(config_of(lev, page_size=10), catalog=catalog_of(*PLAIN, deals=chosen))
    assert run.exit_code == 0
    check(run, lev, *PLAIN[1:])
    wanted = chosen | {"id", "updated_at"}
    assert landed(run, "deals") == [
        {name: value for name, value in row.items() if name in wanted}
        for row in truth(lev, "deals")
    ]


# -- Financials, as they are embedded


@pytest.mark.parametrize("streams", [("deal_financials",), ("deals", "deal_financials")])
@pytest.mark.parametrize("variant", [None, *VARIANTS])
@pytest.mark.parametrize("kind", ["reduced", "whole", "whole_but_values", "whole_some_fields"])
def test_financials_land_as_their_endpoint_has_them(
    lev: SandboxServer, streams: tuple[str, ...], variant: str | None, kind: str
) -> None:
    lev.sandbox.switch(embedded_financials=kind, missing_blocks={"financials": variant})
    run = sync(config_of(lev, page_size=10), streams=streams)
    check(run, lev, "deal_financials")
    if variant != "everywhere":
        assert run.exit_code == 0
        check(run, lev, *streams)
    calls = len(asked(lev, "/deals/{deal_id}/financials"))
    if variant is None:
        assert kind != "whole" or calls == 1
        assert kind != "whole_but_values" or calls == 45, "values are compared, too"


def test_a_404_is_no_financials_only_where_the_embed_has_none(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    lev.sandbox.switch(missing_financials="404")
    with_some = {row["deal_id"] for row in truth(lev, "deal_financials")}
    key = min(with_some)
    config = config_of(lev, page_size=10)
    assert sync(config, streams=("deal_financials",)).exit_code == 0
    lev.sandbox.fault("status", path=f"/deals/{key}/financials", status=404, times=None)
    run = sync(config, streams=("deal_financials",))
    assert run.exit_code == 1
    assert {row["deal_id"] for row in run.records("deal_financials")} == with_some - {key}
    assert any(f"with nothing for deals {key}, but embeds its financials" in text
               for text in warnings(caplog))  # fmt: skip
    lev.sandbox.clear_faults()
    healed = sync(config, streams=("deal_financials",), state=run.state)
    assert healed.exit_code == 0
    check(healed, lev, "deal_financials")


# -- As many as Lev embeds


@SELECTED
@pytest.mark.parametrize("count", [9, 10])
def test_ten_pipelines_may_be_more(
    lev: SandboxServer, caplog: pytest.LogCaptureFixture, streams: tuple[str, ...], count: int
) -> None:
    rows = [r for r in lev.sandbox.rows("deal_pipelines", parents=True) if r["deal_id"] == 7]
    for number in range(count - len(rows)):
        lev.sandbox.add("deal_pipelines", parent=7, pipeline_id=1000 + number)
    config = config_of(lev, page_size=10, emit_activate_version_messages=True)
    run = sync(config, streams=streams)
    assert run.exit_code == 0
    check(run, lev, "deal_pipelines")
    sentence = (
        "deal_pipelines: deals 7 comes with 10 pipelines, the most that Lev embeds: it may have "
        "more."
    )
    assert warnings(caplog) == ([sentence] if count == 10 else [])
    dropped = {message["stream"] for message in run.of("ACTIVATE_VERSION")}
    assert dropped == {*streams, "deal_pipelines"} - {"deals"} - (
        {"deal_pipelines"} if count == 10 else set()
    )


def test_an_embedded_column_that_was_missing_comes_again_though_the_run_broke_off(
    start_lev: StartLev,
) -> None:
    lev = start_lev(deals=45)
    config, target = config_of(lev, page_size=10), Target()
    target.load(sync(config, streams=("deals",)).messages)
    lev.sandbox.clock.advance(3600)
    changed = {row["id"] for row in lev.sandbox.touch("deals", 35)}
    lev.sandbox.clock.advance(3600)
    lev.sandbox.switch(missing_blocks={"financials": "everywhere"})
    lev.sandbox.fault("reset", route="/deals", at=5, times=None)
    broken = sync(config, streams=("deals",), state=target.state)
    target.load(broken.messages)
    assert broken.exit_code == 1
    lev.sandbox.clear_faults()
    lev.sandbox.switch(missing_blocks=None)
    healed = sync(config, streams=("deals",), state=target.state)
    assert healed.exit_code == 0
    rows = {row["id"]: row for row in healed.records("deals")}
    assert changed <= rows.keys(), "with the column"
    assert rows == {row["id"]: row for row in truth(lev, "deals") if row["id"] in rows}


def test_rows_that_are_not_there_by_id_are_not_requested_one_by_one(start_lev: StartLev) -> None:
    lev = start_lev(deals=45)
    lev.sandbox.switch(missing_blocks={"financials": "everywhere"})
    lev.sandbox.fault("status", status=404, route="/deals/{deal_id}", times=None)
    run = sync(config_of(lev, page_size=10), streams=("deals",))
    assert run.exit_code == 0
    assert {row["id"] for row in run.records("deals")} == {r["id"] for r in truth(lev, "deals")}
    assert len(asked(lev, "/deals/{deal_id}")) == 5
