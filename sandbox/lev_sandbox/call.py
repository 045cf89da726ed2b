"""An endpoint, and a request for it.

The two know each other: a route names the handler of its calls, and a call its route.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from lev_sandbox.errors import Refusal
from lev_sandbox.paging import Pager
from lev_sandbox.resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lev_sandbox.data.world import Resource
    from lev_sandbox.request import Request
    from lev_sandbox.response import Content
    from lev_sandbox.state import SandboxState
    from lev_sandbox.store import Store
    from lev_sandbox.switches import Switches
    from lev_sandbox.table import Table
    from lev_sandbox.view import View

Handler: TypeAlias = "Callable[[Call], Content]"

_SERVER_ERROR = 500
_KINDS = {
    "deals": "Deal",
    "contacts": "Contact",
    "companies": "Company",
    "lenders": "Lender",
    "placements": "Placement",
    "checklist_tasks": "Task",
    "term_sheets": "Term sheet",
    "documents": "Document",
    "memos": "Memo",
    "pipelines": "Pipeline",
}
"""The name of a row in the message of a 404."""
_PARENTS = {
    "deal_id": "deals",
    "contact_id": "contacts",
    "company_id": "companies",
    "placement_id": "placements",
    "task_id": "checklist_tasks",
    "org_id": "lenders",
}
"""The resource of the row that a path parameter names."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint.

    Attributes:
        path: The route template below the API's prefix.
        handler: Returns the content of its responses.
        method: The method.
        resource: The resource of its rows.
        scope: The scope it needs, if any.
        style: The pagination style of a list.
        fields: Whether it knows the `fields` parameter.
        include: Whether it knows the `include` parameter.
        filters: The kind of value of each field that can be filtered by.
        sort: The fields that can be sorted by.
        search: The field that each plain search parameter is matched with.
        refuses_filters: Whether any filter is refused.
        default_limit: The number of rows when no limit is given.
        clamp: Whether a limit out of range is clamped.
        public_limit: Requests per minute of an endpoint that needs no key.
        unsuitable: Whether a sync has no use for it.
        needs_account: Whether a JWT must name an account.
    """

    path: str
    handler: Handler
    method: str = "GET"
    resource: str = ""
    scope: str | None = None
    style: str = "none"
    fields: bool = False
    include: bool = False
    filters: Mapping[str, str] = field(default_factory=dict)
    sort: tuple[str, ...] = ()
    search: Mapping[str, str] = field(default_factory=dict)
    refuses_filters: bool = False
    default_limit: int = 50
    clamp: bool = False
    public_limit: int | None = None
    unsuitable: bool = False
    needs_account: bool = True


@dataclass(frozen=True)
class Call:
    """One request for one endpoint of one sandbox.

    Attributes:
        sandbox: The sandbox.
        route: The endpoint.
        request: The request.
        scoped: Whether the credentials are bound to one account.
    """

    sandbox: SandboxState
    route: Route
    request: Request
    scoped: bool = True

    @property
    def switches(self) -> Switches:
        """The sandbox's switches."""
        return self.sandbox.switches

    @property
    def store(self) -> Store:
        """The sandbox's rows."""
        return self.sandbox.store

    @property
    def view(self) -> View:
        """The encoder of the sandbox's rows."""
        return self.sandbox.view

    @property
    def table(self) -> Table:
        """The rows of the endpoint's resource."""
        return self.store.table(self.route.resource)

    @property
    def resource(self) -> Resource:
        """The endpoint's resource."""
        return RESOURCES[self.route.resource]

    def path_row(self) -> tuple[str, int] | None:
        """Return the row that the endpoint is below, as its resource and number, or None."""
        for name in self.request.numbers:
            if name in _PARENTS and _PARENTS[name] != self.route.resource:
                return _PARENTS[name], self._visible_number(name)
        return None

    def parent_number(self) -> int | None:
        """Return the number of the row whose children are requested, or None."""
        row = self.path_row()
        # The catalogue of metrics has a deal in its path, but its rows belong to no deal.
        return row[1] if row and self.resource.parent else None

    def _visible_number(self, name: str) -> int:
        parent = _PARENTS[name]
        number = path_number(self.request.numbers[name], name)
        if not self.store.visible(parent, number):
            raise Refusal(404, f"{_KINDS[parent]} not found")
        if (
            parent == "deals"
            and self.switches["children_of_archived"] == "404"
            and self.store.table("deals").row(number)["archived"]
        ):
            raise Refusal(404, "Deal not found")
        return number

    def row_number(self) -> int:
        """Return the number of the single row that is requested."""
        name = list(self.request.numbers)[-1]
        text = self.request.numbers[name]
        parent = self.parent_number() if self.resource.parent else None
        table = self.table
        if self.resource.key == "uuid":
            matches = [n for n in table.listed(parent) if table.row(n)["uuid"] == text]
            number = matches[0] if matches else 0
        else:
            number = path_number(text, name)
        if not self.store.visible(self.route.resource, number) or (
            parent is not None and table.parent(number) != parent
        ):
            raise Refusal(404, f"{_KINDS[self.route.resource]} not found")
        return number

    def pager(
        self, params: dict[str, Any], total: int | None = None, *, ordered: bool = True
    ) -> Pager:
        """Return the pager of this call."""
        sandbox, route = self.sandbox, self.route
        return Pager(
            sandbox.switches, sandbox.clock, sandbox.cursors, route.resource, self.request.path,
            route.style, params, route.clamp, route.default_limit, total, ordered,
            self.request.headers.get("host", "localhost"),
        )  # fmt: skip

    def refuse_poisoned(self, numbers: Iterable[int], *, listed: bool = True) -> None:
        """Fail if one of the rows is poisoned so that it cannot be encoded."""
        poisoned = self.sandbox.poisons.get(self.route.resource)
        if not poisoned:
            return
        kinds = {kind for number in numbers if number in poisoned for kind in poisoned[number]}
        only_ids = listed and self.route.fields and self.request.params.get("fields") == "id"
        if "500_always" in kinds or ("500" in kinds and not only_ids):
            raise Refusal(_SERVER_ERROR, "Internal server error")


def path_number(text: str, name: str) -> int:
    """Return a path parameter that is a number, or refuse the request."""
    if not text.isascii() or not text.isdigit():
        raise Refusal(422, f"{name} must be an integer")
    return int(text)
