"""TapLev: the SDK's hooks, and the place where the parts of a run are put together."""

from __future__ import annotations

import copy
import functools
import sys
from typing import IO, TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.cli import plugin_cli
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.mapper import PluginMapper
from typing_extensions import override

from tap_lev.api.client import LevClient
from tap_lev.cli import LevCommand, load_dotenv, log_fault
from tap_lev.concurrency.lock import RunLock
from tap_lev.concurrency.shutdown import Shutdown
from tap_lev.concurrency.workers import Workers
from tap_lev.config import environment, input_files, settings
from tap_lev.config.checks import check_config, hide_key
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
from tap_lev.sync.run import Run
from tap_lev.sync.runner import Runner
from tap_lev.sync.state_writer import StateWriter
from tap_lev.text import quoted

if TYPE_CHECKING:
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
    # Without BATCH: its STATE could cover rows of a page that are in no batch yet.
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
    def current_run(self) -> Run:
        """What the parts of a run share. Nothing else puts them together."""
        config, recorder = self.config, RequestRecorder(self.report)
        lock = RunLock(self.shutdown)
        limits = configured_limits(config) or fallback_limits(config)
        budget = RateBudget(limits, config["rate_limit_share"], config["rate_limit_window_seconds"])
        scheduler = RequestScheduler(budget, lock, config["max_parallel_streams"])
        # Others go only after the thread with the response has said what it wants next.
        lock.on_release(scheduler.dispatch_after_response)
        url_hint = settings.ask_about(config["api_url"].rstrip("/"))
        return Run(
            config=config,
            client=LevClient(config, scheduler, recorder, url_hint),
            scheduler=scheduler,
            lock=lock,
            workers=Workers(lock),
            report=self.report,
            recorder=recorder,
            streams={s.name: s for s in self.streams.values() if isinstance(s, LevStream)},
            state_writer=StateWriter(self.state, self.message_writer, self.report.clock),
            logger=self.logger,
        )

    # -- Settings and stream maps

    @classmethod
    @override
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        super().append_builtin_config(config_jsonschema)
        properties = config_jsonschema["properties"]
        for name in settings.SHARED.keys() & properties.keys():
            properties[name] = properties[name] | settings.SHARED[name]

    @classproperty
    @override
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - the SDK's decorator passes the class
        """The settings in the environment, as texts.

        In place of the SDK's, which reads a faulty value as false or as a text, and takes the
        ``.env`` beside the installation for the user's.
        """
        cls.append_builtin_config(cls.config_jsonschema)
        return dict(environment.texts(cls.config_jsonschema["properties"]))

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings, in sentences that never repeat the key.

        In place of the SDK's check, whose messages quote the faulty value.
        """
        self.append_builtin_config(self.config_jsonschema)
        faults, warnings = check_config(
            self._config,
            self.config_jsonschema,
            COLUMNS,
            from_environment=self._reads_environment,
        )
        for warning in warnings:
            self.logger.warning(warning)
        if faults and raise_errors:
            raise ConfigError(" ".join(faults))
        # cb_config checks a config file, but JSON in the environment has not been checked yet.
        for name in self.config_jsonschema["properties"]:
            input_files.check_encodable(self._config.get(name), f"The setting {name}")
        return faults

    @override
    def setup_mapper(self) -> None:
        """Set up the stream maps, also those of streams that are not selected.

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
            # The SDK evaluates the user's expressions, which may raise anything.
            if not self.config.get("stream_maps"):
                raise
            raise ConfigError(f"The setting stream_maps cannot be used: {quoted(error)}") from None

    # -- Running

    def run(self) -> None:
        """Write all selected streams. One that fails does not stop the others.

        Raises:
            ConfigError: No stream is selected.
            LevError: At least one stream is not complete.
            AuthenticationError: Lev does not accept the key, so none can be completed.
        """
        Runner(self.current_run).run(self.config.get("refresh"))

    def read_alone(self, name: str) -> None:
        """Read one stream by itself, as the SDK's dry runs do.

        Raises:
            Exception: The stream failed.
        """
        Runner(self.current_run).run_single(name)

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Record SIGTERM or SIGINT, in place of the SDK's ``sys.exit(0)``."""
        self.shutdown.handle(signum)

    # -- The command line

    @plugin_cli
    @override
    def cli(cls) -> click.Command:  # noqa: N805 - the SDK's decorator passes the class
        """Make the command, even if the environment configures the log wrongly."""
        try:
            return super().cli
        except Exception as error:  # noqa: BLE001 - a log configuration may raise anything
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
        """Read the config files, or the environment if there are none."""
        files = [name for name in value if name != "ENV"]
        from_environment = () if files and "ENV" not in value else ("ENV",)
        if from_environment:
            load_dotenv(ctx, cls.logger)
        config_input = super().cb_config(ctx, param, from_environment)
        for name in files:
            config_input.config.update(input_files.read_config(name))
        return config_input

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
            sys.stdout.flush()  # Python's own flush, at exit, would fail without our sentence.
            return
        cls.print_version(print_fn=cls.logger.info)
        # Before any error is raised: its sentence may quote an input that holds the key.
        hide_key(config.config)
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

            render.show(tap.current_run, "check" if check else "plan", about_format or "text")
        else:
            tap.run()
