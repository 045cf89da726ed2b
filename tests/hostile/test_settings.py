"""Settings as nobody should give them: none crashes, and none sends the key elsewhere."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.config import input_files, settings, validation
from tap_lev.config.refresh_option import check_refresh, parse_refresh
from tap_lev.errors import ConfigError
from tap_lev.tap import TapLev
from tests.hostile.counts import count, examples
from tests.hostile.single_sync import ANYTHING, readable, single_sync
from tests.support.inprocess import catalog_of, config_of

if TYPE_CHECKING:
    from lev_sandbox import SandboxServer

KEY = "lev_sk_test_0123456789"
NAMES = sorted(settings.SETTINGS["properties"])
NUMBERS = [
    name
    for name, schema in settings.SETTINGS["properties"].items()
    if {"integer", "number"} & set(schema["type"]) and not name.startswith("r")
]
HUGE = st.sampled_from([10**400, 10**30, 2**63, 2**31, 1e308, float("inf"), float("nan"), -1, 0])
CATALOG = catalog_of("contacts")
ODD_REFRESHES = [
    *(
        "deals=1",
        "deals=",
        "deals=1,,2",
        "deals=-1",
        "deals=1_0",
        "deals=\u0661",
        "=1",
        "contacts=1=2",
    ),
    *("deals=" + "9" * 5000, "x" * 100_000, "x" * 100_000 + "=1", "deals=²", "deals= 1 , 2 "),
]

# -- Any value of any setting


@given(
    given_settings=st.dictionaries(
        st.sampled_from(NAMES) | st.text(max_size=10), ANYTHING | HUGE, max_size=4
    )
)
@examples(150)
def test_any_settings_are_refused_in_a_sentence_or_taken(given_settings: dict[str, Any]) -> None:
    count("settings")
    try:
        tap = TapLev(config={"api_key": KEY, **given_settings}, catalog=CATALOG)
        limits = tap.current_run.scheduler.budget.limits
    except ConfigError as error:
        readable(error, without=KEY)
    else:
        assert min(limits) > 0


@given(
    numbers=st.dictionaries(
        st.sampled_from(NUMBERS), HUGE | st.integers(0, 10**11) | st.floats(), max_size=3
    )
)
@examples(60, share=0.1)
def test_any_number_is_refused_or_syncs(account: SandboxServer, numbers: dict[str, Any]) -> None:
    count("numbers in settings, each before a whole sync")
    config = config_of(account) | {"max_parallel_streams": 1, "max_retries": 0} | numbers
    bookmark = {"replication_key": "updated_at", "replication_key_value": "2020-01-01T00:00:00Z"}
    run = single_sync(config, catalog=CATALOG, state={"bookmarks": {"contacts": bookmark}})
    assert run.exit_code in {0, 2}
    if run.exit_code == 0:
        assert len(run.records("contacts")) == account.sandbox.count("contacts")


@given(data=st.data())
@examples(100)
def test_any_environment_is_refused_in_a_sentence_or_taken(data: st.DataObject) -> None:
    count("environments")
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
    odd = st.sampled_from(["1e999", "nan", "-0", "0x10", "1_0", "[", "{}", '["a"]', "9" * 5000])
    names = st.sampled_from([f"TAP_LEV_{name.upper()}" for name in NAMES if name != "api_key"])
    values = data.draw(st.dictionaries(names, text | odd, max_size=3))
    with mock.patch.dict("os.environ", {**values, "TAP_LEV_API_KEY": KEY}):
        try:
            TapLev(parse_env_config=True, catalog=CATALOG)
        except ConfigError as error:
            readable(error, without=KEY)


@given(text=st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()))
@examples(100)
def test_any_config_file_is_refused_in_a_sentence_or_read(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    count("config files")
    file = tmp_path_factory.getbasetemp() / "config.json"
    file.write_bytes(text)
    try:
        given_settings = input_files.read_config(str(file))
    except ConfigError as error:
        readable(error)
    else:
        assert isinstance(given_settings, dict)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("overlap_seconds", 10**12),
        ("request_timeout_seconds", 10**12),
        ("max_parallel_streams", 10**9),
        ("max_retries", 10**9),
    ],
)
def test_a_number_that_no_clock_and_no_memory_holds_is_refused(name: str, value: int) -> None:
    (fault,) = validation.check({"api_key": KEY, name: value}, settings.SETTINGS)
    assert fault.startswith(f"The setting {name} is wrong: {value} is greater than")


def test_a_name_of_no_setting_writes_no_colours() -> None:
    (fault,) = validation.check({"api_key": KEY, "\x1b[2J\n": float("nan")}, settings.SETTINGS)
    assert fault == r"The setting \x1b[2J is wrong: nan is no number."


def test_a_long_list_of_queries_is_looked_through_at_once() -> None:
    queries = [str(number) for number in range(100_000)]
    config = {"api_key": KEY, "fact_queries": queries}
    assert validation.check(config, settings.SETTINGS) == []
    queries.append("7")
    (fault,) = validation.check(config, settings.SETTINGS)
    assert fault.startswith("The setting fact_queries holds '7' twice")


NAMES_OF_STREAMS = [*TapLev(config={"api_key": KEY}).streams]


@given(texts=st.lists(st.text(max_size=30) | st.sampled_from(ODD_REFRESHES), max_size=3))
@examples(100)
def test_any_refresh_is_refused_in_a_sentence_or_taken(texts: list[str]) -> None:
    count("refreshes")
    try:
        check_refresh(parse_refresh(texts), NAMES_OF_STREAMS, ("deals", "contacts"))
    except ConfigError as error:
        readable(error)


# -- Where the key goes

PIECES = st.sampled_from(
    [
        *("http", "https", "HTTPS", "ftp", "://", ":", "/", "//", "\\", "@", "#", "?", "[", "]"),
        *("127.0.0.1", "localhost", "::1", "[::1]", "LOCALHOST", "evil.example", "api.lev.com"),
        *(
            ".",
            "..",
            " ",
            "\t",
            "\n",
            "\0",
            "%2e",
            "%00",
            "%40",
            "\u0131",
            "。",
            "①",
            "ß",
            "user:pass",
        ),
        *("443", "80", "99999", "-1", "0x7f.1", "2130706433", "127.1", "x" * 70, "\ud800", "v2"),
    ]
)
URLS = st.one_of(
    st.text(max_size=40),
    st.lists(PIECES, max_size=8).map("".join),
    st.lists(PIECES, max_size=6).map(lambda pieces: "http://127.0.0.1" + "".join(pieces)),
    st.lists(PIECES, max_size=6).map(lambda pieces: "http://" + "".join(pieces)),
)


@given(url=URLS)
@examples(400)
def test_no_url_that_is_taken_sends_the_key_in_the_clear(url: str) -> None:
    count("URLs")
    if validation.check({"api_key": KEY, "api_url": url}, settings.SETTINGS):
        return
    asked = urlsplit(requests.Request("GET", url.rstrip("/") + "/contacts").prepare().url or "")
    assert asked.username is None
    host = asked.hostname or ""
    if asked.scheme != "https":
        assert asked.scheme == "http"
        assert host == "localhost" or ipaddress.ip_address(host).is_loopback


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://[::1].evil.example/", id="behind a bracket"),
        pytest.param("http://127.0.0.1\\@evil.example/", id="behind a backslash"),
        pytest.param("http://127.0.0.1.evil.example/", id="a longer name"),
        pytest.param("http://2130706433/", id="as a number"),
        pytest.param("https://exa mple.com/", id="a space"),
        pytest.param("https://ex\ud800ample.com/", id="half a character"),
        pytest.param(f"https://{'a' * 70}.com/", id="too long"),
        pytest.param("https://.com/", id="an empty name"),
        pytest.param("https:///v2", id="no host"),
    ],
)
def test_a_url_that_leads_elsewhere_is_refused(url: str) -> None:
    (fault,) = validation.check({"api_key": KEY, "api_url": url}, settings.SETTINGS)
    assert fault.startswith("The setting api_url ")
