"""The account, its people and the key's own user (lev-api.md §2.24 to §2.28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_lev.records.schema import (
    BOOLEAN,
    DATE_TIME,
    INTEGER,
    OBJECT,
    STRING,
    array,
    described,
    record,
    table,
)
from tap_lev.streams.lists import FullTableStream
from tap_lev.streams.rows import renamed, without

if TYPE_CHECKING:
    from tap_lev.api.response import LevResponse

ACCOUNT = {
    "id": INTEGER,
    "name": STRING,
    "slug": described(STRING, "The value for the setting active_account."),
    "account_type": described(STRING, "Such as brokerage, borrower or lender."),
}


class AccountTeamMembers(FullTableStream):
    """Members of the account."""

    name = "account_team_members"
    path = "/account/team"
    primary_keys = ("user_id",)
    schema = table(
        primary_keys,
        user_id=INTEGER,
        first_name=STRING,
        last_name=STRING,
        email=STRING,
        role=described(STRING, "Such as admin or member."),
        title=STRING,
        photo_url=STRING,
    )

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Call the key the same, whichever of Lev's two names it comes under."""
        return row if "user_id" in row else renamed(row, "id", "user_id")


class CurrentUser(FullTableStream):
    """The user that the key belongs to, one row."""

    name = "current_user"
    path = "/me"
    single_row = True
    primary_keys = ("user_id",)
    selected_by_default = False
    schema = table(
        primary_keys,
        user_id=INTEGER,
        uuid=STRING,
        email=STRING,
        first_name=STRING,
        last_name=STRING,
        full_name=STRING,
        role=described(STRING, "Such as admin."),
        photo_url=STRING,
        last_login_at=DATE_TIME,
        account=OBJECT,
        profile=OBJECT,
        subscription=OBJECT,
        platform=described(OBJECT, "What the key may do: api_tier, rate_limits, granted_scopes."),
        available_accounts=described(
            array(record(**ACCOUNT)), "Only for users of several accounts who did not choose one."
        ),
    )

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Lift the user's own fields beside the objects that come with them."""
        user = row.get("user")
        if not isinstance(user, dict):
            return row
        return renamed(user, "id", "user_id") | without(row, ("user",))


class Accounts(FullTableStream):
    """Accounts that the key's user is a member of."""

    name = "accounts"
    path = "/me/accounts"
    selected_by_default = False
    schema = table(FullTableStream.primary_keys, **ACCOUNT)


class BillingSummary(FullTableStream):
    """The account's subscription and credits, one row."""

    name = "billing_summary"
    path = "/billing/summary"
    single_row = True
    account_id_column = "account_id"
    primary_keys = ("account_id",)
    selected_by_default = False
    schema = table(
        primary_keys,
        account_id=INTEGER,
        subscription=record(
            type=STRING,
            status=STRING,
            billing_cycle=described(STRING, "monthly or annual."),
            end_date=STRING,
        ),
        credits=record(
            enabled=BOOLEAN,
            balance=described(INTEGER, "Null until credits are set up."),
            unit=STRING,
        ),
    )


class ApiKeys(FullTableStream):
    """API keys of the account: their labels and dates, never the keys themselves."""

    name = "api_keys"
    path = "/api-keys"
    keeps_unknown_fields = False  # What Lev adds to a key may be a secret.
    selected_by_default = False
    schema = table(
        FullTableStream.primary_keys,
        id=INTEGER,
        label=STRING,
        key_prefix=STRING,
        created_at=DATE_TIME,
        last_used_at=DATE_TIME,
    )
