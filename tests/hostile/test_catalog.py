"""Catalogs as no discovery wrote them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.config import input_files
from tap_lev.errors import ConfigError
from tap_lev.tap import STREAMS_BY_NAME
from tests.hostile.counts import count, examples
from tests.hostile.single_sync import readable, single_sync, spoiled
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import run_tap

if TYPE_CHECKING:
    from lev_sandbox import SandboxServer

STREAMS = ("contacts", "pipelines")


@pytest.fixture(scope="module")
def config(account: SandboxServer) -> dict[str, Any]:
    return config_of(account, max_parallel_streams=1, max_retries=0)


@pytest.fixture(scope="module")
def good() -> dict[str, Any]:
    """A catalog of two streams, small enough that most of what is spoiled matters."""
    catalog = catalog_of(*STREAMS)
    return {"streams": [e for e in catalog["streams"] if e["tap_stream_id"] in STREAMS]}


@given(data=st.data())
@examples(60, share=0.1)
def test_any_catalog_is_refused_in_a_sentence_or_read(
    account: SandboxServer, config: dict[str, Any], good: dict[str, Any], data: st.DataObject
) -> None:
    count("catalogs, each before a whole sync")
    catalog = data.draw(spoiled(good))
    try:
        input_files.check_catalog(json.loads(json.dumps(catalog)), STREAMS_BY_NAME)
    except ConfigError as error:
        readable(error)
        return
    run = single_sync(config, catalog=catalog)
    # Where nothing is left selected, that is bad input, and nothing is written.
    assert run.exit_code == 0 or (run.exit_code == 2 and not run.messages)
    written = {message["stream"] for message in run.of("SCHEMA")}
    for stream in written:
        keys = [row["id"] for row in run.records(stream)]
        assert sorted(keys) == sorted(row["id"] for row in account.sandbox.rows(stream))


def test_a_stream_that_is_there_twice_is_a_sentence(good: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^The catalog has several entries for one stream: "):
        input_files.check_catalog(
            {"streams": [*good["streams"], good["streams"][0]]}, STREAMS_BY_NAME
        )


@pytest.mark.parametrize("levels", [100, 300, 600, 900])
def test_a_catalog_that_is_nested_deeply_is_read_or_a_sentence(
    good: dict[str, Any], config: dict[str, Any], levels: int
) -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(levels // 2):
        deep = {"type": "object", "properties": {"a": deep}}
    catalog = json.loads(json.dumps(good))
    catalog["streams"][0]["schema"]["properties"]["zz"] = deep
    run = run_tap(config, catalog=catalog)
    assert run.exit_code == (0 if levels <= 300 else 2)
    assert "Traceback" not in run.stderr
    if run.exit_code:
        assert run.log("ERROR")[-1] == "The catalog is nested too deeply."


def test_half_a_character_is_a_sentence(good: dict[str, Any]) -> None:
    catalog = json.loads(json.dumps(good))
    catalog["streams"][0]["schema"]["properties"]["email"] = {"title": "\ud800"}
    with pytest.raises(ConfigError, match=r"^The catalog holds half a character"):
        input_files.check_catalog(catalog, STREAMS_BY_NAME)
