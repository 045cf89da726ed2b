"""Run a sync: prepare the streams, read the lists side by side, sum the run up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_lev import timestamps
from tap_lev.api.account import Identity, identify
from tap_lev.concurrency.shutdown import Interruption
from tap_lev.errors import ConfigError, LevError
from tap_lev.progress.reporter import ProgressReporter
from tap_lev.sync.grouping import group_streams
from tap_lev.sync.list_sync import ListSync
from tap_lev.sync.refresh import refresh
from tap_lev.text import quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_lev.progress.metrics import RequestRecorder
    from tap_lev.sync.run import Run


class Runner:
    """Runs a sync or a refresh.

    Args:
        run: The run.
        recorder: Counts the requests.
    """

    def __init__(self, run: Run, recorder: RequestRecorder) -> None:
        self._run = run
        self._recorder = recorder

    def run(self, wanted: Mapping[str, Iterable[int]] | None) -> None:
        """Write all selected streams. One that fails does not stop the others.

        Args:
            wanted: Ids of rows by list, where only these are written; None for a sync.

        Raises:
            LevError: At least one stream is not complete.
            AuthenticationError: Lev does not accept the key, so none can be completed.
        """
        run = self._run
        try:
            progress = ProgressReporter(run.report, run.client.scheduler, run.logger)
            with progress, run.lock:
                identity = identify(run.client, run.config)
                self._check_account(identity)
                if wanted:
                    refresh(run, wanted)
                else:
                    self._sync(identity)
        except BaseException as cause:
            # The command reports it, in the one sentence of an error.
            self._summarize(cause)
            raise
        self._summarize()
        self._raise_failures(is_refresh=bool(wanted))

    def _check_account(self, identity: Identity) -> None:
        """Make sure that the state is of the key's account.

        Raises:
            ConfigError: It is of another: its rows, and what is dropped, would be mixed up.
        """
        account = identity.account
        for stream in self._run.streams.values():
            other = stream.tap_state.get("bookmarks", {}).get(stream.name, {}).get("account")
            if account is None or type(other) is not type(account) or other == account:
                continue
            raise ConfigError(
                f"The state is of account {shown(other)}, but the key reads account "
                f"{shown(account)}. Give this account a state of its own (meltano run "
                f"--state-id-suffix={quoted(account)} …, or another --state file), or clear the "
                "state (meltano state clear …). Nothing was written."
            )

    def _sync(self, identity: Identity) -> None:
        run = self._run
        for stream in run.selected:
            run.report.stream(stream.name)
            stream.tracker.prepare(identity)
            for omission in stream.tracker.omissions():
                stream.warn(omission)
        # Before anything is read: whatever fails then, the next run does not resume from a state
        # that this one was to leave out.
        run.state_writer.write(at_once=True)
        syncs = [ListSync(run, streams) for streams in group_streams(run.selected)]
        try:
            if not run.is_parallel:
                for sync in syncs:
                    sync.run()
                return
            for sync in syncs:
                run.workers.start(sync.run, sync.name)
            run.workers.wait()
        except LevError:
            if run.lock.is_held:
                run.state_writer.write(at_once=True)
            raise
        except Interruption:
            # Some targets return only a STATE that is the last message. After a second signal it
            # could land in the middle of a message, or hang where nobody reads.
            if run.lock.is_held and not run.lock.is_forced:
                run.state_writer.repeat()
            raise

    def _summarize(self, cause: BaseException | None = None) -> None:
        """Log what the run did, in one line."""
        run, report, scheduler = self._run, self._run.report, self._run.client.scheduler
        report.waited, report.budget_used = scheduler.waited, scheduler.budget.utilization
        for name, stream_report in list(report.streams.items()):
            bookmark = run.streams[name].tracker.bookmark.value
            stream_report.bookmark = timestamps.render(bookmark) if bookmark else None
        self._recorder.on_wait(scheduler.waited)
        self._recorder.close()
        log = run.logger.error if report.failures and not cause else run.logger.info
        log("%s", report.summary(cause), extra=report.totals(cause))

    def _raise_failures(self, *, is_refresh: bool) -> None:
        run = self._run
        if run.report.failures:
            advice = (
                "Everything else that was named is written."
                if is_refresh
                else "Run it again, from the last state: it goes on where each stream stopped."
            )
            # In a refresh, 404 means that the row is gone.
            raise (None if is_refresh else run.client.address_fault) or LevError(advice)
        selected = run.selected
        if selected and all(run.report.stream(stream.name).skipped for stream in selected):
            raise LevError(
                "Every selected stream was skipped, because the key may not read it: give the key "
                "the scopes that the log names."
            )
