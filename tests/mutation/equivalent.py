"""Mutants that behave as the tap does, and why: no test can kill them."""

from __future__ import annotations

EQUIVALENT: dict[str, dict[str, dict[str, str]]] = {
    "state.walk": {
        "@dataclasses.dataclass(slots=True)": {
            "@dataclasses.dataclass(slots=False)": "slots save memory only",
        },
    },
    "concurrency.workers": {
        "raise": {
            "pass": "the run is over, and nobody counts who is at work",
        },
    },
    "api.client": {
        "MAX_DOUBLINGS = 10": {
            "MAX_DOUBLINGS = 9": "the longest wait is reached after eight",
            "MAX_DOUBLINGS = 11": "the longest wait is reached after eight",
        },
    },
    "sync.list_sync": {
        'return ", ".join(active.name for active in self.active.streams)': {
            "pass": "it names a thread, and no output names threads",
        },
    },
    "ratelimit.scheduler": {
        "@dataclasses.dataclass(eq=False, slots=True)": {
            "@dataclasses.dataclass(eq=False, slots=False)": "slots save memory only",
            "@dataclasses.dataclass(eq=True, slots=True)": "no two requests have the same event",
        },
        "self._has_response = False": {
            "self._has_response = True": "before the first response only the budget grants a slot",
        },
    },
    "ratelimit.workload": {
        "self._total_left = 0": {
            "self._total_left = 1": "it is read only where something is left, and set by then",
            "self._total_left = -1": "it is read only where something is left, and set by then",
        },
    },
    "api.request": {
        "@dataclasses.dataclass(frozen=True, slots=True)": {
            "@dataclasses.dataclass(frozen=True, slots=False)": "slots save memory only",
            "@dataclasses.dataclass(frozen=False, slots=True)": "nothing changes or hashes a call",
        },
    },
}
"""By module, by the line in the tap, by the line in the mutant: the reason."""
