"""Run the command line, and end with one sentence and an exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import click
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.logging import ConsoleFormatter
from singer_sdk.plugin_base import SingerCommand
from typing_extensions import override

from tap_lev.concurrency.shutdown import Interruption
from tap_lev.config import environment
from tap_lev.config.redaction import Redaction
from tap_lev.errors import ConfigError, LevError
from tap_lev.text import quoted, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("about", "discover", "test", "check", "plan", "refresh")
"""Options that run something else than a sync."""
NEED_NO_SETTINGS = frozenset({"about", "discover"})
"""Commands that run without valid settings."""
COMMANDS_GIVEN = "tap_lev.commands"
"""The key in click's context under which the commands of a command line are."""
OPTIONS = (
    click.Option(
        ["--refresh"],
        multiple=True,
        metavar="STREAM=ID,ID",
        help="Read just these rows and their selected children; the state stays as it is.",
    ),
    click.Option(
        ["--check"],
        is_flag=True,
        help="Tell the account, its limits, and what can be read of each selected stream.",
    ),
    click.Option(
        ["--plan"],
        is_flag=True,
        help="Tell how many rows, requests and minutes a sync would take.",
    ),
)
FORMATS = {
    "about": ("text", "json", "markdown"),
    "check": ("text", "json"),
    "plan": ("text", "json"),
}
"""The formats of an option's output. The first one is the default of ``--format``."""


class LevCommand(SingerCommand):
    """The SDK's command, which reports failures in a sentence.

    Exit codes: 0 complete, 1 something failed, 2 bad input, 3 the key was refused, 128 + n ended
    by signal n.

    Attributes:
        fault: Why the command cannot run at all, or None.
    """

    fault: ConfigError | None = None

    @classmethod
    def from_sdk(cls, command: click.Command) -> LevCommand:
        """Build the command from the SDK's, with more options."""
        assert isinstance(command, SingerCommand)  # noqa: S101
        return cls(
            command.name,
            callback=command.callback,
            params=[*map(_with_formats, command.params), *OPTIONS],
            help=command.help,
            context_settings=command.context_settings,
            logger=command.logger,
        )

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, _, _ = self.make_parser(ctx).parse_args(list(args))
        commands = ctx.meta[COMMANDS_GIVEN] = [name for name in COMMANDS if name in options]
        if not ctx.resilient_parsing:
            _check_together(commands, options.get("about_format"))
        return super().parse_args(ctx, args)

    @override
    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self.fault is not None:
                raise self.fault
            _check_output()
            return super().main(*args, **kwargs)
        except LevError as error:
            self._end(str(error), error.exit_code)
        except SingerSDKError as error:
            self._end(str(error), 1)
        except Interruption as interruption:
            # Another signal could end the process before its sentence and exit code.
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
            # Other threads may hang in a write or a read. Python would wait for them at exit.
            logging.shutdown()
            os._exit(exit_code)
        sys.exit(exit_code)


def log_fault(prefix: str, error: Exception) -> ConfigError:
    """Find why the log could not be set up, and set up a plain one to report it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ConsoleFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    Redaction.install(os.environ.get(f"{prefix}API_KEY"))
    # The same order as in the SDK; an empty variable counts as unset.
    name = next((n for n in (f"{prefix}LOGLEVEL", "LOGLEVEL") if os.environ.get(n)), None)
    if name and os.environ[name].upper() not in logging.getLevelNamesMapping():
        return ConfigError(
            f"The environment variable {name} must be a level such as INFO or DEBUG, not "
            f"{shown(os.environ[name])}."
        )
    return ConfigError(
        f"The file that SINGER_SDK_LOG_CONFIG names cannot be used: {quoted(error)}."
    )


def load_dotenv(ctx: click.Context, logger: logging.Logger) -> None:
    """Read the working directory's ``.env`` for a command line.

    Raises:
        ConfigError: It cannot be read, and the command needs settings.
    """
    try:
        environment.load_dotenv()
    except ConfigError as fault:
        if not NEED_NO_SETTINGS.intersection(ctx.meta.get(COMMANDS_GIVEN, ())):
            raise
        logger.warning("%s", fault)


def _with_formats(param: click.Parameter) -> click.Parameter:
    """Let the SDK's ``--format`` accept the formats of all our options."""
    if isinstance(param, click.Option) and param.name == "about_format":
        param.type = click.Choice(FORMATS["about"], case_sensitive=False)
        param.help = "How --about, --check or --plan is written."
    return param


def _check_output() -> None:
    """Make sure that stdout is open.

    Raises:
        LevError: It is not, as after a shell's ``>&-``.
    """
    output: object = sys.stdout
    if output is None:
        raise LevError(
            "The output could not be written: stdout is closed. Pipe it to a target or a file."
        )


def _check_together(commands: Sequence[str], form: str | None) -> None:
    """Make sure that the options ask for one command, in a format that it has.

    The SDK would run one of two commands and ignore the other.

    Raises:
        ConfigError: They ask for more.
    """
    own = {"check", "plan"}.intersection(commands)
    if own and len(commands) > 1:
        names = " and ".join(f"--{name}" for name in commands)
        raise ConfigError(f"{names} cannot be asked for at once: run tap-lev once for each.")
    for name in own:
        if form is not None and form.lower() not in FORMATS[name]:
            raise ConfigError(
                f"--{name} is written as {' or '.join(FORMATS[name])}, not as {shown(form)}."
            )


def _drop_output() -> None:
    """Discard what is still buffered for the target.

    Python would write it at exit: that fails if the target is gone, and waits for ever if it does
    not read. It is at most a part of one message, since each message is flushed.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
