"""Query parameters that an older or newer Lev may refuse, and what happens then."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tap_lev.errors import LevAPIError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")
INCLUDE = "include"


class OptionalParam(NamedTuple):
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
        return f"{self.param}={self.value}" if self.param == INCLUDE else self.param


class OptionalParams:
    """What was learned, in this run and of one endpoint, about the options that can be sent.

    A refused option is left out for the rest of the run. Which of several was refused is found by
    leaving one out at a time, the one that Lev's message names first. Then all of them are sent
    once more: only what Lev refuses again was refused for itself, and not by a fault that has
    passed. So a refusal costs two requests in the usual case. A 403 may be about what ``include``
    asks for, so it is looked into like a refusal of that.

    Args:
        on_rejection: Called once for each refused option, with Lev's answer.
    """

    def __init__(self, on_rejection: Callable[[OptionalParam, LevAPIError], None]) -> None:
        self._on_rejection = on_rejection
        self._accepted: set[str] = set()
        self._rejected: set[str] = set()

    def is_rejected(self, name: str) -> bool:
        """Say whether an option is left out."""
        return name in self._rejected

    @property
    def rejected(self) -> list[str]:
        """The options that are left out."""
        return sorted(self._rejected)

    def drop(self, name: str) -> None:
        """Send an option no more: Lev accepts it without effect."""
        self._rejected.add(name)

    def active(self, options: Iterable[OptionalParam]) -> list[OptionalParam]:
        """Select the options that are still worth sending."""
        return [option for option in options if option.name not in self._rejected]

    def request(self, options: Iterable[OptionalParam], send: Callable[[dict[str, str]], T]) -> T:
        """Make a request with as many of the options as Lev accepts.

        Args:
            options: What to ask for.
            send: Makes the request, given the options as query parameters.

        Returns:
            The answer to the first request that was accepted.

        Raises:
            LevAPIError: The request fails whatever is left out, or a required option is refused.
        """
        wanted = self.active(options)
        try:
            return self._ask(wanted, send)
        except LevAPIError as error:
            found = self._search(wanted, error, send)
            if found is None:
                raise
            answer, refused = found
            if again := self._try(wanted, send):
                return again[0]
            for option in refused:
                self._reject(option, error)
            return answer

    def _search(
        self,
        wanted: Sequence[OptionalParam],
        error: LevAPIError,
        send: Callable[[dict[str, str]], T],
    ) -> tuple[T, list[OptionalParam]] | None:
        """Find an answer without the options that Lev refuses, and which these are.

        Returns:
            Both, or None where the error has another reason.
        """
        if not _refuses(error, wanted):
            return None
        suspects = self._suspects(wanted, error)
        for suspect in suspects:
            if answered := self._try([o for o in wanted if o is not suspect], send):
                return answered[0], [suspect]
        accepted = [option for option in wanted if option not in suspects]
        answered = self._try(accepted, send) if len(suspects) > 1 else None
        if not answered and error.is_forbidden:
            # Without the blocks Lev refuses another option, which the 403 hid.
            suspects = self._unproven(wanted)
            accepted = [option for option in wanted if option not in suspects]
            answered = self._try(accepted, send)
        if not answered:
            return None
        if len(suspects) == 2:  # noqa: PLR2004 - both of two
            return answered[0], suspects
        # Some of more, which are added one by one.
        refused = []
        for suspect in suspects:
            if more := self._try([*accepted, suspect], send):
                accepted.append(suspect)
                answered = more
            else:
                refused.append(suspect)
        return answered[0], refused

    def _reject(self, option: OptionalParam, error: LevAPIError) -> None:
        # Another thread may have found out meanwhile.
        if option.name not in self._rejected:
            self._rejected.add(option.name)
            self._on_rejection(option, error)

    def _try(
        self, options: Sequence[OptionalParam], send: Callable[[dict[str, str]], T]
    ) -> tuple[T] | None:
        try:
            return (self._ask(options, send),)
        except LevAPIError as error:
            if not _refuses(error, options):
                raise
            return None

    def _ask(self, options: Sequence[OptionalParam], send: Callable[[dict[str, str]], T]) -> T:
        params: dict[str, str] = {}
        for option in options:
            given = params.get(option.param)
            params[option.param] = f"{given},{option.value}" if given else option.value
        answer = send(params)
        self._accepted.update(option.name for option in options)
        return answer

    def _unproven(self, sent: Sequence[OptionalParam]) -> list[OptionalParam]:
        """Find the options that Lev may refuse, as far as this run knows."""
        return [o for o in sent if not o.required and o.name not in self._accepted]

    def _suspects(self, sent: Sequence[OptionalParam], error: LevAPIError) -> list[OptionalParam]:
        """Find the options that may be what is refused, the likeliest first."""
        return sorted(
            (
                option
                for option in self._unproven(sent)
                if error.rejects_parameters or option.param == INCLUDE
            ),
            key=lambda option: (
                option.param not in error.message,
                option.value not in error.message,
            ),
        )


def _refuses(error: LevAPIError, sent: Iterable[OptionalParam]) -> bool:
    """Say whether an error may be about an option that was sent."""
    embeds = any(option.param == INCLUDE for option in sent)
    return error.rejects_parameters or (error.is_forbidden and embeds)
