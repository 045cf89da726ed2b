"""Which files of tests are asked, for each module: what is near it, and what is wide and slow."""

from __future__ import annotations

LISTS = "test_sync.py", "test_refresh.py", "test_children.py", "test_cli.py"
SIDE_BY_SIDE = "test_side_by_side.py", "test_children.py"

NEAR: dict[str, tuple[str, ...]] = {
    "walk": ("test_walk.py",),
    "baton": ("test_baton.py", "test_gate.py"),
    "gate": ("test_gate.py", "test_budget.py"),
    "remaining": ("test_gate.py", "test_forecast.py"),
    "answers": ("test_answers.py",),
    "client": ("test_client.py", "hostile/test_transport.py"),
    "asking": ("test_reading.py", "test_completeness.py", "test_filter.py", "test_embeds.py"),
    "proof": ("test_filter.py",),
    "embeds": ("test_embeds.py",),
    "completion": ("test_completeness.py", "test_filter.py", "test_embeds.py"),
    "rescue": ("test_rows_fail.py",),
    "row_counter": ("test_row_counter.py",),
    "bookmark": ("test_walk.py", "test_catalog_and_state.py"),
    "walking": ("test_walk.py", "test_rows_fail.py"),
    "reading": ("test_reading.py", "test_completeness.py"),
    "taking": ("test_reading.py", "test_completeness.py", "test_rows_fail.py", "test_embeds.py"),
    "pagination": ("test_pagination.py",),
    "optional": ("test_optional.py",),
    "budget": ("test_budget.py", "test_gate.py"),
    "child": ("test_completeness.py", "test_children.py"),
    "per_parent": ("test_completeness.py", "test_lists_end.py", "test_children.py"),
}
WIDE: dict[str, tuple[str, ...]] = {
    "walk": ("test_catalog_and_state.py", "test_resume.py"),
    "baton": ("test_shutdown.py", "test_progress.py", "test_side_by_side.py"),
    "gate": ("test_progress.py", *SIDE_BY_SIDE),
    "remaining": ("test_progress.py", *SIDE_BY_SIDE),
    "answers": SIDE_BY_SIDE,
    "client": ("test_errors.py", "test_sync.py"),
    "asking": LISTS,
    "proof": (),
    "embeds": ("test_children.py",),
    "completion": ("test_rows_fail.py", "test_children.py"),
    "rescue": (),
    "bookmark": ("test_resume.py",),
    "walking": ("test_resume.py", "test_completeness.py"),
    "reading": ("test_resume.py", *LISTS, "test_side_by_side.py"),
    "taking": ("test_resume.py", *LISTS, "test_side_by_side.py"),
    "pagination": ("test_completeness.py", "test_lists_end.py"),
    "optional": ("test_completeness.py", "test_sync.py"),
    "budget": (),
    "child": ("test_streams.py", "test_side_by_side.py"),
    "per_parent": ("test_streams.py", "test_side_by_side.py"),
}
"""Asked where those that are near do not notice."""
