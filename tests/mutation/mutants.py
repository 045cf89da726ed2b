"""The mutants of a module: its code with one thing broken in each."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import TYPE_CHECKING, Any

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from tests.mutation.equivalent import EQUIVALENT

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATORS = (
    "AddNot",
    "ExceptionReplacer",
    "NumberReplacer",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_Pow_Mul",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ZeroIterationForLoop",
)
"""Cosmic Ray's operators but those that say the same again, change annotations or always crash."""

NOISE = re.compile(r"TYPE_CHECKING| /,")
"""Where a mutant is none: what only type checkers read, and the star before keyword arguments."""


class DeleteStatement:
    """Leaves a statement out: what Cosmic Ray has no operator for.

    What only gives a name its first value stays, since without it the code cannot but crash.
    """

    DELETED = frozenset({"atom_expr", "del_stmt", "raise_stmt", "return_stmt", "keyword"})

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - parso's
        """Tell where a statement stands, if the node is one."""
        if node.type != "simple_stmt":
            return
        statement = node.children[0]
        if statement.type == "expr_stmt":
            target, operator = statement.children[0], statement.children[1]
            function = node.parent.parent
            name = function.name.value if function and function.type == "funcdef" else ""
            changes = target.type == "atom_expr" and name != "__init__"
            deleted = changes or getattr(operator, "value", "=") not in {"=", ""}
            deleted = deleted and operator.type != "annassign"
        else:
            deleted = statement.type in self.DELETED and statement.get_code().strip() != "pass"
        if deleted:
            yield statement.start_pos, statement.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ANN401, ARG002
        """Leave it out."""
        statement = node.children[0]
        leaf = statement.get_first_leaf()
        node.children[0] = type(node.children[-1])("pass", leaf.start_pos, leaf.prefix)
        return node


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A module with one thing broken.

    Attributes:
        module: The module's name.
        code: Its code.
        line: The number of the first line that is not as it was.
        was: That line, as it was.
        now: That line, as it is.
    """

    module: str
    code: str
    line: int
    was: str
    now: str

    @property
    def is_equivalent(self) -> bool:
        """Whether the module does what it did."""
        return self.now in EQUIVALENT.get(self.module, {}).get(self.was, ())

    def __str__(self) -> str:
        """Tell what is broken."""
        return f"{self.module}:{self.line}\n  - {self.was}\n  + {self.now}"


def mutants(module: str, code: str) -> Iterator[Mutant]:
    """Break a module in each way that there is."""
    operators = [get_operator(f"core/{name}")() for name in OPERATORS]
    seen = {_meaning(code)}
    for operator in [*operators, DeleteStatement()]:
        for occurrence in itertools.count():
            mutated = mutate_code(code, operator, occurrence)
            if mutated is None:
                break
            if (meaning := _meaning(mutated)) not in seen:
                seen.add(meaning)
                mutant = _mutant(module, code, mutated)
                if not NOISE.search(f"{mutant.was} {mutant.now}"):
                    yield mutant


def _meaning(code: str) -> str:
    """Write code so that what means the same is the same."""
    code = re.sub(r"\bnot +not\b", "", code)
    code = re.sub(r"\bnot ([\w.]+) is not\b", r"\1 is", code)
    code = re.sub(r"\bnot ([\w.]+) is\b", r"\1 is not", code)
    return re.sub(r" +", " ", code)


def _mutant(module: str, code: str, mutated: str) -> Mutant:
    pairs = zip(code.splitlines(), mutated.splitlines(), strict=False)
    line, was, now = next((n, a, b) for n, (a, b) in enumerate(pairs, 1) if a != b)
    return Mutant(module, mutated, line, was.strip(), now.strip())
