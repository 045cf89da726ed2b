"""Quote foreign text in a sentence: shortened, on one line, and printable."""

from __future__ import annotations

MAX_QUOTED = 300
"""Characters of a foreign text that are quoted."""


def quoted(text: object) -> str:
    """Quote a text, shortened, on one line, and with escapes for what is not printable."""
    try:
        # Another value may be larger or deeper than str() can write.
        plain = text if isinstance(text, str) else str(text)
    except (RecursionError, ValueError):
        plain = f"a {type(text).__name__} that is too large"
    # Cut twice: a megabyte is not split, and blanks do not count.
    line = " ".join(plain[: 4 * MAX_QUOTED].split())[:MAX_QUOTED]
    if not line.isprintable():
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    return line


def shown(value: object) -> str:
    """Quote a value as Python shows it, so that a text is in quotation marks."""
    try:
        text = repr(value[:MAX_QUOTED] if isinstance(value, str) else value)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__} that is too large"
    return quoted(text)


def name_request(request_id: str | None) -> str:
    """Name a request in a sentence by Lev's id, or say that Lev did not give one."""
    return f"request_id {request_id or 'not given'}"
