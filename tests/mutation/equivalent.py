"""Mutants that do what the tap does, and why: no test can tell them from it."""

from __future__ import annotations

EQUIVALENT: dict[str, dict[str, dict[str, str]]] = {
    "walk": {
        "@dataclasses.dataclass(slots=True)": {
            "@dataclasses.dataclass(slots=False)": "slots save memory only",
        },
    },
    "answers": {
        "@dataclasses.dataclass(frozen=True, slots=True)": {
            "@dataclasses.dataclass(frozen=True, slots=False)": "slots save memory only",
            "@dataclasses.dataclass(frozen=False, slots=True)": "nothing changes or hashes a call",
        },
    },
}
"""By module, by the line as it is in the tap, by the line as it is in the mutant: the reason."""
