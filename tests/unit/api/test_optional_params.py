from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_lev.api.optional_params import OptionalParam, OptionalParams
from tap_lev.errors import ErrorFacts, LevAPIError

FILTER = OptionalParam("filter[updated_at][gte]", "2026-11-01T00:00:00Z")
FINANCIALS = OptionalParam("include", "financials")
TEAM = OptionalParam("include", "team")
PROPERTIES = OptionalParam("include", "properties")
FIELDS = OptionalParam("fields", "id,title")
OPTIONS = (FILTER, FINANCIALS, TEAM)
EVERY = (*OPTIONS, PROPERTIES, FIELDS)


def has(params: dict[str, str], option: OptionalParam) -> bool:
    given = params.get(option.param, "")
    return option.value == given or option.value in given.split(",")


def refusal(message: str = "Unknown parameter", status: int = 400) -> LevAPIError:
    return LevAPIError(
        ErrorFacts(status=status, error_type="bad_request", message=message, endpoint="GET /deals")
    )


def foreign(status: int) -> LevAPIError:
    return LevAPIError(
        ErrorFacts(
            status=status,
            error_type="Oh",
            message="9 bytes",
            endpoint="GET /deals",
            is_foreign=True,
        )
    )


class Lev:
    """Refuses some options, and notes what it is asked."""

    def __init__(self, *refused: OptionalParam, named: bool = True, status: int = 400) -> None:
        self.refused = refused
        self.named = named
        self.status = status
        self.asked: list[dict[str, str]] = []
        self.told: list[OptionalParam] = []
        self.optional = OptionalParams(lambda option, _: self.told.append(option))

    def options(self, params: dict[str, str]) -> list[OptionalParam]:
        return [option for option in EVERY if has(params, option)]

    def refuses(self, params: dict[str, str]) -> list[OptionalParam]:
        return [option for option in self.refused if has(params, option)]

    def request(self, params: dict[str, str]) -> str:
        self.asked.append(params)
        for option in self.refuses(params):
            message = f"Unknown {option.param}: {option.value}" if self.named else "No."
            raise refusal(message, self.status)
        return "answer"

    def ask(self, *options: OptionalParam) -> str:
        return self.optional.request(options, self.request)


def test_options_of_one_parameter_are_a_comma_list() -> None:
    lev = Lev()
    assert lev.ask(*OPTIONS) == "answer"
    assert lev.asked == [
        {"filter[updated_at][gte]": "2026-11-01T00:00:00Z", "include": "financials,team"}
    ]
    assert lev.told == []


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("refused", OPTIONS, ids=lambda option: option.name)
def test_a_refused_option_that_lev_names_costs_two_requests(
    refused: OptionalParam, status: int
) -> None:
    lev = Lev(refused, status=status)
    assert lev.ask(*OPTIONS) == "answer"
    assert lev.ask(*OPTIONS) == "answer"
    first, without, again, later = lev.asked
    assert first == again
    assert without == later
    assert lev.told == [refused]


@pytest.mark.parametrize("refused", OPTIONS, ids=lambda option: option.name)
@pytest.mark.parametrize("named", [True, False])
def test_what_lev_accepts_when_it_is_asked_again_is_not_refused(
    refused: OptionalParam,
    named: bool,  # noqa: FBT001
) -> None:
    lev = Lev(refused, named=named)
    number = 0

    def request(params: dict[str, str]) -> dict[str, str]:
        nonlocal number
        number += 1
        if number > 1:
            lev.refused = ()
        lev.request(params)
        return params

    every = {FILTER.param: FILTER.value, "include": "financials,team"}
    assert lev.optional.request(OPTIONS, request) == every, "the answer that holds all is used"
    assert lev.asked[0] == lev.asked[2] == every
    assert len(lev.asked) == 3
    assert lev.told == []
    assert lev.optional.active(OPTIONS) == list(OPTIONS)


def test_a_fault_after_a_refusal_is_no_refusal() -> None:
    answers = iter([refusal("No."), None, refusal(status=500)])

    def request(_: dict[str, str]) -> str:
        if error := next(answers):
            raise error
        return "answer"

    optional = OptionalParams(lambda _, __: None)
    with pytest.raises(LevAPIError) as caught:
        optional.request([FILTER], request)
    assert caught.value.status == 500
    assert optional.active([FILTER]) == [FILTER]


@pytest.mark.parametrize("status", [400, 422, 403, 404])
def test_an_answer_that_is_not_lev_s_refuses_no_option(status: int) -> None:
    asked: list[dict[str, str]] = []

    def request(params: dict[str, str]) -> str:
        asked.append(params)
        raise foreign(status)

    optional = OptionalParams(lambda _, __: None)
    with pytest.raises(LevAPIError) as caught:
        optional.request(OPTIONS, request)
    assert caught.value.is_foreign
    assert len(asked) == 1
    assert optional.active(OPTIONS) == list(OPTIONS)


# -- What the key may not have embedded


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("refused", [FINANCIALS, TEAM], ids=lambda option: option.name)
def test_a_block_that_is_forbidden_is_left_out(
    refused: OptionalParam,
    named: bool,  # noqa: FBT001
) -> None:
    lev = Lev(refused, status=403, named=named)
    assert lev.ask(*OPTIONS) == "answer"
    assert lev.told == [refused]
    assert all(FILTER.param in params for params in lev.asked), "only blocks are suspected"
    assert lev.optional.active(OPTIONS) == [option for option in OPTIONS if option is not refused]


def test_blocks_that_are_all_forbidden_are_all_left_out() -> None:
    lev = Lev(FINANCIALS, TEAM, PROPERTIES, status=403)
    assert lev.ask(*EVERY) == "answer"
    assert sorted(lev.told) == sorted([FINANCIALS, TEAM, PROPERTIES])


@pytest.mark.parametrize("options", [OPTIONS, (FILTER, TEAM)])
def test_what_is_forbidden_without_any_block_too_stays_forbidden(
    options: tuple[OptionalParam, ...],
) -> None:
    lev = Lev(FILTER, status=403)
    with pytest.raises(LevAPIError) as caught:
        lev.ask(*options)
    assert caught.value.is_forbidden
    assert lev.told == []
    assert lev.asked[-1] == {FILTER.param: FILTER.value}
    assert lev.optional.active(options) == list(options)


@pytest.mark.parametrize("refused", OPTIONS, ids=lambda option: option.name)
def test_a_refused_option_is_found_though_lev_does_not_name_it(refused: OptionalParam) -> None:
    lev = Lev(refused, named=False)
    assert lev.ask(*OPTIONS) == "answer"
    assert lev.told == [refused]
    assert lev.asked[-1] == lev.asked[0]
    assert lev.ask(*OPTIONS) == "answer"
    assert lev.asked[-1] == lev.asked[-3]


def test_when_all_are_refused_none_is_sent() -> None:
    lev = Lev(FILTER, FINANCIALS)
    assert lev.ask(FILTER, FINANCIALS) == "answer"
    assert lev.asked[-2:] == [{}, lev.asked[0]]
    assert sorted(lev.told) == sorted([FILTER, FINANCIALS])
    lev.ask(FILTER, FINANCIALS)
    assert lev.asked[-1] == {}


def test_a_value_that_differs_from_run_to_run_does_not_make_another_option() -> None:
    lev = Lev(FILTER)
    lev.ask(FILTER)
    later = FILTER._replace(value="2026-11-02T00:00:00Z")
    assert lev.optional.active([later, TEAM]) == [TEAM]


def test_what_was_accepted_once_is_not_suspected_later() -> None:
    lev = Lev()
    lev.ask(FILTER)
    lev.refused = (FILTER,)
    with pytest.raises(LevAPIError, match="Unknown filter"):
        lev.ask(FILTER)
    assert len(lev.asked) == 2
    assert lev.told == []


def test_a_required_option_is_never_left_out() -> None:
    required = FILTER._replace(required=True)
    lev = Lev(required)
    with pytest.raises(LevAPIError, match="Unknown filter"):
        lev.ask(required, TEAM)
    assert all(FILTER.param in params for params in lev.asked)
    assert lev.told == []


def test_a_refusal_that_no_option_explains_stays_the_error() -> None:
    def request(params: dict[str, str]) -> None:
        raise refusal(f"Bad cursor, with {len(params)} parameters")

    told: list[OptionalParam] = []
    optional = OptionalParams(lambda option, _: told.append(option))
    with pytest.raises(LevAPIError, match="Bad cursor, with 2 parameters"):
        optional.request(OPTIONS, request)
    assert told == []
    assert optional.active(OPTIONS) == list(OPTIONS)


@pytest.mark.parametrize(
    ("status", "options"),
    [(401, OPTIONS), (404, OPTIONS), (429, OPTIONS), (500, OPTIONS), (403, (FILTER, FIELDS))],
)
def test_other_errors_are_nobody_s_refusal(status: int, options: tuple[OptionalParam, ...]) -> None:
    lev = Lev(FILTER, status=status)
    with pytest.raises(LevAPIError) as caught:
        lev.ask(*options)
    assert caught.value.status == status
    assert len(lev.asked) == 1


def test_another_error_while_searching_ends_the_search() -> None:
    answers = iter([refusal("No."), refusal(status=500)])

    def request(_: dict[str, str]) -> None:
        raise next(answers)

    optional = OptionalParams(lambda _, __: None)
    with pytest.raises(LevAPIError) as caught:
        optional.request(OPTIONS, request)
    assert caught.value.status == 500
    assert optional.active(OPTIONS) == list(OPTIONS)


def test_what_lev_ignores_can_be_left_out_without_a_word() -> None:
    lev = Lev()
    lev.optional.drop(FILTER.name)
    assert lev.optional.active(OPTIONS) == [FINANCIALS, TEAM]
    assert lev.told == []


@given(
    st.sets(st.sampled_from(EVERY)),
    st.lists(st.sets(st.sampled_from(EVERY)), min_size=1, max_size=4),
    st.booleans(),
)
def test_whatever_lev_refuses_every_request_is_answered_and_no_refusal_comes_twice(
    refused: set[OptionalParam],
    calls: list[set[OptionalParam]],
    named: bool,  # noqa: FBT001
) -> None:
    lev = Lev(*sorted(refused), named=named)
    for options in calls:
        before = len(lev.asked)
        known = set(lev.told)
        assert lev.ask(*sorted(options)) == "answer"
        # The request, one without each, one without all, then one with each again, and with all.
        assert len(lev.asked) - before <= 2 * len(options) + 3
        assert refused & options <= set(lev.told) <= refused, "no good option is given up"
        answered = [params for params in lev.asked[before:] if not lev.refuses(params)]
        assert set(map(str, known)).isdisjoint(map(str, lev.options(answered[0])))
    assert max(Counter(lev.told).values(), default=1) == 1


@pytest.mark.parametrize("refused", [(TEAM, FILTER), (TEAM, PROPERTIES, FILTER), (TEAM, FIELDS)])
def test_a_forbidden_block_may_hide_another_refusal(refused: tuple[OptionalParam, ...]) -> None:
    """Lev may check scopes first, and say only then that it does not know a parameter."""

    class Strict(Lev):
        def request(self, params: dict[str, str]) -> str:
            self.asked.append(params)
            wrong = self.refuses(params)
            if any(option.param == "include" for option in wrong):
                raise refusal("Missing required scope", 403)
            if wrong:
                raise refusal()
            return "answer"

    lev = Strict(*refused)
    assert lev.ask(*EVERY) == "answer"
    assert {*lev.told} == {*refused}
    lev.asked.clear()
    assert lev.ask(*EVERY) == "answer"
    assert len(lev.asked) == 1
