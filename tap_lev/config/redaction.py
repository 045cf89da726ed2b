"""Keep the API key out of the log, in whatever text and form it gets there."""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_LENGTH = 8
"""Shorter texts are no keys, and would be found inside ordinary words."""

ANY_KEY = r"lev_sk_[\w-]{8,}"
"""Any key of Lev, such as one in a wrong setting. Lev itself shows shorter prefixes."""

CREDENTIALS = r"(?<=://)[^\s/@]+(?=@)"
"""User and password in a URL, such as that of a proxy."""

_PLAIN = logging.Formatter()
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


@dataclasses.dataclass(frozen=True)
class Redaction(logging.Filter):
    """Replaces a secret in log records.

    Attributes:
        secret: The text that no record may hold.
    """

    secret: str

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        forms = sorted(_forms(self.secret), key=len, reverse=True)
        found = "|".join([*map(re.escape, forms), ANY_KEY])
        # Ignore case: the tap writes Lev's error types in small letters.
        return re.compile(rf"({found})|{CREDENTIALS}", re.IGNORECASE)

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass every record on, without the secret."""
        message = record.getMessage()
        if (blotted := self._blotted(message)) != message:
            record.msg, record.args = blotted, None
        if record.exc_info and record.exc_info[0]:
            trace = _PLAIN.formatException(record.exc_info)
            # A structured log writes errors that a plain one leaves out: those raised "from None".
            whole = "\n".join([trace, *map(str, _chain(record.exc_info[1]))])
            if self._blotted(whole) != whole:
                record.exc_info, record.exc_text = None, self._blotted(trace)
        if record.stack_info:
            record.stack_info = self._blotted(record.stack_info)
        # Structured logs also write what is passed as extra.
        for name in record.__dict__.keys() - _OWN:
            record.__dict__[name] = self.cleaned(record.__dict__[name])
        return True

    def _blotted(self, text: str) -> str:
        return self._pattern.sub(lambda m: "[api_key]" if m[1] else "[user and password]", text)

    def cleaned(self, value: Any) -> Any:  # noqa: ANN401 - whatever is logged
        """Return a value without the secret, at every level."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self._blotted(value)
        if isinstance(value, dict):
            return {self.cleaned(name): self.cleaned(v) for name, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.cleaned(item) for item in value]
        text = str(value)
        return value if (blotted := self._blotted(text)) == text else blotted

    @classmethod
    def from_key(cls, secret: object) -> Redaction | None:
        """Return a filter for what may be a key, or None if it is too short for one."""
        if not isinstance(secret, str) or len(secret.strip()) < MIN_LENGTH:
            return None
        return cls(secret.strip())

    @classmethod
    def install(cls, secret: object) -> None:
        """Add a filter to every log handler of the process."""
        redaction = cls.from_key(secret)
        if redaction is None:
            return
        loggers = [logging.getLogger(), *logging.getLogger().manager.loggerDict.values()]
        for logger in loggers:
            # The user's log configuration may give handlers to any logger.
            for handler in getattr(logger, "handlers", ()):
                handler.addFilter(redaction)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all errors that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _forms(secret: str) -> set[str]:
    """Return the forms that a secret takes in a text: as it is, escaped or encoded."""
    raw = secret.encode(errors="surrogatepass")
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    forms |= {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    for before in range(3):
        # In base64 the bytes before, such as the user in a Basic header, shift the letters by one
        # of three offsets, and the first and last letter hold bits of the neighbours: cut them.
        encoded = base64.b64encode(bytes(before) + raw)
        first = -(-before * 8 // 6)
        whole = encoded[first : (before + len(raw)) * 8 // 6].decode()
        forms |= {whole, whole.translate(str.maketrans("+/", "-_"))}
    return {form for form in forms if len(form) >= MIN_LENGTH} | {secret}
