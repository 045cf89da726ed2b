"""Keeps the API key out of the log, whatever text it came in by."""

from __future__ import annotations

import dataclasses
import logging

MIN_LENGTH = 8
"""Shorter texts are no keys, and would be found inside ordinary words."""

_PLAIN = logging.Formatter()


@dataclasses.dataclass(frozen=True)
class Redaction(logging.Filter):
    """Blots a secret out of log records.

    Attributes:
        secret: The text that no record may hold.
    """

    secret: str

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without the secret."""
        message = record.getMessage()
        if self.secret in message:
            record.msg, record.args = self._blotted(message), None
        if record.exc_info and record.exc_info[0]:
            trace = _PLAIN.formatException(record.exc_info)
            if self.secret in trace:
                record.exc_info, record.exc_text = None, self._blotted(trace)
        return True

    def _blotted(self, text: str) -> str:
        return text.replace(self.secret, "[api_key]")

    @classmethod
    def install(cls, secret: object) -> None:
        """Watch everything that goes to the process's log handlers."""
        if isinstance(secret, str) and len(secret.strip()) >= MIN_LENGTH:
            for handler in logging.getLogger().handlers:
                handler.addFilter(cls(secret.strip()))
