"""Find the endpoint that a request is for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lev_sandbox.routes import ROUTES, VIOLATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lev_sandbox.call import Route


class Match(NamedTuple):
    """The endpoint of a request, or why it has none.

    Attributes:
        verdict: As in a log entry.
        template: The route template, or None for an unknown path.
        route: The endpoint, or None.
        numbers: The parameters in the path.
    """

    verdict: str
    template: str | None
    route: Route | None
    numbers: Mapping[str, str]


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))


_ROUTES = {(route.method, route.path): route for route in ROUTES}
_TEMPLATES = sorted({path for _, path in _ROUTES} | {path for _, path in VIOLATIONS})
_PLAIN = frozenset(template for template in _TEMPLATES if "{" not in template)
_PATTERNS = tuple((t, _pattern(t)) for t in _TEMPLATES if t not in _PLAIN)


def find(method: str, path: str) -> Match:
    """Return the endpoint of a request."""
    template, numbers = _template(path)
    if template is None:
        return Match("unknown", None, None, {})
    route = _ROUTES.get((method, template))
    if route is None:
        return Match("violation", template, None, numbers)
    return Match("unsuitable" if route.unsuitable else "ok", template, route, numbers)


def _template(path: str) -> tuple[str | None, Mapping[str, str]]:
    if path in _PLAIN:
        return path, {}
    for template, pattern in _PATTERNS:
        match = pattern.fullmatch(path)
        if match:
            return template, match.groupdict()
    return None, {}
