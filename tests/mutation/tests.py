"""The test files that are run against each module's mutants: near ones, then wide and slow ones.

Modules go by their path below ``tap_lev``, test files by their name wherever they are in ``tests``.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
TAP = TESTS.parent / "tap_lev"
APART = {"hostile", "pipelines", "sandbox", "torture"}
"""Folders of tests whose files may have the name of another."""
LISTS = "test_sync.py", "test_refresh.py", "test_children.py", "test_cli.py"
SIDE_BY_SIDE = "test_parallel_streams.py", "test_children.py"

NEAR: dict[str, tuple[str, ...]] = {
    "state.walk": ("test_walk.py",),
    "concurrency.lock": ("test_lock.py", "test_scheduler.py"),
    "concurrency.workers": ("test_lock.py", "test_scheduler.py"),
    "ratelimit.scheduler": ("test_scheduler.py", "test_budget.py"),
    "ratelimit.workload": ("test_scheduler.py", "test_duration.py"),
    "api.cache": ("test_cache.py",),
    "api.request": ("test_cache.py",),
    "sync.prefetch": ("test_cache.py",),
    "api.client": ("test_client.py", "hostile/test_transport.py"),
    "sync.list_requester": (
        "test_list_sync.py",
        "test_completeness.py",
        "test_filter.py",
        "test_embeds.py",
    ),
    "sync.filter_proof": ("test_filter.py",),
    "api.embeds": ("test_embeds.py",),
    "sync.completion": ("test_completeness.py", "test_filter.py", "test_embeds.py"),
    "sync.page_splitter": ("test_failing_rows.py",),
    "api.row_counter": ("test_row_counter.py",),
    "state.bookmark": ("test_walk.py", "test_catalog_and_state.py"),
    "state.tracker": ("test_walk.py", "test_failing_rows.py"),
    "sync.list_sync": ("test_list_sync.py", "test_completeness.py"),
    "sync.page": ("test_page_decoder.py", "test_list_sync.py", "test_failing_rows.py"),
    "api.pagination": ("test_pagination.py",),
    "api.optional_params": ("test_optional_params.py",),
    "ratelimit.budget": ("test_budget.py", "test_scheduler.py"),
    "sync.active_streams": ("test_list_sync.py", "test_failing_rows.py"),
    "sync.child_requester": ("test_completeness.py", "test_list_end.py", "test_children.py"),
    "sync.child_reader": ("test_completeness.py", "test_list_end.py", "test_children.py"),
    "sync.list_filter": ("test_filter.py", "test_completeness.py"),
    "sync.page_processor": (
        "test_list_sync.py",
        "test_completeness.py",
        "test_failing_rows.py",
        "test_embeds.py",
    ),
}
WIDE: dict[str, tuple[str, ...]] = {
    "state.walk": ("test_catalog_and_state.py", "test_resume.py"),
    "concurrency.lock": ("test_shutdown.py", "test_progress.py", "test_parallel_streams.py"),
    "concurrency.workers": ("test_shutdown.py", "test_progress.py", "test_parallel_streams.py"),
    "ratelimit.scheduler": ("test_progress.py", *SIDE_BY_SIDE),
    "ratelimit.workload": ("test_progress.py", *SIDE_BY_SIDE),
    "api.cache": SIDE_BY_SIDE,
    "api.request": SIDE_BY_SIDE,
    "sync.prefetch": SIDE_BY_SIDE,
    "api.client": ("test_errors.py", "test_sync.py"),
    "sync.list_requester": LISTS,
    "sync.filter_proof": (),
    "api.embeds": ("test_children.py",),
    "sync.completion": ("test_failing_rows.py", "test_children.py"),
    "sync.page_splitter": (),
    "api.row_counter": ("test_completeness.py",),
    "state.bookmark": ("test_resume.py",),
    "state.tracker": ("test_resume.py", "test_completeness.py"),
    "sync.list_sync": ("test_resume.py", *LISTS, "test_parallel_streams.py"),
    "sync.page": ("test_resume.py", *LISTS, "test_parallel_streams.py"),
    "api.pagination": ("test_completeness.py", "test_list_end.py"),
    "api.optional_params": ("test_completeness.py", "test_sync.py"),
    "ratelimit.budget": (),
    "sync.active_streams": ("test_completeness.py", "test_parallel_streams.py"),
    "sync.child_requester": ("test_streams.py", "test_parallel_streams.py"),
    "sync.child_reader": ("test_streams.py", "test_parallel_streams.py"),
    "sync.list_filter": LISTS,
    "sync.page_processor": ("test_resume.py", *LISTS, "test_parallel_streams.py"),
}
"""Run where the near ones do not notice."""


def file_of(module: str) -> Path:
    """Return the file of a module, named by its dotted path below ``tap_lev``."""
    return TAP.joinpath(*module.split(".")).with_suffix(".py")


def find_tests(name: str) -> Path:
    """Return the one file of tests that has a name.

    Args:
        name: Its name, with the folder where it is one of `APART`.

    Raises:
        ValueError: There is none, or more than one.
    """
    folders = APART - {*Path(name).parts}
    (file,) = (
        path for path in TESTS.rglob(name) if folders.isdisjoint(path.relative_to(TESTS).parts)
    )
    return file
