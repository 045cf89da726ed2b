"""Streams of the account, its people and the key's own user (lev-api.md §2.24 to §2.28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from typing_extensions import override

from tap_lev.records.schema import OPEN_OBJECT, object_type
from tap_lev.streams.lists import FullTableStream
from tap_lev.streams.rows import renamed, without

if TYPE_CHECKING:
    from tap_lev.api.response import LevResponse

PERSON = object_type(th.Property("id", th.IntegerType), th.Property("name", th.StringType))
"""A user, as rows of other resources name one."""

ACCOUNT_FIELDS = (
    th.Property("name", th.StringType),
    th.Property("slug", th.StringType, description="The value for the setting active_account."),
    th.Property(
        "account_type", th.StringType, description="Such as brokerage, borrower or lender."
    ),
)


class AccountTeamMembers(FullTableStream):
    """Members of the account."""

    name = "account_team_members"
    path = "/account/team"
    primary_keys = ("user_id",)
    schema = th.PropertiesList(
        th.Property("user_id", th.IntegerType, required=True),
        th.Property("first_name", th.StringType),
        th.Property("last_name", th.StringType),
        th.Property("email", th.StringType),
        th.Property("role", th.StringType, description="Such as admin or member."),
        th.Property("title", th.StringType),
        th.Property("photo_url", th.StringType),
    ).to_dict()

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Rename the key, which Lev names in two ways."""
        return row if "user_id" in row else renamed(row, "id", "user_id")


class CurrentUser(FullTableStream):
    """The user that the key belongs to, one row."""

    name = "current_user"
    path = "/me"
    single_row = True
    primary_keys = ("user_id",)
    selected_by_default = False
    schema = th.PropertiesList(
        th.Property("user_id", th.IntegerType, required=True),
        th.Property("uuid", th.StringType),
        th.Property("email", th.StringType),
        th.Property("first_name", th.StringType),
        th.Property("last_name", th.StringType),
        th.Property("full_name", th.StringType),
        th.Property("role", th.StringType, description="Such as admin."),
        th.Property("photo_url", th.StringType),
        th.Property("last_login_at", th.DateTimeType),
        th.Property("account", OPEN_OBJECT),
        th.Property("profile", OPEN_OBJECT),
        th.Property("subscription", OPEN_OBJECT),
        th.Property(
            "platform",
            OPEN_OBJECT,
            description="What the key may do: api_tier, rate_limits, granted_scopes.",
        ),
        th.Property(
            "available_accounts",
            th.ArrayType(object_type(th.Property("id", th.IntegerType), *ACCOUNT_FIELDS)),
            description="Only for users of several accounts who did not choose one.",
        ),
    ).to_dict()

    @override
    def transform(self, row: dict[str, Any], response: LevResponse) -> dict[str, Any]:
        """Move the user's own fields to the top level, beside the other objects."""
        user = row.get("user")
        if not isinstance(user, dict):
            return row
        return renamed(user, "id", "user_id") | without(row, ("user",))


class Accounts(FullTableStream):
    """Accounts that the key's user is a member of."""

    name = "accounts"
    path = "/me/accounts"
    selected_by_default = False
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        *ACCOUNT_FIELDS,
    ).to_dict()


class BillingSummary(FullTableStream):
    """The account's subscription and credits, one row."""

    name = "billing_summary"
    path = "/billing/summary"
    single_row = True
    account_id_column = "account_id"
    primary_keys = ("account_id",)
    selected_by_default = False
    schema = th.PropertiesList(
        th.Property("account_id", th.IntegerType, required=True),
        th.Property(
            "subscription",
            object_type(
                th.Property("type", th.StringType),
                th.Property("status", th.StringType),
                th.Property("billing_cycle", th.StringType, description="monthly or annual."),
                th.Property("end_date", th.StringType),
            ),
        ),
        th.Property(
            "credits",
            object_type(
                th.Property("enabled", th.BooleanType),
                th.Property(
                    "balance", th.IntegerType, description="Null until credits are set up."
                ),
                th.Property("unit", th.StringType),
            ),
        ),
    ).to_dict()


class ApiKeys(FullTableStream):
    """API keys of the account: their labels and dates, never the keys themselves."""

    name = "api_keys"
    path = "/api-keys"
    # A field that Lev adds to a key may be a secret.
    keeps_unknown_fields = False
    selected_by_default = False
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("label", th.StringType),
        th.Property("key_prefix", th.StringType),
        th.Property("created_at", th.DateTimeType),
        th.Property("last_used_at", th.DateTimeType),
    ).to_dict()
