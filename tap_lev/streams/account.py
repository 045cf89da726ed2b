"""The account's own people (lev-api.md §2.26)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_lev.schema import INTEGER, STRING, described, table
from tap_lev.stream import FullTableStream

if TYPE_CHECKING:
    from tap_lev.client import Answer


class AccountTeamMembers(FullTableStream):
    """Members of the account."""

    name = "account_team_members"
    path = "/account/team"
    primary_keys = ("user_id",)
    schema = table(
        ("user_id",),
        user_id=INTEGER,
        first_name=STRING,
        last_name=STRING,
        email=STRING,
        role=described(STRING, "Such as admin or member."),
        title=STRING,
        photo_url=STRING,
    )

    @override
    def adapt(self, row: dict[str, Any], answer: Answer) -> dict[str, Any]:
        """Call the key the same, whichever of Lev's two names it comes under."""
        if "user_id" in row:
            return row
        return {"user_id" if name == "id" else name: value for name, value in row.items()}
