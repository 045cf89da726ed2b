"""Which behaviours of a round excuse that a run is incomplete or warns: nothing else does.

All of this is about the clean runs, whose only trouble comes from the round's switches and its
poisoned rows. A warning that nothing here excuses is a finding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.torture.streams import LISTS, STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.torture.account import Account
    from tests.torture.plan import Plan

EMBEDDED = ("deal_properties", "deal_team_members", "deal_pipelines", "deal_financials")
WITH_ROW = {*LISTS, *EMBEDDED, "lender_details"}
"""Streams that are read with the rows of the list themselves."""
SINGLE = {"billing_summary": "me_account"}
"""Streams of one call that need more than that call."""


class Excuses:
    """What a round excuses.

    Args:
        plan: The round.
        account: What Lev holds, and which of its rows go wrong.
    """

    def __init__(self, plan: Plan, account: Account) -> None:
        self._plan = plan
        self._account = account

    # -- Rows

    def rows(self, stream: str) -> set[int]:
        """Find the rows of the list that may be named as failed for a stream."""
        return {root for root, kinds in self._ill(stream) if kinds - {"surrogate", "no_key"}}

    def keyless(self, stream: str) -> set[int]:
        """Find the rows of the list that come without a key, and cannot be named."""
        root = STREAMS[stream].root
        return {
            number
            for (resource, number), (_, _, kinds) in self._account.poisoned.items()
            if resource == root and "no_key" in kinds
        }

    def believed(self, stream: str) -> set[int]:
        """Find the rows of the list of which Lev says, without a fault, that nothing is below."""
        if stream != "deal_financials" and not STREAMS[stream].calls:
            return set()
        root, found = STREAMS[stream].root, set()
        for poison in self._plan.poisons:
            gone = poison.kind == "no_children" and poison.status == 404
            none = poison.kind == "null_children" and stream == "deal_financials"
            # The tasks of a checklist without its id are said without it.
            none = none or (poison.kind == "keyless_child" and stream == "checklist_tasks")
            if poison.resource == root and (gone or none):
                found |= {
                    number
                    for (resource, number), (_, _, kinds) in self._account.poisoned.items()
                    if resource == root and poison.kind in kinds
                }
        return found

    def _ill(self, stream: str) -> Iterator[tuple[int, set[str]]]:
        kind = STREAMS[stream]
        for (resource, _), (top, root, kinds) in self._account.poisoned.items():
            if top != kind.root:
                continue
            if resource == top:
                whole = {"500", "500_always"} if stream in WITH_ROW else set()
                below = {"no_children", "null_children", "keyless_child"}
                yield root, kinds & (whole | (set() if kind.is_list else below))
            elif self._brings(stream, resource):
                yield root, {"below"} if kinds else set()

    @staticmethod
    def _brings(stream: str, resource: str) -> bool:
        """Whether a stream reads an endpoint that lists rows of a resource."""
        return STREAMS[stream].resource == resource

    # -- Streams

    def incomplete(self, stream: str) -> str | None:
        """Say why a stream may not be complete in any run, None if it must be."""
        root = STREAMS[stream].root
        return self._is_hidden(stream) or (self._is_stopped(root) if root else None)

    def _is_hidden(self, stream: str) -> str | None:
        """Say why rows of a stream cannot be had, or cannot be known to be all."""
        switches, kind = self._plan.switches, STREAMS[stream]
        hides = (
            switches["missing_blocks"]["financials"] == "everywhere",
            switches["refuse_include"]["financials"] == "ignored",
        )
        said = [switches["total_says"].get(name) or 0 for name in {kind.resource} - {*LISTS}]
        ill = [of for of, _ in self._account.poisoned if kind.root is None and of == kind.resource]
        reasons = {
            "Lev does not embed a column": stream == "deals" and any(hides),
            "no deal shows that Lev embeds its stages": (
                stream == "deal_pipelines"
                and switches["missing_blocks"]["pipelines"] == "empty"
                and self._has_no_stages()
            ),
            "Lev does not name the account": (
                stream == "billing_summary" and switches["me_account"] != "whole"
            ),
            "Lev counts too many for each parent": any(number > 0 for number in said),
            "a row of a short list goes wrong": bool(ill),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _has_no_stages(self) -> bool:
        table = self._account.store.table("deal_pipelines")
        return not any(table.listed(deal) for deal in self._account.store.table("deals").listed())

    def _is_stopped(self, root: str) -> str | None:
        """Say why a list may stop at a row that cannot be sent, or not end whole because of it."""
        switches = self._plan.switches
        uncounted = switches["pagination_shape"].get(root) or not switches["pagination_total"]
        if self.keyless(root) and uncounted:
            return "a row without a key, where Lev counts nothing"
        for (resource, number), (_, _, kinds) in self._account.poisoned.items():
            if resource != root or not kinds & {"500", "500_always"}:
                continue
            if (
                switches["pagination_shape"].get(root)
                or switches["list_order"].get(root, "id") != "id"
            ):
                return "there is no way around a row that goes wrong"
            first = min(self._account.store.table(root).listed(), default=0)
            if number <= first:
                return "the first row goes wrong"
            if switches["pagination_dialect"].get(root):
                return "Lev's links lead to the row that goes wrong"
        return None

    def recounted(self, stream: str) -> bool:
        """Say whether Lev counts rows that do not come: twice the same is Lev's own count."""
        root = STREAMS[stream].root or STREAMS[stream].resource
        return (self._plan.switches["total_says"].get(root) or 0) > 0 or bool(self.keyless(stream))

    def keeps(self, stream: str) -> bool:
        """Say whether a full table may keep what Lev no longer has: not all was answered."""
        switches, kind = self._plan.switches, STREAMS[stream]
        root = kind.root or kind.resource
        # Such a target keeps rows without a version.
        silent = self._plan.drops == "older" and any(t.silent for t in self._plan.variations)
        return (
            silent
            or bool(self.rows(stream) or self.keyless(stream) or self.believed(stream))
            or bool(switches["total_says"].get(root))
            or bool(switches["list_order"].get(root, "id") != "id")
            or (switches["children_of_archived"] == "404" and root == "deals" and not kind.is_list)
            or self.incomplete(stream) is not None
        )

    # -- Warnings

    def untrue(self, log: str) -> Iterator[str]:
        """Find the warnings of a log that nothing excuses."""
        for line in log.splitlines():
            if " WARNING " not in line and " ERROR " not in line:
                continue
            if self._is_gone(line):
                continue
            if not any(re.search(said, line) and may(self) for said, may in WARNINGS):
                yield line

    def _is_gone(self, line: str) -> bool:
        """Say whether a line names a parent as gone that is: one that failed is asked for again."""
        found = re.search(r"the parent is gone.* GET /(\w+)/(\d+)/", line)
        if found is None or found[1] not in LISTS:
            return False
        return not self._account.store.visible(found[1], int(found[2]))

    @property
    def switches(self) -> dict[str, Any]:
        """How Lev behaves in the round."""
        return self._plan.switches

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the round."""
        return self._plan.config

    def poisoned(self, *kinds: str) -> bool:
        """Say whether a row goes wrong in one of these ways."""
        return any(found & {*kinds} for _, _, found in self._account.poisoned.values())

    @property
    def is_limited(self) -> bool:
        """Whether the account has limits."""
        return self._plan.limits is not None

    @property
    def is_varied(self) -> bool:
        """Whether other states, columns or users came before."""
        return bool(self._plan.variations or self._plan.early_selections)

    @property
    def ever_failing(self) -> bool:
        """Whether a stream may fail."""
        return any(
            self.incomplete(name) or self.recounted(name) or self.rows(name)
            for name in self._plan.streams
        )


def _filters(excuses: Excuses) -> bool:
    filters = excuses.switches["updated_at_filter"].values()
    return any(value not in {"honoured", "whole_days_from", "gt"} for value in filters)


def _counts(excuses: Excuses) -> bool:
    return any(excuses.switches["total_says"].values()) or excuses.poisoned("no_key")


def _blocks(excuses: Excuses) -> bool:
    switches = excuses.switches
    names = ("missing_blocks", "refuse_include", "include_scope")
    return any(any(switches[name].values()) for name in names)


def _fields(excuses: Excuses) -> bool:
    switches = excuses.switches
    return bool(switches["refuse_fields"]) or switches["unknown_fields"] != "ignored"


def _clocks(excuses: Excuses) -> bool:
    switches = excuses.switches
    names = ("envelope_skew", "date_header_skew", "timestamp_zone")
    return any(switches.get(name) not in {None, 0, "Z"} for name in names)


def _retried(excuses: Excuses) -> bool:
    return excuses.is_limited or excuses.poisoned(
        "500", "500_always", "no_key", "no_children", "null_children", "keyless_child"
    )


def _has(*kinds: str) -> Callable[[Excuses], bool]:
    return lambda excuses: excuses.poisoned(*kinds)


WARNINGS: tuple[tuple[str, Callable[[Excuses], bool]], ...] = (
    ("429", lambda e: e.is_limited),
    ("Trying again", _retried),
    ("A page of .* cannot be read", _has("500", "500_always")),
    ("half of a character", _has("surrogate")),
    ("Such a row cannot be loaded", _has("no_key")),
    ("Lev (ignores|does not accept|does not honour) filter", _filters),
    ("Lev refuses filter.* together|Lev no longer accepts filter", _filters),
    ("filter and cursor cannot be combined", _filters),
    ("Lev filters some pages", _filters),
    ("Lev does not accept fields", _fields),
    ("Lev does not accept include=|Lev embeds no", _blocks),
    ("out where fields are named", lambda e: e.switches["fields_drop_includes"] or _blocks(e)),
    ("Lev counts [0-9]+ (more )?rows", _counts),
    (
        "the parent is gone",
        lambda e: e.switches["children_of_archived"] == "404" or e.poisoned("no_children"),
    ),
    ("does not agree with Lev's other times|is later than Lev's clock", _clocks),
    (
        "new columns:|walk cannot be used|other columns or settings|another user",
        lambda e: e.is_varied,
    ),
    ("this release does not know", lambda e: any(e.switches["extra_fields"].values())),
    ("is not complete: |Sync failed: |Run it again, from", lambda e: e.ever_failing),
)
"""What a tap may warn of, and when: a part of the line, and whether the round excuses it."""
