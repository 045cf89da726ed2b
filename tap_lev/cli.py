"""The command: every way to end has its sentence and its exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import SingerSDKError
from singer_sdk.plugin_base import SingerCommand
from typing_extensions import override

from tap_lev.errors import LevError
from tap_lev.shutdown import Interruption

if TYPE_CHECKING:
    import click


class LevCommand(SingerCommand):
    """The SDK's command, with failures told in a sentence.

    Exit codes: 0 complete, 1 something failed, 2 bad input, 3 the key was refused, 128 + n ended
    by signal n.
    """

    @classmethod
    def of(cls, command: click.Command) -> LevCommand:
        """Take over what the SDK's command can do."""
        assert isinstance(command, SingerCommand)  # noqa: S101
        return cls(
            command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
            logger=command.logger,
        )

    @override
    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except LevError as error:
            self._end(str(error), error.exit_code)
        except SingerSDKError as error:
            self._end(str(error), 1)
        except Interruption as interruption:
            for signum in (signal.SIGINT, signal.SIGTERM):
                signal.signal(signum, signal.SIG_IGN)
            _drop_output()
            self._end(
                "Ended by a signal; the state written last is consistent.",
                128 + interruption.signum,
            )
        except OSError as error:
            _drop_output()
            self._end(f"The output could not be written: {error.strerror or error}.", 1)

    def _end(self, sentence: str, exit_code: int) -> None:
        self.logger.error("%s", sentence)
        if threading.active_count() > 1:
            # They may hang in a write or a read, and Python's own end would stumble over them.
            logging.shutdown()
            os._exit(exit_code)
        sys.exit(exit_code)


def _drop_output() -> None:
    """Give up what the target did not take, which Python would try to write once more at exit.

    That would complain where the target is gone, and wait for ever where it does not read. Only a
    message in the middle of being written is ever left: each is flushed.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
