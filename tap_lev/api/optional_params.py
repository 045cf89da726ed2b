"""Send query parameters that Lev may reject, and drop those that it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tap_lev.errors import LevAPIError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")
INCLUDE = "include"
"""The query parameter that asks for embeds."""


class OptionalParam(NamedTuple):
    """A query parameter that Lev may reject, or one of its values.

    Attributes:
        param: The query parameter. Options of one parameter are sent as a comma list.
        value: Its value.
        required: Whether a rejection is an error.
    """

    param: str
    value: str
    required: bool = False

    @property
    def name(self) -> str:
        """The option as messages show it, without a value that differs from run to run."""
        return f"{self.param}={self.value}" if self.param == INCLUDE else self.param


class OptionalParams:
    """What a run has learned about the options of one endpoint.

    A rejected option is dropped for the rest of the run. Which of several was rejected is found by
    dropping one at a time, first the one that Lev's message names. Then all of them are sent once
    more: only what Lev rejects again was rejected for itself, and not by a fault that has passed.
    So a rejection usually costs two requests. A 403 may be about what ``include`` asks for, so it
    counts as a rejection of that.

    Args:
        on_rejection: Called once for each rejected option, with Lev's error.
    """

    def __init__(self, on_rejection: Callable[[OptionalParam, LevAPIError], None]) -> None:
        self._on_rejection = on_rejection
        self._accepted: set[str] = set()
        self._rejected: set[str] = set()

    def is_rejected(self, name: str) -> bool:
        """Return whether an option is dropped."""
        return name in self._rejected

    @property
    def rejected(self) -> list[str]:
        """The options that are dropped."""
        return sorted(self._rejected)

    def drop(self, name: str) -> None:
        """Stop sending an option that Lev accepts without effect."""
        self._rejected.add(name)

    def active(self, options: Iterable[OptionalParam]) -> list[OptionalParam]:
        """Return the options that are not dropped."""
        return [option for option in options if option.name not in self._rejected]

    def request(self, options: Iterable[OptionalParam], send: Callable[[dict[str, str]], T]) -> T:
        """Make a request with as many of the options as Lev accepts.

        Args:
            options: What to send.
            send: Makes the request, with the options as query parameters.

        Returns:
            The response to the first request that was accepted.

        Raises:
            LevAPIError: The request fails without the options, too, or Lev rejects a required one.
        """
        active = self.active(options)
        # 1. Lev accepts all of them: nearly every request ends here.
        try:
            return self._send(active, send)
        except LevAPIError as error:
            # 2. The error has another reason than the options.
            outcome = self._search(active, error, send)
            if outcome is None:
                raise
            response, rejected = outcome
            # 3. Lev accepts all of them now: the error was a fault that has passed.
            if again := self._try(active, send):
                return again[0]
            # 4. Lev rejects them again: drop those without which it responded.
            for option in rejected:
                self._reject(option, error)
            return response

    def _search(
        self,
        active: Sequence[OptionalParam],
        error: LevAPIError,
        send: Callable[[dict[str, str]], T],
    ) -> tuple[T, list[OptionalParam]] | None:
        """Find the options that Lev rejects, and a response without them.

        Returns:
            The response and the options, or None if the error has another reason.
        """
        if not _may_reject(error, active):
            return None
        suspects = self._suspects(active, error)
        # 1. One of them.
        for suspect in suspects:
            if outcome := self._try([option for option in active if option is not suspect], send):
                return outcome[0], [suspect]
        # 2. More than one: the request must succeed without all suspects.
        accepted = [option for option in active if option not in suspects]
        outcome = self._try(accepted, send) if len(suspects) > 1 else None
        # 3. A 403 hid the rejection of another option: without embeds Lev gets as far as that.
        if not outcome and error.is_forbidden:
            suspects = self._unproven(active)
            accepted = [option for option in active if option not in suspects]
            outcome = self._try(accepted, send)
        if not outcome:
            return None
        # Step 1 showed that neither of two suffices, so both are rejected.
        if len(suspects) == 2:  # noqa: PLR2004
            return outcome[0], suspects
        # Of three or more, some may be accepted: add them again one by one.
        rejected = []
        for suspect in suspects:
            if more := self._try([*accepted, suspect], send):
                accepted.append(suspect)
                outcome = more
            else:
                rejected.append(suspect)
        return outcome[0], rejected

    def _reject(self, option: OptionalParam, error: LevAPIError) -> None:
        # Another thread may have found out meanwhile.
        if option.name not in self._rejected:
            self._rejected.add(option.name)
            self._on_rejection(option, error)

    def _try(
        self, options: Sequence[OptionalParam], send: Callable[[dict[str, str]], T]
    ) -> tuple[T] | None:
        """Make a request; None if Lev rejects options again. A tuple, since T may be None."""
        try:
            return (self._send(options, send),)
        except LevAPIError as error:
            if not _may_reject(error, options):
                raise
            return None

    def _send(self, options: Sequence[OptionalParam], send: Callable[[dict[str, str]], T]) -> T:
        params: dict[str, str] = {}
        for option in options:
            before = params.get(option.param)
            params[option.param] = f"{before},{option.value}" if before else option.value
        response = send(params)
        self._accepted.update(option.name for option in options)
        return response

    def _unproven(self, options: Sequence[OptionalParam]) -> list[OptionalParam]:
        """Return the options that Lev may reject, as far as this run knows."""
        return [o for o in options if not o.required and o.name not in self._accepted]

    def _suspects(
        self, options: Sequence[OptionalParam], error: LevAPIError
    ) -> list[OptionalParam]:
        """Return the options that an error may be about, the likeliest first."""
        return sorted(
            (
                option
                for option in self._unproven(options)
                if error.rejects_parameters or option.param == INCLUDE
            ),
            key=lambda option: (
                option.param not in error.message,
                option.value not in error.message,
            ),
        )


def _may_reject(error: LevAPIError, options: Iterable[OptionalParam]) -> bool:
    """Return whether an error may be about one of the options."""
    embeds = any(option.param == INCLUDE for option in options)
    return error.rejects_parameters or (error.is_forbidden and embeds)
