"""State files as no tap wrote them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.config import input_files
from tap_lev.errors import ConfigError
from tap_lev.state.walk import Place, Walk
from tap_lev.tap import STREAMS_BY_NAME
from tests.hostile.counts import count, examples
from tests.hostile.single_sync import broken, readable, single_sync, spoiled, text_of
from tests.support.inprocess import config_of, sync
from tests.support.process import run_tap

if TYPE_CHECKING:
    from lev_sandbox import SandboxServer

STREAMS = ("contacts", "pipelines")


@pytest.fixture(scope="module")
def config(account: SandboxServer) -> dict[str, Any]:
    return config_of(account, page_size=5, max_parallel_streams=1, max_retries=0)


@pytest.fixture(scope="module")
def stopped(account: SandboxServer, config: dict[str, Any]) -> dict[str, Any]:
    """The state of a run that was broken off in the middle of a walk."""
    sync(config, streams=STREAMS)
    account.sandbox.fault("status", status=500, route="/contacts", at=2, times=None)
    state = sync(config, streams=STREAMS).state
    account.sandbox.clear_faults()
    assert state is not None
    assert state["bookmarks"]["contacts"]["walk"]["cursor"]
    return state


@pytest.fixture(scope="module")
def rows(account: SandboxServer) -> int:
    return account.sandbox.count("contacts")


@given(data=st.data())
@examples(40, share=0.1)
def test_any_state_is_refused_in_a_sentence_or_read(
    config: dict[str, Any], stopped: dict[str, Any], rows: int, data: st.DataObject
) -> None:
    count("states, each before a whole sync")
    state = data.draw(spoiled(stopped))
    try:
        input_files.check_state(state, STREAMS_BY_NAME)
    except ConfigError as error:
        readable(error)
        return
    run = single_sync(config, state=state or {}, streams=STREAMS)
    if run.exit_code == 2:  # it is of another account, or holds rows that cannot be asked for again
        assert not run.messages
        return
    assert run.exit_code in {0, 1}
    if run.state is not None:
        input_files.check_state(json.loads(text_of(run.state)), STREAMS_BY_NAME)
    entry = (state or {}).get("bookmarks", {}).get("contacts", {})
    try:
        Walk.from_state(entry.get("walk"))
    except ValueError:
        # Where there is no place to go on from, everything is read.
        if entry.get("replication_key_value") is None:
            assert len(run.records("contacts")) == rows


@given(data=st.data())
@examples(150)
def test_any_file_is_refused_in_a_sentence_or_read(
    stopped: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    count("state files, damaged in their bytes")
    path = tmp_path_factory.getbasetemp() / "state.json"
    path.write_bytes(data.draw(broken(text_of(stopped))))
    try:
        with path.open(encoding="utf-8") as file:
            state = input_files.read_json(file, "state") or {}
        input_files.check_state(state, STREAMS_BY_NAME)
    except ConfigError as error:
        readable(error, about="state")


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        pytest.param(
            rb'{"bookmarks": {"contacts": {"x": "\ud800"}}}', r"half a character", id="surrogate"
        ),
        pytest.param(
            b'{"bookmarks": {"contacts": {"replication_key_value": "' + b"x" * 3_000_000 + b'"}}}',
            "is not a date-time: 'xxx",
            id="megabytes",
        ),
        pytest.param(
            b'{"bookmarks": {"' + b"x" * 3_000_000 + b'": {}}}', "of another tap", id="long name"
        ),
        pytest.param(
            b'{"bookmarks": ' + b"[" * 3000 + b"]" * 3000 + b"}", "is nested too deeply", id="deep"
        ),
    ],
)
def test_a_state_that_no_sentence_could_hold_is_told_in_one(
    config: dict[str, Any], state: bytes, sentence: str
) -> None:
    count("state files, given to a whole process")
    run = run_tap(config, state=state)
    assert run.exit_code == 2
    assert run.lines == []
    assert "Traceback" not in run.stderr
    assert len(run.stderr) < 3000
    assert sentence in run.log("ERROR")[0]


@pytest.mark.parametrize("levels", [300, 900, 970, 979, 982])
def test_a_state_that_is_nested_deeply_is_kept_or_a_sentence(
    config: dict[str, Any], levels: int
) -> None:
    deep = b"[" * levels + b"]" * levels
    run = run_tap(config, state=b'{"bookmarks": {"contacts": {"x": ' + deep + b"}}}")
    assert "Traceback" not in run.stderr
    assert run.exit_code in {0, 2}
    if run.exit_code:
        assert "nested too deeply" in run.log("ERROR")[-1]
    assert levels > 300 or not run.exit_code


def test_megabytes_of_state_of_former_streams_are_kept(config: dict[str, Any], rows: int) -> None:
    former = {f"former_{number}": {"x": "y" * 1000} for number in range(4000)}
    run = single_sync(config, state={"bookmarks": {"contacts": {}, **former}}, streams=STREAMS)
    assert run.exit_code == 0
    assert len(run.records("contacts")) == rows
    assert run.state is not None
    assert run.state["bookmarks"]["former_7"] == former["former_7"]


def test_a_cursor_that_fits_into_no_url_does_not_stay_in_the_way(
    config: dict[str, Any], stopped: dict[str, Any], rows: int
) -> None:
    state = json.loads(text_of(stopped))
    entry = state["bookmarks"]["contacts"]
    walk = Walk.from_state(entry["walk"])
    assert walk is not None
    walk.place = Place("x" * 100_000)
    entry["walk"] = walk.to_state()  # with a digest that fits
    with pytest.raises(ValueError, match=r"length <= 4096 - at `\$.cursor`"):
        Walk.from_state(state["bookmarks"]["contacts"]["walk"])
    run = single_sync(config, state=state, streams=STREAMS)
    assert run.exit_code == 0
    assert len(run.records("contacts")) == rows
