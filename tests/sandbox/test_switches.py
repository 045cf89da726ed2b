"""The other switches, both sides of each."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lev_sandbox import SWITCHES, Clock, Sandbox, faults, poison

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.lab import Json, Lab

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SECOND = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


def test_the_envelope(lab: Lab) -> None:
    first, second = lab.get("/contacts").json(), lab.get("/contacts").json()
    assert UUID4.fullmatch(first["request_id"])
    assert first["request_id"] != second["request_id"]
    assert re.fullmatch(f"{SECOND}Z", first["timestamp"])
    lab.sandbox.switch(envelope_timestamp=False)
    assert "timestamp" not in lab.get("/contacts").json()


def test_switch_error_form(lab: Lab) -> None:
    body = lab.get("/deals/999").json()
    assert body["error"] == {
        "status": 404, "type": "not_found", "message": "Deal not found", "details": {},
    }  # fmt: skip
    assert UUID4.fullmatch(body["request_id"])
    lab.sandbox.switch(error_form="B")
    body = lab.get("/deals/999").json()
    assert body["error"] == {"code": "NOT_FOUND", "message": "Deal not found"}
    assert lab.get("/contacts", limit=0).json()["error"]["code"] == "VALIDATION_ERROR"
    lab.sandbox.switch(error_form="C")
    assert lab.get("/deals/999").json() == {"error": "Deal not found"}


def test_switch_origin_app(lab: Lab) -> None:
    headers = {"X-Origin-App": None}
    assert lab.ask("GET", "/contacts", headers=headers).status_code == 400
    assert lab.ask("GET", "/health", headers=headers).status_code == 200
    lab.sandbox.switch(origin_app_required=False)
    assert lab.ask("GET", "/contacts", headers=headers).status_code == 200


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic eHg6eHg=", "Bearer "])
def test_a_wrong_key(lab: Lab, header: str | None) -> None:
    response = lab.ask("GET", "/contacts", headers={"Authorization": header})
    assert response.status_code == 401
    assert response.json()["error"]["message"] == "Authentication required"
    assert lab.sandbox.requests[-1].authorized is False
    assert lab.ask("GET", "/health", headers={"Authorization": header}).status_code == 200


def test_switch_accept_jwt(serve: Callable[..., Lab]) -> None:
    lab = serve(my_accounts=2)
    headers = {"Authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.e30.x"}
    assert lab.ask("GET", "/me", headers=headers).status_code == 401
    lab.sandbox.switch(accept_jwt=True)
    response = lab.ask("GET", "/contacts", headers=headers)
    assert response.status_code == 400
    assert response.json() == {
        "error": "Active account required. Provide X-Active-Account header or use an API key."
    }
    unscoped = lab.ask("GET", "/me", headers=headers).json()["data"]
    assert [each["id"] for each in unscoped["available_accounts"]] == [56, 57]
    slug = {"X-Active-Account": unscoped["available_accounts"][0]["slug"]}
    assert lab.ask("GET", "/contacts", headers=headers | slug).status_code == 200
    assert "available_accounts" not in lab.ask("GET", "/me", headers=headers | slug).json()["data"]
    other = {"X-Active-Account": "nobody"}
    assert lab.ask("GET", "/contacts", headers=headers | other).status_code == 403
    assert lab.ask("GET", "/contacts", headers=other).status_code == 200


def test_switch_missing_scopes(lab: Lab) -> None:
    lab.sandbox.switch(missing_scopes=["documents:read", "contacts:read"])
    for path in ("/deals/1/vaults", "/deals/1/documents"):
        response = lab.get(path)
        assert response.status_code == 403
        said = response.json()["error"]["message"]
        assert said == "Missing required scope: documents:read"
    assert lab.get("/contacts").status_code == 403
    assert lab.get("/deals").status_code == 200
    granted = lab.data("/me")["platform"]["granted_scopes"]
    assert "deals:read" in granted
    assert "documents:read" not in granted


def test_switch_timestamps(lab: Lab) -> None:
    def moments() -> list[str]:
        page = lab.get("/deals", limit=3, filter__archived="true", include="pipelines").json()
        row = page["data"][0]
        stage = [each["updated_at"] for each in row["pipelines"]]
        return [page["timestamp"], row["created_at"], row["updated_at"], row["archived_at"], *stage]

    lab.sandbox.archive("deals", 2)
    for fractions in (False, True):
        for offset in ("Z", "+00:00"):
            lab.sandbox.switch(timestamp_fractions=fractions, timestamp_offset=offset)
            pattern = SECOND + (r"\.\d{6}" if fractions else "") + re.escape(offset)
            for moment in moments():
                assert re.fullmatch(pattern, moment), moment
    assert len({moment[-12:] for moment in moments()}) > 1


def test_switch_clock_skew(serve: Callable[..., Lab]) -> None:
    lab = serve(clock=Clock("2026-03-01T12:00:00Z", frozen=True))
    response = lab.get("/health")
    assert response.json()["timestamp"] == "2026-03-01T12:00:00Z"
    assert response.headers["Date"] == "Sun, 01 Mar 2026 12:00:00 GMT"
    lab.sandbox.switch(clock_skew=-900)
    response = lab.get("/health")
    assert response.json()["timestamp"] == "2026-03-01T11:45:00Z"
    assert response.headers["Date"] == "Sun, 01 Mar 2026 11:45:00 GMT"
    assert lab.sandbox.update("deals", 1, title="x")["updated_at"] == "2026-03-01T11:45:00Z"


def test_switches_of_single_clocks(serve: Callable[..., Lab]) -> None:
    lab = serve(clock=Clock("2026-03-01T12:00:00Z", frozen=True))

    def said() -> tuple[str, str]:
        response = lab.get("/contacts")
        return response.json()["timestamp"], response.headers["Date"]

    noon = "Sun, 01 Mar 2026 12:00:00 GMT"
    assert said() == ("2026-03-01T12:00:00Z", noon)
    lab.sandbox.switch(date_header_skew=3600)
    assert said() == ("2026-03-01T12:00:00Z", "Sun, 01 Mar 2026 13:00:00 GMT")
    assert lab.get("/deals/999").headers["Date"] == "Sun, 01 Mar 2026 13:00:00 GMT"
    lab.sandbox.switch(date_header_skew=0, envelope_skew=-60.5)
    assert said() == ("2026-03-01T11:58:59Z", noon)
    assert lab.sandbox.update("deals", 1, title="x")["updated_at"] == "2026-03-01T12:00:00Z"
    lab.sandbox.switch(envelope_skew=0, timestamp_zone="none")
    assert said() == ("2026-03-01T12:00:00", noon)
    lab.sandbox.switch(timestamp_zone="local")
    assert said() == ("2026-03-01T07:00:00", noon)
    assert lab.data("/deals/1")["updated_at"] == "2026-03-01T12:00:00Z"
    lab.sandbox.switch(timestamp_zone="Z", timestamp_offset="+00:00", envelope_skew=1)
    assert said() == ("2026-03-01T12:00:01+00:00", noon)
    lab.sandbox.switch(envelope_timestamp=False)
    assert "timestamp" not in lab.get("/contacts").json()


def test_switch_gzip(lab: Lab) -> None:
    response = lab.get("/contacts")
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(response.json()["data"]) == 25
    plain = lab.ask("GET", "/contacts", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    lab.sandbox.switch(gzip=False)
    assert "Content-Encoding" not in lab.get("/contacts").headers


def test_switch_latency(lab: Lab) -> None:
    assert lab.sandbox.delay() == 0
    lab.sandbox.switch(latency=0.02)
    assert lab.sandbox.delay() == 0.02
    assert lab.get("/health").elapsed.total_seconds() >= 0.02
    lab.sandbox.switch(latency_jitter=0.5)
    drawn = [lab.sandbox.delay() for _ in range(5)]
    assert len(set(drawn)) == 5
    assert all(0.02 <= each <= 0.52 for each in drawn)
    other = Sandbox(seed=lab.sandbox.seed)
    other.switch(latency=0.02, latency_jitter=0.5)
    assert [other.delay() for _ in range(5)] == drawn


def test_switch_archive_moves_updated_at(lab: Lab) -> None:
    before = lab.sandbox.row("deals", 3)["updated_at"]
    lab.sandbox.switch(archive_moves_updated_at=False)
    archived = lab.sandbox.archive("deals", 3)
    assert archived["archived"] is True
    assert archived["archived_at"] > before
    assert archived["updated_at"] == before
    lab.sandbox.switch(archive_moves_updated_at=True)
    assert lab.sandbox.archive("deals", 4)["updated_at"] > "2026"
    assert lab.data("/deals/4")["archived"] is True


def test_switch_child_moves_parent(lab: Lab) -> None:
    note = lab.sandbox.rows("deal_notes", parents=True)[0]
    before = lab.sandbox.row("deals", note["deal_id"])["updated_at"]
    lab.sandbox.update("deal_notes", note["id"], text="x")
    assert lab.sandbox.row("deals", note["deal_id"])["updated_at"] == before
    lab.sandbox.switch(child_moves_parent=True)
    lab.sandbox.update("deal_notes", note["id"], text="y")
    assert lab.sandbox.row("deals", note["deal_id"])["updated_at"] > before


def test_switch_extra_and_dropped_fields(lab: Lab) -> None:
    lab.sandbox.switch(
        extra_fields={"contacts": ["company_id"], "deals": {"sponsor": {"id": 1}}},
        dropped_fields={"contacts": ["updated_at", "phones"]},
    )
    row = lab.data("/contacts")[0]
    assert row["company_id"] == "new"
    assert "updated_at" not in row
    assert "phones" not in row
    assert lab.data("/deals/1")["sponsor"] == {"id": 1}
    assert "company_id" not in lab.data("/companies")[0]
    assert set(lab.data("/contacts", fields="company_id")[0]) == {"id", "company_id"}


def test_switch_legacy_values(lab: Lab) -> None:
    assert "acquisition" not in {row["loan_type"] for row in lab.data("/deals")}
    lab.sandbox.switch(legacy_values=True)
    assert "acquisition" in {row["loan_type"] for row in lab.data("/deals")}
    placements = lab.data("/placements")
    assert "reviewing" in {row["status"] for row in placements}
    assert "visible" in {row["visibility"] for row in placements}
    assert "under_review" in {row["lender_status"] for row in placements}


def test_switch_embedded_financials(lab: Lab) -> None:
    deal = lab.sandbox.rows("deal_financials")[0]["deal_id"]
    reduced = lab.data(f"/deals/{deal}", include="financials")["financials"]
    assert set(reduced) == {"id", "noi", "purchase_price", "appraised_value", "ltv", "dscr"}
    lab.sandbox.switch(embedded_financials="whole")
    whole = lab.data(f"/deals/{deal}", include="financials")["financials"]
    assert whole == lab.data(f"/deals/{deal}/financials")
    assert whole["in_place_noi"] == reduced["noi"]
    lab.sandbox.switch(embedded_financials="reduced")
    lab.sandbox.update("deal_financials", reduced["id"], in_place_noi=1.0)
    assert lab.data(f"/deals/{deal}", include="financials")["financials"]["noi"] == 1.0


def test_switch_embedded_financials_with_other_values(lab: Lab) -> None:
    lab.sandbox.switch(embedded_financials="whole_but_values")
    differing = 0
    for deal in lab.data("/deals", include="financials"):
        block, whole = deal["financials"], lab.data(f"/deals/{deal['id']}/financials")
        if whole is None:
            assert block is None
            continue
        assert block.keys() == whole.keys()
        assert (block["id"], block["updated_at"]) == (whole["id"], whole["updated_at"])
        differing += block != whole
    assert differing > 5


def test_switch_embedded_financials_that_lack_fields(lab: Lab) -> None:
    lab.sandbox.switch(embedded_financials="whole_some_fields")
    lacking = []
    for deal in lab.data("/deals", include="financials"):
        block, whole = deal["financials"], lab.data(f"/deals/{deal['id']}/financials")
        if block != whole:
            lacking.append(deal["id"])
            assert block.items() < whole.items()
            assert len(whole) - len(block) == 3
            assert lab.data(f"/deals/{deal['id']}", include="financials")["financials"] == block
    with_some = {row["deal_id"] for row in lab.sandbox.rows("deal_financials")}
    assert lacking == [deal for deal in (3, 6, 9, 12) if deal in with_some]
    assert lacking


BLOCKS = ("financials", "properties", "team", "pipelines")


@pytest.mark.parametrize("block", BLOCKS)
def test_switch_missing_blocks(lab: Lab, block: str) -> None:
    everything = ",".join(BLOCKS)
    whole = lab.data("/deals", include=everything)
    bare = [{k: v for k, v in row.items() if k != block} for row in whole]
    filled = [row if row[block] else short for row, short in zip(whole, bare, strict=True)]
    thirds = [s if row["id"] % 3 == 0 else row for row, s in zip(whole, bare, strict=True)]
    lists = {
        None: [whole], "empty": [filled], "all": [bare], "everywhere": [bare], "some": [thirds],
        "page": [bare, whole, whole, bare, whole],
    }  # fmt: skip
    for how, wanted in lists.items():
        lab.sandbox.switch(missing_blocks=None)
        lab.sandbox.switch(missing_blocks={block: how})
        for rows in wanted:
            assert lab.data("/deals", include=everything) == rows, how
        by_id = [lab.data(f"/deals/{row['id']}", include=everything) for row in whole]
        assert by_id == {"empty": filled, "everywhere": bare}.get(how or "", whole), how
        assert lab.sandbox.rows("deals", include=everything) == whole
        if how == "page":
            lab.sandbox.cursors.clear()
    assert filled != whole or block == "team"


def test_blocks_that_are_missing_leave_whole_json(lab: Lab) -> None:
    lab.sandbox.switch(missing_blocks="everywhere")
    rows = lab.data("/deals", include=",".join(BLOCKS), fields="id")
    assert rows == [{"id": number} for number in range(1, 13)]
    lab.sandbox.switch(missing_blocks={"team": None})
    assert lab.data("/deals", include=",".join(BLOCKS)) == lab.data("/deals", include="team")


def test_switch_missing_financials(serve: Callable[..., Lab]) -> None:
    lab = serve(deal_financials=0)
    assert lab.data("/deals/1/financials") is None
    assert lab.data("/deals/1", include="financials")["financials"] is None
    lab.sandbox.switch(missing_financials="empty")
    assert lab.data("/deals/1/financials") == {}
    assert lab.data("/deals/1", include="financials")["financials"] == {}
    lab.sandbox.switch(missing_financials="404")
    assert lab.get("/deals/1/financials").status_code == 404


def test_switch_term_sheet_list(lab: Lab) -> None:
    row = lab.sandbox.rows("term_sheets")[0]
    path = f"/deals/{row['deal_id']}/term-sheets"
    assert "min_dscr" not in lab.data(path)[0]
    assert lab.data(f"{path}/{row['id']}") == row
    lab.sandbox.switch(term_sheet_list="whole")
    assert lab.data(path)[0] == row
    assert "min_dscr" in row


def test_switch_archived_placements(lab: Lab) -> None:
    lab.sandbox.archive("placements", 5)
    assert 5 in [row["id"] for row in lab.data("/placements")]
    lab.sandbox.switch(archived_placements="hidden")
    assert "archived" not in {row["status"] for row in lab.data("/placements")}
    assert lab.data("/placements/5")["status"] == "archived"


def test_switch_children_of_archived(lab: Lab) -> None:
    sheet = lab.sandbox.rows("term_sheets")[0]
    deal = sheet["deal_id"]
    paths = [f"/deals/{deal}/{name}" for name in ("notes", "financials", "team", "vaults")]
    paths += [f"/deals/{deal}/term-sheets/{sheet['id']}", f"/deals/{deal}/index/metric-definitions"]

    def statuses() -> set[int]:
        return {lab.get(path).status_code for path in paths}

    lab.sandbox.archive("deals", deal)
    assert statuses() == {200}
    lab.sandbox.switch(children_of_archived="404")
    assert statuses() == {404}
    assert lab.get(paths[0]).json()["error"]["message"] == "Deal not found"
    assert lab.data(f"/deals/{deal}")["archived"] is True
    assert deal in [row["id"] for row in lab.data("/deals")]
    assert lab.get(f"/placements/{deal}/notes").status_code == 200
    lab.sandbox.update("deals", deal, archived=False)
    assert statuses() == {200}


@pytest.mark.parametrize("block", ["financials", "properties", "team", "pipelines"])
def test_switch_include_scope(lab: Lab, block: str) -> None:
    lab.sandbox.switch(include_scope={block: 403})
    for path in ("/deals", "/deals/1"):
        response = lab.get(path, include=f"{block},team")
        assert response.status_code == 403
        assert response.json()["error"]["message"] == f"Missing required scope: {block}:read"
        others = {"financials", "properties", "team", "pipelines"} - {block}
        assert lab.get(path, include=",".join(others)).status_code == 200
        assert lab.get(path).status_code == 200


def test_switch_account_team_key(lab: Lab) -> None:
    ids = [row["user_id"] for row in lab.data("/account/team")]
    lab.sandbox.switch(account_team_key="id")
    rows = lab.data("/account/team")
    assert [row["id"] for row in rows] == ids
    assert all("user_id" not in row and "title" in row for row in rows)


@pytest.mark.parametrize(
    ("name", "path", "key"),
    [
        ("base_rates", "/market/base-rates", "code"),
        ("asset_types", "/market/asset-types", "id"),
        ("pipelines", "/pipelines", "id"),
        ("my_accounts", "/me/accounts", "id"),
    ],
)
def test_switch_data_shape(lab: Lab, name: str, path: str, key: str) -> None:
    rows = lab.data(path)
    assert isinstance(rows, list)
    lab.sandbox.switch(data_shape={name: "object"})
    assert lab.data(path) == {str(row[key]): row for row in rows}


def test_switch_sub_types_shape(lab: Lab) -> None:
    def first() -> Json:
        return lab.data("/market/asset-types")[6]["property_sub_types"]

    assert first() == ["Entitled", "Raw"]
    lab.sandbox.switch(sub_types_shape="string")
    assert first() == "Entitled, Raw"
    lab.sandbox.switch(sub_types_shape="object")
    assert first() == {"1": "Entitled", "2": "Raw"}


def test_switch_validate_key(lab: Lab) -> None:
    path, headers = "/auth/validate-api-key", {"Authorization": None, "X-Origin-App": None}

    def validate(key: object) -> Json:
        return lab.ask("POST", path, json={"api_key": key}, headers=headers)

    body = validate(lab.sandbox.key).json()
    assert body["data"]["valid"] is True
    assert body["data"]["tier"] == "standard"
    assert validate("lev_sk_other").json()["data"] == {"valid": False}
    lab.sandbox.switch(validate_key_shape="bare")
    assert validate(lab.sandbox.key).json() == body["data"]
    lab.sandbox.switch(invalid_key_status=401)
    assert validate("lev_sk_other").status_code == 401
    assert validate(None).status_code == 422


def test_switches_of_me(lab: Lab) -> None:
    before = lab.data("/me")
    assert {"id", "slug"} < before["account"].keys()
    lab.sandbox.switch(me_user_id=7, me_account_id=8)
    after = lab.data("/me")
    assert (after["user"]["id"], after["account"]["id"]) == (7, 8)
    assert after["account"]["slug"] == before["account"]["slug"]
    body = {"api_key": lab.sandbox.key}
    said = lab.ask("POST", "/auth/validate-api-key", json=body).json()["data"]
    assert (said["user_id"], said["account_id"]) == (7, 8)
    lab.sandbox.switch(me_account="no_id", me_user_id=None, me_account_id=None)
    account = lab.data("/me")["account"]
    assert account == {k: v for k, v in before["account"].items() if k != "id"}
    lab.sandbox.switch(me_account="absent")
    assert lab.data("/me") == {k: v for k, v in before.items() if k != "account"}
    lab.sandbox.switch(me_account="whole")
    assert lab.data("/me") == before


def test_switch_me_rate_limits(serve: Callable[..., Lab]) -> None:
    lab = serve(tier="free")
    assert lab.data("/me")["platform"]["api_tier"] == "free"
    assert lab.data("/me")["platform"]["rate_limits"] == {}
    lab.sandbox.switch(me_rate_limits="flat")
    assert lab.data("/me")["platform"]["rate_limits"] == {
        "requests_per_minute": 30, "requests_per_minute_per_endpoint": 10,
    }  # fmt: skip
    lab.sandbox.switch(me_rate_limits="nested")
    assert lab.data("/me")["platform"]["rate_limits"]["account"]["limit"] == 30
    lab.sandbox.switch(me_rate_limits="absent")
    assert "rate_limits" not in lab.data("/me")["platform"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"colour": 1}, "There is no switch 'colour'; there are: updated_at_filter,"),
        ({"gzip": "yes"}, "Switch 'gzip' cannot be 'yes'; it can be: true or false."),
        ({"error_form": "D"}, "Switch 'error_form' cannot be 'D'; it can be: A, B, C."),
        ({"latency": -1}, "Switch 'latency' cannot be -1; it can be: a number from 0."),
        (
            {"updated_at_filter": {"notes": "400"}},
            "Switch 'updated_at_filter' has no entry 'notes'",
        ),
        ({"updated_at_filter": 400}, "Switch 'updated_at_filter' cannot be 400; it can be: honour"),
        ({"extra_fields": {"contact": ["x"]}}, "Switch 'extra_fields' has no entry 'contact'"),
        ({"missing_scopes": ["deal:read"]}, "Switch 'missing_scopes' cannot be ['deal:read']"),
        (
            {"refuse_fields": True},
            "Switch 'refuse_fields' cannot be True; it can be: null, 400, 422",
        ),
    ],
)
def test_a_wrong_switch_is_one_clear_error(values: dict[str, Any], sentence: str) -> None:
    sandbox = Sandbox()
    before = dict(sandbox.switches)
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        sandbox.switch(cursor_echo=False, **values)
    assert "\n" not in str(caught.value)
    assert sandbox.switches == before


def test_switches_take_one_value_for_all_entries() -> None:
    sandbox = Sandbox()
    sandbox.switch(updated_at_filter="422")
    assert set(sandbox.switches["updated_at_filter"].values()) == {"422"}
    sandbox.switch(updated_at_filter={"deals": "ignored"})
    assert sandbox.switches["updated_at_filter"]["deals"] == "ignored"
    assert sandbox.switches["updated_at_filter"]["contacts"] == "422"
    sandbox.reset()
    assert sandbox.switches == Sandbox().switches


@pytest.mark.parametrize(
    "names", [SWITCHES, faults.KINDS, poison.KINDS], ids=["switch", "fault", "poison"]
)
def test_the_readme_names_everything(names: dict[str, object]) -> None:
    said = (Path(__file__).parents[2] / "sandbox" / "README.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in said] == []


def test_defaults_are_accepted_values() -> None:
    for switch in SWITCHES.values():
        values = switch.default.values() if switch.keys else [switch.default]
        assert all(switch.accepts(value) for value in values)


def test_rate_limit_forms(serve: Callable[..., Lab]) -> None:
    clock = Clock("2026-03-01T12:00:00Z", frozen=True)
    lab = serve(tier="free", clock=clock)
    for _ in range(10):
        assert lab.get("/contacts").status_code == 200
    clock.advance(29.5)
    body = lab.get("/contacts").json()
    assert body["error"] == {
        "status": 429, "type": "rate_limit_exceeded", "details": {},
        "message": "Per-minute API rate limit reached.",
        "limit_type": "requests_per_minute_per_endpoint", "retry_after_seconds": 31,
    }  # fmt: skip
    lab.sandbox.switch(rate_limit_form="B")
    assert lab.get("/contacts").json()["error"] == {
        "code": "RATE_LIMITED", "message": "Rate limit exceeded. Retry after 31 seconds.",
    }  # fmt: skip
    lab.sandbox.switch(rate_limit_form="C")
    assert lab.get("/contacts").json() == {"error": "Rate limit exceeded. Retry after 31 seconds."}
    lab.sandbox.switch(rate_limit_form="bare")
    assert "retry_after_seconds" not in lab.get("/contacts").json()["error"]
    lab.sandbox.switch(rate_limit_form="html")
    assert lab.get("/contacts").headers["Content-Type"].startswith("text/html")
    lab.sandbox.switch(rate_limit_form="empty")
    response = lab.get("/contacts")
    assert response.status_code == 429
    assert response.content == b""
    assert "Retry-After" not in response.headers
    lab.sandbox.switch(retry_after="seconds")
    assert lab.get("/contacts").headers["Retry-After"] == "31"
    lab.sandbox.switch(retry_after="date")
    response = lab.get("/contacts")
    wait = parsedate_to_datetime(response.headers["Retry-After"]) - parsedate_to_datetime(
        response.headers["Date"]
    )
    assert 31 <= wait.total_seconds() <= 32
