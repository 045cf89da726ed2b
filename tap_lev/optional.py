"""Query parameters that an older or newer Lev may refuse, and what happens then."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tap_lev.errors import LevAPIError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")


class Option(NamedTuple):
    """One thing to ask for that Lev may refuse.

    Attributes:
        param: The query parameter. Options of one parameter are sent as a comma list.
        value: Its value.
        required: Whether a refusal is an error.
    """

    param: str
    value: str
    required: bool = False

    @property
    def name(self) -> str:
        """The option as messages call it, without a value that differs from run to run."""
        return f"{self.param}={self.value}" if self.param == "include" else self.param


class OptionalParameters:
    """What was learned, in this run and of one endpoint, about the options that can be sent.

    A refused option is left out for the rest of the run. Which of several was refused is found by
    leaving one out at a time, the one that Lev's message names first, so that a refusal costs
    one request in the usual case.

    Args:
        on_refusal: Called once for each refused option, with Lev's answer.
    """

    def __init__(self, on_refusal: Callable[[Option, LevAPIError], None]) -> None:
        self._on_refusal = on_refusal
        self._accepted: set[str] = set()
        self._refused: set[str] = set()

    def is_refused(self, name: str) -> bool:
        """Say whether an option is left out."""
        return name in self._refused

    @property
    def refused(self) -> list[str]:
        """The options that are left out."""
        return sorted(self._refused)

    def leave_out(self, name: str) -> None:
        """Send an option no more: Lev accepts it without effect."""
        self._refused.add(name)

    def sent(self, options: Iterable[Option]) -> list[Option]:
        """Select the options that are still worth sending."""
        return [option for option in options if option.name not in self._refused]

    def ask(self, options: Iterable[Option], request: Callable[[dict[str, str]], T]) -> T:
        """Make a request with as many of the options as Lev accepts.

        Args:
            options: What to ask for.
            request: Makes the request, given the options as query parameters.

        Returns:
            The answer to the first request that was accepted.

        Raises:
            LevAPIError: The request fails whatever is left out, or a required option is refused.
        """
        wanted = self.sent(options)
        try:
            return self._ask(wanted, request)
        except LevAPIError as error:
            if not error.refuses_parameters:
                raise
            suspects = self._suspects(wanted, error)
            for suspect in suspects:
                if answered := self._try([o for o in wanted if o is not suspect], request):
                    self._refuse(suspect, error)
                    return answered[0]
            accepted = [option for option in wanted if option not in suspects]
            answered = self._try(accepted, request) if len(suspects) > 1 else None
            if not answered:
                raise
            # Several are refused: both of two, or some of more, which are added one by one.
            for suspect in suspects:
                more = self._try([*accepted, suspect], request) if len(suspects) > 2 else None  # noqa: PLR2004
                if more:
                    accepted.append(suspect)
                    answered = more
                else:
                    self._refuse(suspect, error)
            return answered[0]

    def _refuse(self, option: Option, error: LevAPIError) -> None:
        # Another thread may have found out meanwhile.
        if option.name not in self._refused:
            self._refused.add(option.name)
            self._on_refusal(option, error)

    def _try(
        self, options: Sequence[Option], request: Callable[[dict[str, str]], T]
    ) -> tuple[T] | None:
        try:
            return (self._ask(options, request),)
        except LevAPIError as error:
            if not error.refuses_parameters:
                raise
            return None

    def _ask(self, options: Sequence[Option], request: Callable[[dict[str, str]], T]) -> T:
        params: dict[str, str] = {}
        for option in options:
            given = params.get(option.param)
            params[option.param] = f"{given},{option.value}" if given else option.value
        answer = request(params)
        self._accepted.update(option.name for option in options)
        return answer

    def _suspects(self, sent: Sequence[Option], error: LevAPIError) -> list[Option]:
        """Find the options that may be what is refused, the likeliest first."""
        unproven = [o for o in sent if not o.required and o.name not in self._accepted]
        return sorted(
            unproven,
            key=lambda option: (
                option.param not in error.message,
                option.value not in error.message,
            ),
        )
