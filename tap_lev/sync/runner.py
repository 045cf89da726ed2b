"""Run a sync: prepare the streams, read the lists in parallel, log the summary."""

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

    from tap_lev.sync.run import Run


class Runner:
    """Runs a sync, a refresh or a dry run of one stream.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def run(self, ids_by_list: Mapping[str, Iterable[int]] | None) -> None:
        """Write all selected streams. One that fails does not stop the others.

        Args:
            ids_by_list: For a refresh, the ids of the rows to write, by list; None for a sync.

        Raises:
            ConfigError: No stream is selected.
            LevError: At least one stream is not complete.
            AuthenticationError: Lev does not accept the key, so none can be completed.
        """
        run = self._run
        run.check_selection()
        try:
            progress = ProgressReporter(run.report, run.scheduler, run.logger)
            with progress, run.lock:
                identity = identify(run.client, run.config)
                self._check_account(identity)
                if ids_by_list:
                    refresh(run, ids_by_list)
                else:
                    self._sync(identity)
        except BaseException as cause:
            # The command logs the cause in a sentence, after the summary.
            self._summarize(cause)
            raise
        self._summarize()
        self._raise_failures(is_refresh=bool(ids_by_list))

    def run_single(self, name: str) -> None:
        """Write one stream without its schema, as the SDK's dry runs do.

        Raises:
            Exception: The stream failed.
        """
        run, stream = self._run, self._run.streams[name]
        stream.tracker.resume()
        with run.lock:
            identify(run.client, run.config)
            ListSync(run, [stream]).run(schemas=False)
        if stream.report.failure is not None:
            raise stream.report.failure

    def _check_account(self, identity: Identity) -> None:
        """Make sure that the state belongs to the key's account.

        Raises:
            ConfigError: It belongs to another, whose rows this run would mix up and drop.
        """
        account = identity.account
        for name, stream in self._run.streams.items():
            entry = stream.tap_state.get("bookmarks", {}).get(name, {})
            other = entry.get("account")
            # Lev may name the account by its id or by its slug, which cannot be compared.
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
        # Before the first request for rows: prepare() may have reset entries. If the run fails
        # then, the next one must not resume from what was reset.
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
            # Without the lock, another thread may be writing.
            if run.lock.is_held:
                run.state_writer.write(at_once=True)
            raise
        except Interruption:
            # Some targets return a STATE only if it is the last message. A second signal may break
            # off a message that is being written: the STATE would land inside it, or block where
            # nothing reads stdout.
            if run.lock.is_held and not run.lock.is_forced:
                run.state_writer.repeat()
            raise

    def _summarize(self, cause: BaseException | None = None) -> None:
        """Log what the run did, in one line."""
        run, report, scheduler = self._run, self._run.report, self._run.scheduler
        report.waited, report.budget_used = scheduler.waited, scheduler.budget.utilization
        for name, stream_report in list(report.streams.items()):
            tracker = run.streams[name].tracker
            bookmark = tracker.bookmark.value
            stream_report.bookmark = timestamps.render(bookmark) if bookmark else None
        run.recorder.on_wait(scheduler.waited)
        run.recorder.close()
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
            # In a refresh, a 404 means that the row is gone, not that the address is wrong.
            raise (None if is_refresh else run.client.address_fault) or LevError(advice)
        selected = run.selected
        if selected and all(run.report.stream(stream.name).skipped for stream in selected):
            raise LevError(
                "Every selected stream was skipped, because the key may not read it: give the key "
                "the scopes that the log names."
            )
