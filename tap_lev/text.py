"""What others wrote, as far as it fits into a sentence of the log."""

from __future__ import annotations

MAX_QUOTED = 300
"""How many characters of a foreign message are repeated."""


def quoted(text: object) -> str:
    """Repeat what others wrote, as far as it fits into a sentence: on one line, and printable."""
    try:
        # What is not a text may be as large and as deep as its writer likes.
        given = text if isinstance(text, str) else str(text)
    except (RecursionError, ValueError):
        given = f"a {type(text).__name__} that is too large"
    line = " ".join(given[: 4 * MAX_QUOTED].split())[:MAX_QUOTED]
    if not line.isprintable():
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    return line


def shown(value: object) -> str:
    """Repeat a value of others as Python shows it, as far as it fits into a sentence."""
    try:
        text = repr(value[:MAX_QUOTED] if isinstance(value, str) else value)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__} that is too large"
    return quoted(text)


def name_request(request_id: str | None) -> str:
    """Name a request in a sentence by Lev's id, or say that Lev did not give one."""
    return f"request_id {request_id or 'not given'}"
