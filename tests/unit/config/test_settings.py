from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.config import environment, settings, stream_maps, validation
from tap_lev.tap import COLUMNS, TapLev

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
        ("fact_queries", "net operating income"),
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
        ("emit_activate_version_messages", "enabled"),
        ("emit_activate_version_messages", ""),
        ("emit_activate_version_messages", 1),
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
        ("fact_queries", '["rent"'),
        ("fact_queries", '{"rent": 1}'),
        ("fact_queries", '"rent", "noi"'),
        ("fact_queries", '"rent'),
        ("fact_queries", "rent,,noi"),
        ("fact_queries", ""),
        ("fact_queries", [""]),
        ("fact_queries", ["rent", " \t\n"]),
        ("fact_queries", ["rent", "capex", "rent"]),
        ("fact_queries", ["?" * 4001]),
        ("fact_queries", [5]),
        ("fact_queries", {"rent": 1}),
        ("observation_metric_ids", 7),
        ("observation_metric_ids", "7, rent"),
        ("observation_metric_ids", "7.5"),
        ("observation_metric_ids", '["7"]'),
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
    mixed = faults(api_key=None, page_size=0, start_date="never", fact_queries="[", refresh="{")
    assert len(mixed) == 5


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


ALL = copy.deepcopy(settings.SETTINGS)
TapLev.append_builtin_config(ALL)


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[dict[str, Any], list[str]]:
    """What is read of variables, and what is wrong with them."""
    for name, text in variables.items():
        monkeypatch.setenv(f"TAP_LEV_{name.upper()}", text)
    config: dict[str, Any] = {"api_key": KEY, **environment.texts(ALL["properties"])}
    return config, validation.check(config, ALL)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *[("emit_activate_version_messages", text, True) for text in
          ("true", '"true"', "'true'", " true ", "True", "t", "yes", "Y", "on", "1", '" on "')],
        *[("emit_activate_version_messages", text, False) for text in
          ("false", '"false"', "FALSE", "f", "no", "n", "off", "0", "'0'")],
        ("flattening_enabled", "off", False),
        ("max_retries", "5", 5),
        ("max_retries", '"5"', 5),
        ("max_retries", " 5\n", 5),
        ("rate_limit_share", '"0.5"', 0.5),
        ("rate_limit_share", " 1 ", 1.0),
        ("api_url", '"https://api.lev.com/v2"', "https://api.lev.com/v2"),
        ("api_url", "'https://api.lev.com/v2' ", "https://api.lev.com/v2"),
        ("api_key", f'"{KEY}"', KEY),
        ("api_key", f"{KEY}\n", KEY),
        ("api_tier", '"standard"', "standard"),
        ("start_date", '"2026-01-01"', "2026-01-01"),
        ("fact_queries", '["rent", "a, b"]', ["rent", "a, b"]),
        ("fact_queries", "'[\"rent\"]'", ["rent"]),
        ("fact_queries", r'"[\"rent\"]"', ["rent"]),
        ("fact_queries", '"rent"', ["rent"]),
        ("fact_queries", "net operating income", ["net operating income"]),
        ("fact_queries", "rent, noi", ["rent", "noi"]),
        ("fact_queries", "tenant's rent", ["tenant's rent"]),
        ("observation_metric_ids", "[7, 3]", [7, 3]),
        ("observation_metric_ids", "7, 3", [7, 3]),
        ("observation_metric_ids", '"7"', [7]),
        ("refresh", '{"deals": [5]}', {"deals": [5]}),
        ("refresh", "'{\"deals\": [5]}'", {"deals": [5]}),
        ("stream_maps", '{"contacts": {"email": null}}', {"contacts": {"email": None}}),
    ],
)  # fmt: skip
def test_a_variable_is_read_as_people_write_it(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    config, wrong = read(monkeypatch, **{name: text})
    assert wrong == []
    assert config[name] == value
    assert type(config[name]) is type(value)


@pytest.mark.parametrize("text", ["", " ", '""', "''", "\n"])
@pytest.mark.parametrize("name", sorted({*ALL["properties"]} - {"api_key"}))
def test_an_empty_variable_is_not_set(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    config, wrong = read(monkeypatch, **{name: text})
    assert wrong == []
    assert config.get(name) == ALL["properties"][name].get("default")


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("emit_activate_version_messages", "enabled", "true or false"),
        ("emit_activate_version_messages", "2", "true or false"),
        *[("max_retries", text, "a whole number") for text in ("abc", "1.5", "0x10", "1_0", "²")],
        ("rate_limit_share", "most", "a number"),
        *[("fact_queries", text, 'a JSON list such as ["rent", "noi"], or values with commas') for
          text in ('["rent"', '{"a": 1}', '"rent', '"rent", "noi"', "'a', 'b'", ",", "[" * 99_999)],
        ("observation_metric_ids", "rent", "a JSON list such as [7, 3], or values with commas"),
        ("refresh", "deals=5", "a JSON object"),
        ("refresh", "[5]", "a JSON object"),
        ("accepted_gaps", "{", "a JSON object"),
        ("stream_maps", "{", "a JSON object"),
    ],
)  # fmt: skip
def test_a_variable_that_cannot_be_read_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, wanted: str
) -> None:
    _, (sentence,) = read(monkeypatch, **{name: text})
    assert sentence.startswith(f"The environment variable TAP_LEV_{name.upper()} must be {wanted}")
    assert sentence.endswith(".")
    assert f"not {text[:200]!r}"[:200] in sentence


def test_all_variables_that_are_wrong_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, wrong = read(
        monkeypatch,
        max_retries="x", fact_queries="[", api_url="http://api.lev.com", page_size="0", refresh="5",
    )  # fmt: skip
    assert len(wrong) == 5


def test_a_text_is_read_from_a_file_where_meltano_writes_it_so() -> None:
    config: dict[str, Any] = {
        "api_key": KEY,
        "emit_activate_version_messages": "true",
        "fact_queries": '["rent"]',
        "stream_maps": '{"contacts": {"email": null}}',
        "rate_limit_share": "0.5",
    }
    assert validation.check(config, ALL) == []
    assert config["emit_activate_version_messages"] is True
    assert config["fact_queries"] == ["rent"]
    assert config["stream_maps"] == {"contacts": {"email": None}}
    assert faults(page_size="50") == [
        "The setting page_size is wrong: '50' is not of type 'integer', 'null'."
    ]


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("TAP_LEV_PAGESIZE", ": is it TAP_LEV_PAGE_SIZE?"),
        ("TAP_LEV_API_KEE", ": is it TAP_LEV_API_KEY?"),
        ("TAP_LEV_LOG_LEVEL", ": is it TAP_LEV_LOGLEVEL?"),
        ("TAP_LEV_STREAM_MAP", ": is it TAP_LEV_STREAM_MAPS?"),
        ("TAP_LEV_PROD_PAGE_SIZE", ": is it TAP_LEV_PAGE_SIZE?"),
        ("TAP_LEV_Q", "."),
    ],
)
def test_an_unknown_variable_gets_a_hint(
    monkeypatch: pytest.MonkeyPatch, variable: str, hint: str
) -> None:
    monkeypatch.setenv(variable, "5")
    (sentence,) = environment.unknown(ALL["properties"], {})
    assert sentence == f"There is no setting for the environment variable {variable!r}{hint}"


@pytest.mark.parametrize(
    "variable",
    ["TAP_LEV__SELECT", "TAP_LEV_LOGLEVEL", "TAP_LEV_PROD__SELECT", "TAP_LEV_PAGE_SIZE",
     "tap_lev_x", "TAP_LEVEL", "TAP_LEV__PROD_API_KEY"],
)  # fmt: skip
def test_a_variable_of_meltanos_or_of_another_program_gets_none(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "5")
    assert list(environment.unknown(ALL["properties"], {})) == []


@pytest.mark.parametrize(
    "variable",
    ["TAP_LEV_PROD_PAGE_SIZE", "TAP_LEV_ACCEPTED_GAPS_DEALS", "TAP_LEV_PAGESIZE"],
)
def test_what_meltano_sets_for_a_plugin_gets_none_under_meltano(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", "/srv/lev")
    monkeypatch.setenv(variable, "5")
    assert list(environment.unknown(ALL["properties"], {"pagesize": 5})) == []


# -- Stream maps


@pytest.mark.parametrize(
    ("maps", "sentence"),
    [
        ({}, "The setting stream_maps is empty."),
        ({"__else__": "__NULL_STREAM__"}, "The setting stream_maps.__else__ must be null or"),
        ({"__else__": 5}, "The setting stream_maps.__else__ must be null or"),
        ({"__else__": {}}, "The setting stream_maps.__else__ must be null or"),
        ({"__else__": [None]}, "The setting stream_maps.__else__ must be null or"),
        ({"__other__": None}, "The setting stream_maps.__other__ is no option of"),
        ({"deals": "none"}, "The setting stream_maps.deals must be an object"),
        ({"deals": 5}, "The setting stream_maps.deals must be an object"),
        ({"deals": {"__else__": "x"}}, "The setting stream_maps.deals.__else__ must be null or"),
        ({"deals": {"title": ""}}, "The setting stream_maps.deals is wrong: title must be an"),
        ({"deals": {"title": 5}}, "The setting stream_maps.deals is wrong: title must be an"),
        ({"deals": {"title": {}}}, "The setting stream_maps.deals is wrong: title must be an"),
        ({"deals": {"__alias__": ""}}, "The setting stream_maps.deals is wrong: __alias__ must"),
        ({"deals": {"__filter__": None}}, "The setting stream_maps.deals is wrong: __filter__"),
        ({"deals": {"__source__": 1}}, "The setting stream_maps.deals is wrong: __source__ must"),
        ({"a": {"__key_properties__": "id"}}, "The setting stream_maps.a is wrong: __key_prop"),
        ({"a": {"__key_properties__": [5]}}, "The setting stream_maps.a"),
    ],
)
def test_a_map_that_is_none_is_a_sentence(maps: object, sentence: str) -> None:
    (found,) = validation.check({"api_key": KEY, "stream_maps": maps}, ALL)
    assert found.startswith(sentence)
    assert found.endswith(".")


@pytest.mark.parametrize(
    "maps",
    [
        {"__else__": None},
        {"__else__": "__NULL__"},
        {"deals": None, "contacts": "__NULL__"},
        {"deals": {"title": None, "id": "id", "__else__": "__NULL__"}},
        {"deals": {"__else__": None, "__key_properties__": [], "__filter__": "id > 5"}},
        {"big": {"__source__": "deals", "__alias__": "x"}, "*": {"email": None}},
    ],
)
def test_a_map_that_is_one_is_taken(maps: dict[str, Any]) -> None:
    assert validation.check({"api_key": KEY, "stream_maps": maps}, ALL) == []
    assert list(stream_maps.name_faults(maps, COLUMNS)) == []


@pytest.mark.parametrize(
    ("maps", "sentence"),
    [
        ({"contact": {}}, "names 'contact', which is no stream: is it 'contacts'?"),
        ({"zzz": None}, "names 'zzz', which is no stream."),
        ({"x": {"__source__": "deal"}}, "names 'deal', which is no stream: is it 'deals'?"),
        (
            {"contacts": {"mail": None}},
            "leaves out 'mail' of contacts, which is no column: is it 'email'?",
        ),
        ({"contacts": {"q": "__NULL__"}}, "leaves out 'q' of contacts, which is no column."),
    ],
)  # fmt: skip
def test_a_map_of_what_is_not_there_is_a_sentence(maps: dict[str, Any], sentence: str) -> None:
    assert list(stream_maps.name_faults(maps, COLUMNS)) == [f"The setting stream_maps {sentence}"]


def test_what_meltano_leaves_out_of_the_maps_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"contacts.email": None, "contacts.first_name": "md5(first_name)", "deals": None}
    monkeypatch.setenv("MELTANO_EXTRACT_STREAM_MAPS", json.dumps(known))
    config: dict[str, Any] = {"stream_maps": {"contacts": {"first_name": "md5(first_name)"}}}
    stream_maps.restore(config)
    assert config["stream_maps"] == {
        "contacts": {"first_name": "md5(first_name)", "email": None},
        "deals": None,
    }
    config = {}
    stream_maps.restore(config)
    assert config["stream_maps"] == {"contacts": {"email": None}, "deals": None}


@pytest.mark.parametrize("told", ["", "{", "[1]", "5", '{"contacts.email": "md5(email)"}'])
def test_nothing_is_put_back_where_meltano_left_nothing_out(
    monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setenv("MELTANO_EXTRACT_STREAM_MAPS", told)
    config: dict[str, Any] = {"page_size": 5}
    stream_maps.restore(config)
    assert config == {"page_size": 5}


def test_a_variable_of_one_map_is_read_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAP_LEV_STREAM_MAPS_CONTACTS_EMAIL", "md5(email)")
    (sentence,) = stream_maps.variable_faults({"contacts": {"first_name": "''"}})
    assert sentence.startswith(
        "The environment variable TAP_LEV_STREAM_MAPS_CONTACTS_EMAIL is not read"
    )
    assert len(list(stream_maps.variable_faults(None))) == 1
    # So Meltano sets it itself.
    assert list(stream_maps.variable_faults({"contacts": {"email": "md5(email)"}})) == []


# -- What the schema promises


def test_every_setting_has_a_title_and_a_description() -> None:
    for schema in settings.SETTINGS["properties"].values():
        assert schema["title"]
        assert schema["description"].endswith(".")


def test_only_the_key_is_secret_and_required() -> None:
    secret = [name for name, s in settings.SETTINGS["properties"].items() if s.get("secret")]
    assert secret == settings.SETTINGS["required"] == ["api_key"]
