"""A hundred rounds of the torture; ``make torture`` plays more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.torture.runner import RoundRunner
ROUNDS = 100
AT_A_TIME = 5


@pytest.mark.parametrize("first", range(0, ROUNDS, AT_A_TIME))
def test_nothing_is_lost_whatever_happens(runner: RoundRunner, first: int) -> None:
    outcomes = [*runner.rounds(range(first, first + AT_A_TIME))]
    assert sum(sum(outcome.kills.values()) for outcome in outcomes) > 0
    assert [str(outcome) for outcome in outcomes if outcome.findings] == []
