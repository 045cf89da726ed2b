"""Read and check the rows that ``--refresh``, or the setting ``refresh``, names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_lev.errors import ConfigError
from tap_lev.text import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MAX_DIGITS = 20
"""The most digits of an id."""


def parse_refresh(texts: Iterable[str]) -> dict[str, list[int]]:
    """Read the command line's form, such as ``deals=101,102``.

    Args:
        texts: The values of the option.

    Returns:
        The ids, by stream.

    Raises:
        ConfigError: A text has another form.
    """
    ids_by_stream: dict[str, list[int]] = {}
    for text in texts:
        name, _, ids = text.partition("=")
        keys = [key.strip() for key in ids.split(",")]
        # int() takes more than ids, such as 1_000 and -1, and refuses 5,000 digits.
        if not all(key.isdecimal() and len(key) <= MAX_DIGITS for key in keys):
            raise ConfigError(
                f"--refresh takes a stream and ids, such as deals=101,102, not {shown(text)}."
            )
        ids_by_stream.setdefault(name, []).extend(map(int, keys))
    return ids_by_stream


def check_refresh(
    names: Iterable[str], refreshable: Collection[str], selected: Collection[str]
) -> None:
    """Make sure that single rows of every named stream can be read and are wanted.

    Args:
        names: The streams that the setting names.
        refreshable: The streams whose rows have an endpoint for one row.
        selected: The streams that are selected, or that a selected stream follows.

    Raises:
        ConfigError: A stream is not among them.
    """
    for name in names:
        if name not in refreshable:
            raise ConfigError(
                f"The stream {shown(name)} cannot be refreshed by id; these can: "
                f"{', '.join(refreshable)}."
            )
        if name not in selected:
            raise ConfigError(
                f"The stream {name} is not selected, nor one that follows it, so its rows cannot "
                "be refreshed: select it in the catalog, or in Meltano by select."
            )
