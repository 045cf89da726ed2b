from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_lev import settings, validation
from tap_lev.tap import TapLev

KEY = "lev_sk_test_0123456789"

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = SCALARS | st.lists(SCALARS) | st.dictionaries(st.text(), SCALARS)


def faults(**config: object) -> list[str]:
    return validation.check({"api_key": KEY} | config, settings.SETTINGS)


def test_a_key_is_enough_and_the_rest_has_defaults() -> None:
    config: dict[str, Any] = {"api_key": KEY}
    assert validation.check(config, settings.SETTINGS) == []
    assert config == {
        "api_key": KEY,
        "api_url": "https://api.levcapital.com/api/external/v2",
        "origin_app": "tap-lev",
        "page_size": 200,
        "overlap_seconds": 300,
        "updated_at_filter": "auto",
        "per_parent_scope": "all",
        "api_tier": "auto",
        "rate_limit_share": 0.9,
        "rate_limit_window_seconds": 60,
        "max_parallel_streams": 8,
        "request_timeout_seconds": 60,
        "max_retries": 8,
        "forbidden_streams": "fail",
        "unknown_fields": "warn",
        "emit_activate_version_messages": False,
    }


def test_a_null_counts_as_not_given() -> None:
    config: dict[str, Any] = {"api_key": KEY, "page_size": None, "start_date": None}
    assert validation.check(config, settings.SETTINGS) == []
    assert config["page_size"] == 200
    assert "start_date" not in config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", 1),
        ("page_size", 200),
        ("overlap_seconds", 0),
        ("max_retries", 0),
        ("request_timeout_seconds", 1),
        ("updated_at_filter", "server"),
        ("updated_at_filter", "client"),
        ("per_parent_scope", "changed"),
        ("api_tier", "auto"),
        ("api_tier", "free"),
        ("api_tier", "standard"),
        ("api_tier", "enterprise"),
        ("requests_per_minute", 1),
        ("requests_per_minute_per_endpoint", 1),
        ("rate_limit_share", 1),
        ("rate_limit_share", 0.001),
        ("rate_limit_window_seconds", 0.25),
        ("rate_limit_window_seconds", 86400),
        ("max_parallel_streams", 1),
        ("forbidden_streams", "skip"),
        ("unknown_fields", "collect"),
        ("fact_queries", []),
        ("fact_queries", ["net operating income", "Net operating income", "?" * 4000]),
        ("observation_metric_ids", []),
        ("observation_metric_ids", [7, 3]),
        ("refresh", {}),
        ("refresh", {"deals": [], "contacts": [78, 9]}),
        ("active_account", "harbor-row"),
        ("active_account", ""),
        ("start_date", "2026-01-01"),
        ("start_date", "2026-01-01T00:00:00+02:00"),
        ("api_url", "https://api.lev.com/api/external/v2/"),
        ("api_url", "http://127.0.0.1:8000/api/external/v2"),
        ("api_url", "http://localhost:8000"),
        ("api_url", "http://[::1]:8000"),
    ],
)
def test_what_is_allowed(name: str, value: object) -> None:
    assert faults(**{name: value}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", 0),
        ("page_size", 201),
        ("page_size", "abc"),
        ("page_size", "50"),
        ("page_size", 1.5),
        ("page_size", True),
        ("overlap_seconds", -1),
        ("overlap_seconds", []),
        ("max_retries", -1),
        ("max_retries", {}),
        ("request_timeout_seconds", 0),
        ("request_timeout_seconds", "60"),
        ("updated_at_filter", "maybe"),
        ("updated_at_filter", 1),
        ("emit_activate_version_messages", "yes"),
        ("per_parent_scope", "some"),
        ("per_parent_scope", ["all"]),
        ("api_tier", "gold"),
        ("api_tier", "Standard"),
        ("api_tier", 2),
        ("requests_per_minute", 0),
        ("requests_per_minute", 1.5),
        ("requests_per_minute", "100"),
        ("requests_per_minute", True),
        ("requests_per_minute_per_endpoint", -1),
        ("requests_per_minute_per_endpoint", {"/deals": 5}),
        ("rate_limit_share", 0),
        ("rate_limit_share", -0.5),
        ("rate_limit_share", 1.0001),
        ("rate_limit_share", 90),
        ("rate_limit_share", True),
        ("rate_limit_share", [0.5]),
        ("rate_limit_share", "90%"),
        ("rate_limit_share", "NaN"),
        ("rate_limit_share", float("nan")),
        ("rate_limit_window_seconds", 0),
        ("rate_limit_window_seconds", -60),
        ("rate_limit_window_seconds", 86401),
        ("rate_limit_window_seconds", "a minute"),
        ("rate_limit_window_seconds", ""),
        ("rate_limit_window_seconds", "-1"),
        ("rate_limit_window_seconds", "Infinity"),
        ("rate_limit_window_seconds", float("inf")),
        ("rate_limit_window_seconds", float("nan")),
        ("max_parallel_streams", 0),
        ("max_parallel_streams", 2.5),
        ("max_parallel_streams", "8"),
        ("max_parallel_streams", False),
        ("max_parallel_streams", float("nan")),
        ("forbidden_streams", "ignore"),
        ("forbidden_streams", True),
        ("unknown_fields", "drop"),
        ("fact_queries", "net operating income"),
        ("fact_queries", [""]),
        ("fact_queries", ["rent", " \t\n"]),
        ("fact_queries", ["rent", "capex", "rent"]),
        ("fact_queries", ["?" * 4001]),
        ("fact_queries", [5]),
        ("fact_queries", {"rent": 1}),
        ("observation_metric_ids", 7),
        ("observation_metric_ids", ["7"]),
        ("observation_metric_ids", [0]),
        ("observation_metric_ids", [True]),
        ("observation_metric_ids", [7, 3, 7]),
        ("refresh", "deals=101"),
        ("refresh", ["deals"]),
        ("refresh", {"deals": 101}),
        ("refresh", {"deals": ["101"]}),
        ("refresh", {"deals": [True]}),
        ("origin_app", ""),
        ("origin_app", 1),
        ("origin_app", "two words"),
        ("origin_app", "line\nbreak"),
        ("active_account", False),
        ("active_account", "två"),
        ("start_date", 20260101),
        ("start_date", "yesterday"),
        ("start_date", "2026-02-30"),
        ("api_url", 1),
        ("api_url", ""),
        ("api_url", "api.lev.com"),
        ("api_url", "ftp://api.lev.com"),
        ("api_url", "https://"),
        ("api_url", "https://[::1"),
        ("api_url", "https://api.lev.com:port"),
        ("api_url", "https://api.lev.com/?debug=1"),
        ("api_url", "https://api.lev.com/#top"),
        ("api_url", "https://user@api.lev.com"),
        ("api_url", f"https://:{KEY}@api.lev.com"),
        ("api_url", "http://api.lev.com"),
        ("api_url", "http://127.0.0.1.example.com"),
        ("api_url", "http://localhost@example.com"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_the_setting(name: str, value: object) -> None:
    (sentence,) = faults(**{name: value})
    assert sentence.startswith((f"The setting {name} ", f"The setting {name}."))
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert KEY not in sentence


def test_a_list_says_what_is_wrong_with_it() -> None:
    assert faults(fact_queries=["rent", " ", "rent"], observation_metric_ids=[7, 7, 3, 3]) == [
        "The setting fact_queries holds a blank text, for which Lev searches nothing.",
        "The setting fact_queries holds 'rent' twice, so its rows would come twice.",
        "The setting observation_metric_ids holds 7 twice, so its rows would come twice.",
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rate_limit_share", "0.5", 0.5),
        ("rate_limit_share", " 1 ", 1.0),
        ("rate_limit_window_seconds", "2.5", 2.5),
        ("page_size", 50.0, 50),
        ("max_parallel_streams", 3.0, 3),
    ],
)
def test_a_number_may_be_written_in_another_way(name: str, value: object, expected: float) -> None:
    config: dict[str, Any] = {"api_key": KEY, name: value}
    assert validation.check(config, settings.SETTINGS) == []
    assert (config[name], type(config[name])) == (expected, type(expected))


@pytest.mark.parametrize("key", [None, "", "  ", "\n", 12345678, ["lev_sk_test"], {"key": "x"}])
def test_a_missing_key_says_where_one_comes_from(key: object) -> None:
    (sentence,) = faults(api_key=key)
    assert sentence == (
        "The setting api_key is missing: create an API key in Lev (the read_only preset is "
        "enough) and give it as api_key in the config, or as TAP_LEV_API_KEY."
    )


@pytest.mark.parametrize(
    "key", [f"{KEY}\n", f" {KEY}", KEY.replace("_", " "), f"{KEY}\r\nX-Evil: 1", f"{KEY}ä", "\x00x"]
)
def test_a_key_that_fits_no_header_is_refused_without_being_repeated(key: str) -> None:
    (sentence,) = faults(api_key=key)
    assert sentence == "The setting api_key holds a space, a line break or a character no key has."


def test_all_faults_are_told_at_once() -> None:
    assert len(faults(page_size=0, overlap_seconds=-1, max_retries="x")) == 3
    assert len(faults(api_key=None, api_url="http://api.lev.com", start_date="never")) == 3


@given(
    st.fixed_dictionaries(
        {"api_key": JSON | st.text(min_size=8)},
        optional=dict.fromkeys(set(settings.SETTINGS["properties"]) - {"api_key"}, JSON),
    )
)
def test_no_settings_whatever_crash_the_check(config: dict[str, Any]) -> None:
    key = config["api_key"]
    found = validation.check(config, settings.SETTINGS)
    assert all(isinstance(sentence, str) and sentence for sentence in found)
    if not found:
        assert isinstance(key, str)
        assert key.isascii()
        assert key.isprintable()
        assert 1 <= config["page_size"] <= 200
        assert 0 < config["rate_limit_share"] <= 1
        assert config["rate_limit_window_seconds"] > 0
        assert type(config["max_parallel_streams"]) is int


@given(st.text(min_size=8).filter(str.strip))
def test_no_sentence_repeats_the_key(key: str) -> None:
    probe = f"\N{SNOWMAN}{key}"
    assert all(probe not in sentence for sentence in faults(api_key=probe, page_size=0))
    assert all(probe not in sentence for sentence in faults(api_key=probe))


# -- Settings that there are not


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("api_kee", "There is no setting 'api_kee': is it 'api_key'?"),
        ("pagesize", "There is no setting 'pagesize': is it 'page_size'?"),
        ("zzz", "There is no setting 'zzz'."),
    ],
)
def test_an_unknown_setting_gets_a_hint(name: str, sentence: str) -> None:
    known = settings.SETTINGS["properties"]
    assert list(validation.unknown({"api_key": KEY, name: "secret"}, known)) == [sentence]


def test_the_settings_of_the_sdk_are_known() -> None:
    known = copy.deepcopy(settings.SETTINGS)
    TapLev.append_builtin_config(known)
    config = {"stream_maps": {}, "flattening_enabled": True}
    assert list(validation.unknown(config, known["properties"])) == []


# -- The environment


@pytest.mark.parametrize("value", ["abc", "", " ", "1.5", "0x10"])
def test_a_variable_that_is_no_whole_number_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TAP_LEV_MAX_RETRIES", value)
    sentence = validation.environment_fault("TAP_LEV_", ValueError("invalid literal"))
    assert sentence == (
        f"The environment variable TAP_LEV_MAX_RETRIES must be a whole number, not {value!r}."
    )


def test_a_variable_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAP_LEV_RATE_LIMIT_SHARE", "most")
    sentence = "The environment variable TAP_LEV_RATE_LIMIT_SHARE must be a number, not 'most'."
    assert faults(rate_limit_share="most") == [sentence]
    assert validation.environment_fault("TAP_LEV_", ValueError("odd")) == sentence
    monkeypatch.setenv("TAP_LEV_RATE_LIMIT_SHARE", "0.5")
    assert faults(rate_limit_share="most") == [
        "The setting rate_limit_share is wrong: 'most' is not of type 'number', 'null'."
    ]
    assert faults(rate_limit_share="0.5") == []


def test_another_fault_of_the_environment_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAP_LEV_MAX_RETRIES", " -1 ")
    sentence = validation.environment_fault("TAP_LEV_", ValueError("odd"))
    assert sentence == "A setting in the environment cannot be read: odd."


# -- What the schema promises


def test_every_setting_has_a_title_and_a_description() -> None:
    for schema in settings.SETTINGS["properties"].values():
        assert schema["title"]
        assert schema["description"].endswith(".")


def test_only_the_key_is_secret_and_required() -> None:
    secret = [name for name, s in settings.SETTINGS["properties"].items() if s.get("secret")]
    assert secret == settings.SETTINGS["required"] == ["api_key"]
