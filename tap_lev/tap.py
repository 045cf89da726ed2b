"""TapLev: the command line, the list of streams, and running them."""

from __future__ import annotations

import copy
import functools
import os
import sys
from typing import IO, TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.cli import plugin_cli
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.mapper import PluginMapper
from typing_extensions import override

from tap_lev.api.account import identify
from tap_lev.api.client import LevClient
from tap_lev.cli import COMMANDS_GIVEN, NEED_NO_SETTINGS, LevCommand, log_fault
from tap_lev.concurrency.lock import RunLock
from tap_lev.concurrency.shutdown import Shutdown
from tap_lev.concurrency.workers import Workers
from tap_lev.config import environment, input_files, settings, stream_maps, validation
from tap_lev.config.redaction import Redaction
from tap_lev.config.refresh_option import check_refresh, parse_refresh
from tap_lev.errors import ConfigError
from tap_lev.progress.metrics import RequestRecorder
from tap_lev.progress.report import RunReport
from tap_lev.ratelimit.budget import RateBudget
from tap_lev.ratelimit.limits import configured_limits, fallback_limits
from tap_lev.ratelimit.scheduler import RequestScheduler
from tap_lev.records.schema import UNKNOWN_FIELDS
from tap_lev.records.writer import MessageWriter
from tap_lev.streams import STREAMS
from tap_lev.streams.base import LevStream
from tap_lev.streams.lists import ListStream
from tap_lev.sync.list_sync import ListSync
from tap_lev.sync.run import Run
from tap_lev.sync.runner import Runner
from tap_lev.sync.state_writer import StateWriter
from tap_lev.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    import click
    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.plugin_base import _ConfigInput

STREAMS_BY_NAME = {stream.name: stream for stream in STREAMS}
COLUMNS = {s.name: frozenset({*s.schema["properties"], UNKNOWN_FIELDS}) for s in STREAMS}


class TapLev(Tap):
    """Singer tap for Lev, the platform for commercial real estate finance."""

    name = "tap-lev"
    # A copy, because the SDK adds its own settings to it.
    config_jsonschema: ClassVar[dict[str, Any]] = copy.deepcopy(settings.SETTINGS)
    message_writer_class = MessageWriter
    message_writer: MessageWriter
    # BATCH is not among them: its STATE could cover rows of a page that no batch holds yet.
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, *, catalog: Any = None, state: Any = None, **kwargs: Any) -> None:  # noqa: ANN401
        self.shutdown = Shutdown()
        self.report = RunReport()
        if catalog is not None:
            catalog = input_files.check_catalog(catalog, STREAMS_BY_NAME)
        if state:
            input_files.check_state(state, STREAMS_BY_NAME)
        self._reads_environment = bool(kwargs.get("parse_env_config"))
        super().__init__(catalog=catalog, state=state, **kwargs)
        lists = [stream for stream in STREAMS if issubclass(stream, ListStream)]
        selected = (s for s in self.streams.values() if isinstance(s, LevStream) and s.selected)
        check_refresh(
            self.config.get("refresh") or {},
            refreshable=[stream.name for stream in lists if stream.detail_path is not None],
            selected={stream.list_type().name for stream in selected},
        )
        input_files.check_gaps(self.config.get("accepted_gaps") or {}, STREAMS_BY_NAME)

    @override
    def discover_streams(self) -> list[LevStream]:
        return [stream(self) for stream in STREAMS]

    @functools.cached_property
    def recorder(self) -> RequestRecorder:
        """Counts the requests of the run."""
        return RequestRecorder(self.report)

    @functools.cached_property
    def context(self) -> Run:
        """What every part of a run shares: the one place where it is put together."""
        config = self.config
        lock = RunLock(self.shutdown)
        limits = configured_limits(config) or fallback_limits(config)
        share, window = (config[f"rate_limit_{part}"] for part in ("share", "window_seconds"))
        budget = RateBudget(limits, share, window)
        scheduler = RequestScheduler(budget, lock, config["max_parallel_streams"])
        # Others go only after the thread with the response has said what it wants next.
        lock.on_release(scheduler.dispatch_after_response)
        url_hint = settings.ask_about(config["api_url"].rstrip("/"))
        return Run(
            config=config,
            client=LevClient(config, scheduler, self.recorder, url_hint),
            lock=lock,
            workers=Workers(lock),
            report=self.report,
            streams={s.name: s for s in self.streams.values() if isinstance(s, LevStream)},
            state_writer=StateWriter(self.state, self.message_writer, self.report.clock),
            logger=self.logger,
        )

    # -- Input

    @classmethod
    @override
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        super().append_builtin_config(config_jsonschema)
        properties = config_jsonschema["properties"]
        for name in settings.SHARED.keys() & properties.keys():
            properties[name] = properties[name] | settings.SHARED[name]

    @classproperty
    @override
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - the SDK's decorator hands it over
        """The settings in the environment, as texts.

        In place of the SDK's reading, which takes what it does not understand for false or for a
        text, and the ``.env`` beside the installation for that of the user.
        """
        cls.append_builtin_config(cls.config_jsonschema)
        return dict(environment.texts(cls.config_jsonschema["properties"]))

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings, in sentences that never repeat the key.

        In place of the SDK's check, whose messages quote the faulty value.
        """
        self.append_builtin_config(self.config_jsonschema)
        properties = self.config_jsonschema["properties"]
        validation.tidy(self._config, properties)
        Redaction.install(self._config.get("api_key"))
        faults: list[str] = []
        if not self._reads_environment:
            stream_maps.restore(self._config)
            faults += self._not_read()
        faults += validation.check(self._config, self.config_jsonschema)
        faults += stream_maps.name_faults(self._config.get("stream_maps"), COLUMNS)
        faults += stream_maps.variable_faults(self._config.get("stream_maps"))
        for hint in validation.unknown(self._config, properties):
            self.logger.warning(hint)
        for hint in environment.unknown(properties, self._config):
            self.logger.warning(hint)
        if faults and raise_errors:
            raise ConfigError(" ".join(faults))
        # A config file was looked at as it was read, but the environment holds JSON, too.
        for name in properties:
            input_files.check_encodable(self._config.get(name), f"The setting {name}")
        return faults

    def _not_read(self) -> Iterator[str]:
        """Warn of settings in the environment that do not count, and find those that must."""
        for name, sentence in environment.not_read(
            self.config_jsonschema["properties"], self._config
        ):
            if name == "stream_maps":
                yield f"{sentence} What it should hide would be written."
            else:
                self.logger.warning(sentence)

    @override
    def setup_mapper(self) -> None:
        """Set the stream maps up, also of streams that are not selected.

        In place of the SDK's, which up to 0.54 gives the map of such a stream no columns.

        Raises:
            ConfigError: The SDK cannot use them.
        """
        try:
            self._mapper = PluginMapper(plugin_config=dict(self.config), logger=self.logger)
            for name, entry in self.catalog.items():
                mask = entry.metadata.resolve_selection()
                schema = entry.schema.to_dict()
                if mask[()]:
                    schema = get_selected_schema(name, schema, mask)
                self.mapper.register_raw_stream_schema(name, schema, entry.key_properties)
        except RecursionError:
            raise ConfigError("The catalog is nested too deeply.") from None
        except Exception as error:
            # An expression of the user's may be wrong in any way.
            if not self.config.get("stream_maps"):
                raise
            raise ConfigError(f"The setting stream_maps cannot be used: {quoted(error)}") from None

    # -- Running

    def check_selection(self) -> None:
        """Make sure that something is selected.

        Raises:
            ConfigError: Nothing is: a sync would be complete and bring no rows.
        """
        if not any(stream.selected for stream in self.streams.values()):
            raise ConfigError(
                "No stream is selected. Select one: in Meltano by a line such as deals.* below "
                "select in meltano.yml (meltano select --list --all tap-lev shows what there is), "
                'elsewhere by "selected": true in the catalog.'
            )

    def run(self) -> None:
        """Write all selected streams. One that fails does not stop the others.

        Raises:
            LevError: At least one stream is not complete.
            AuthenticationError: Lev does not accept the key, so none can be completed.
        """
        self.check_selection()
        Runner(self.context, self.recorder).run(self.config.get("refresh"))

    def read_alone(self, name: str) -> None:
        """Read one stream by itself, as the SDK's dry runs do.

        Raises:
            Exception: The stream failed.
        """
        run = self.context
        stream = run.streams[name]
        stream.tracker.resume()
        with run.lock:
            identify(run.client, run.config)
            ListSync(run, [stream]).run(schemas=False)
        if stream.report.failure is not None:
            raise stream.report.failure

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Take note of SIGTERM or SIGINT, in place of the SDK's ``sys.exit(0)``."""
        self.shutdown.handle(signum)

    # -- The command line

    @plugin_cli
    def cli(cls) -> click.Command:  # noqa: N805 - the SDK's decorator hands the class over
        """Make the command, whatever the environment says of the log."""
        try:
            return super().cli
        except Exception as error:  # noqa: BLE001 - a log configuration can be wrong in any way
            command = cls.get_singer_command()
            assert isinstance(command, LevCommand)  # noqa: S101
            command.fault = log_fault(cls._env_var_prefix, error)
            return command

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        return LevCommand.from_sdk(super().get_singer_command())

    @classmethod
    @override
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """Read the config files; without any, the environment."""
        files = [name for name in value if name != "ENV"]
        from_environment = () if files and "ENV" not in value else ("ENV",)
        if from_environment:
            try:
                environment.load_dotenv()
            except ConfigError as fault:
                if not NEED_NO_SETTINGS.intersection(ctx.meta.get(COMMANDS_GIVEN, ())):
                    raise
                cls.logger.warning("%s", fault)
        given = super().cb_config(ctx, param, from_environment)
        for name in files:
            given.config.update(input_files.read_config(name))
        return given

    @classmethod
    @override
    def invoke(  # type: ignore[override]
        cls,
        *,
        config: _ConfigInput,
        about: bool = False,
        about_format: str | None = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
        refresh: tuple[str, ...] = (),
        check: bool = False,
        plan: bool = False,
    ) -> None:
        """Run the tap as the command line asks."""
        if about:
            cls.print_about(None if about_format == "text" else about_format)
            sys.stdout.flush()  # An output that cannot be written is told here, not at exit.
            return
        cls.print_version(print_fn=cls.logger.info)
        # Before anything else that is given can be found wrong, and be repeated.
        key = config.config.get("api_key") or os.environ.get(validation.KEY_VARIABLE, "")
        Redaction.install(environment.unquoted(key) if isinstance(key, str) else None)
        if refresh:
            config.config["refresh"] = parse_refresh(refresh)
        tap = cls(
            config=config.config,
            catalog=input_files.read_json(catalog, "catalog"),
            state=input_files.read_json(state, "state"),
            parse_env_config=config.parse_env,
        )
        if check or plan:
            from tap_lev.commands import render  # noqa: PLC0415 - it brings what no run needs

            tap.check_selection()
            render.show(tap.context, "check" if check else "plan", about_format or "text")
        else:
            tap.run()
