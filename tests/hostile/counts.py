"""How many inputs of which kind were tried: few in ``make test``, many in ``make fuzz``."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXAMPLES = "TAP_LEV_FUZZ_EXAMPLES"
"""The environment variable that says how many inputs of a kind are tried, if more than usual."""

DIRECTORY = "TAP_LEV_FUZZ_TALLY"
"""The environment variable that names the directory for the counts, a file for each process."""

_counts: Counter[str] = Counter()


def examples(usual: int, share: float = 1) -> Callable[..., Any]:
    """Set how many inputs a property is tried with.

    Args:
        usual: How many in ``make test``.
        share: Which part of the number for ``make fuzz``: less where each is a whole sync.
    """
    asked = int(int(os.environ.get(EXAMPLES, "0")) * share)
    return settings(
        max_examples=max(usual, asked),
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.function_scoped_fixture,
        ],
    )


def count(kind: str, number: int = 1) -> None:
    """Count inputs of a kind."""
    _counts[kind] += number


def save(directory: Path) -> None:
    """Write the counts of this process."""
    (directory / f"{os.getpid()}.json").write_text(json.dumps(_counts))
