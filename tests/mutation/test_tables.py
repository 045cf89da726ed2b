"""The tables of the mutants name modules, lines and tests that exist."""

from __future__ import annotations

import pytest

from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.tests import NEAR, WIDE, file_of, find_tests


def test_every_module_has_both_kinds_of_tests() -> None:
    assert NEAR.keys() == WIDE.keys()
    assert EQUIVALENT.keys() <= NEAR.keys()


@pytest.mark.parametrize("module", NEAR)
def test_what_a_module_is_tried_with_exists(module: str) -> None:
    lines = {line.strip() for line in file_of(module).read_text(encoding="utf-8").splitlines()}
    assert EQUIVALENT.get(module, {}).keys() <= lines
    assert all(find_tests(name).exists() for name in (*NEAR[module], *WIDE[module]))
