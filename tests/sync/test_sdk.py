"""The tests that the SDK brings for every tap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from lev_sandbox import Sandbox, SandboxServer
from tap_lev.streams.account import CurrentUser
from tap_lev.tap import TapLev
from tests.conftest import SMALL
from tests.support.expected_rows import ALL, QUERIES
from tests.support.inprocess import catalog_of, config_of

if TYPE_CHECKING:
    from collections.abc import Iterator

# The test class is made with the settings, so the server has to be there before it.
SERVER = SandboxServer(Sandbox(**SMALL)).start()
# The forms that have every column.
SERVER.sandbox.switch(account_team_key="id", term_sheet_list="whole")
# All columns but that of users of several accounts, whom Lev tells nothing else.
CURRENT_USER = set(CurrentUser.schema["properties"]) - {"available_accounts"}


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    yield
    SERVER.stop()


TestTapLev = get_tap_test_class(
    TapLev,
    config=config_of(SERVER, **QUERIES),
    catalog=catalog_of(*ALL, current_user=CURRENT_USER),
    suite_config=SuiteConfig(max_records_limit=100),
)
