"""Problems from a user's own templates, which turn 50 to 200 problems into many.

    _target_: rlvr.problems.templates.from_templates
    path: templates.yaml      # see rlvr.problems.template_file
    n: 2000
    split: train

Every answer is evaluated exactly, and checked against a second evaluation by a symbolic sympy expression.
In every worked solution, each numeric equation must hold, and the verifier must extract the answer from the
last line. Errors name file, template, field and values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import islice, pairwise

import sympy

from rlvr.base.keys import key
from rlvr.base.targets import known_names
from rlvr.problems.expressions import (
    Expression,
    ExpressionError,
    Number,
    as_fraction,
    evaluate,
    evaluate_numerically,
    holds,
)
from rlvr.problems.generated import shuffled_numbers, side_of
from rlvr.problems.template_file import AnswerFormat, Choice, Template, decimal_text, read_templates
from rlvr.types import ConfigError, DataError, Problem, Status
from rlvr.verify.check import check_answer, equal_answers
from rlvr.verify.settings import VerifySettings
from rlvr.verify.steps import step_holds

SPLITS = ("train", "heldout", "all")
MAX_MISSES = 20_000  # combinations of values in a row that may fail a template's conditions

_TOLERANCE = sympy.Rational(1, 10**20)  # between the two evaluations, relative
_WITH_UNITS = VerifySettings(require_units=True)


def from_templates(path: str, n: int, split: str = "train", seed: int = 0) -> list[Problem]:
    """`n` problems of the templates in the file `path`, alternating between templates.

    split: "train", "heldout" or "all". One text in five is held out, for every seed, as in
        `rlvr.problems.generated`. The file's own `problems` are never among them.
    seed: decides the order; a larger n only adds problems at the end. Ids do not depend on it.

    Each problem has its template's columns, and the template's id in the column `template`. Raises DataError
    for an invalid file, a template that does not reproduce its `like`, values for which the answer or
    the solution fails its checks, and fewer than n problems; ConfigError for the other arguments.
    """
    if split not in SPLITS:
        raise ConfigError(f"{path}: no split {split!r}; {known_names(split, SPLITS)}")
    if n < 1:
        raise ConfigError(f"{path}: n is {n}, but must be ≥ 1")
    templates, own = read_templates(path)
    for template in templates:
        _check_like(template)
    seen = {problem.text: problem for problem in own}
    problems = list(islice(_in_turns([_new(template, split, seed, seen) for template in templates]), n))
    if len(problems) < n:
        raise DataError(
            f"{path}: its templates have {len(problems)} problems in split {split}, but {n} were asked for: "
            "lower n, give variables more values, or add templates"
        )
    return problems


def fill(template: Template, values: Mapping[str, Choice], identity: str) -> Problem | None:
    """The checked problem that the template makes from `values`; None if a condition does not hold.

    Conditions on variables alone are evaluated first, so that they can prevent a division by 0.
    Raises DataError naming the field and the values.
    """
    field = "where"
    numbers = {name: _exact(choice.number) for name, choice in values.items() if choice.number is not None}
    early = [condition for condition in template.where if condition.names <= numbers.keys()]
    shown = {name: choice.shown for name, choice in values.items()}
    try:
        if not all(holds(condition, numbers) for condition in early):
            return None
        for name, expression in template.lets.items():
            field = f"let.{name}"
            numbers[name] = _evaluated_twice(expression, numbers)
        field = "answer"
        numbers["answer"] = _evaluated_twice(template.answer, numbers)
        field = "where"
        if not all(holds(condition, numbers) for condition in template.where if condition not in early):
            return None
        for name in template.shown_lets:
            field = f"let.{name}"
            shown[name] = decimal_text(as_fraction(numbers[name]))
        field = "format"
        answer = write_answer(as_fraction(numbers["answer"]), template.format)
        field = "solution"
        solution = None if template.solution is None else template.solution.format(**shown, answer=answer)
        if solution is not None:
            _check_solution(solution, answer)
    except ExpressionError as error:
        given = ", ".join(f"{name}={choice.shown}" for name, choice in values.items())
        raise DataError(f"{template.place}: {field}: with {given}: {error}") from error
    return Problem(
        identity,
        template.text.format(**shown),
        answer,
        solution,
        {**template.columns, "template": template.id},
    )


def write_answer(value: Fraction, style: AnswerFormat) -> str:
    """`value` written in a template's `format`.

    Raises ExpressionError if that is impossible: nothing is rounded unless `decimals` is set.
    """
    if style.kind == "integer" and value.denominator > 1:
        raise ExpressionError(
            f"the answer {value} is not whole: round it, or add mod(answer, 1) == 0 to where"
        )
    number = str(value) if style.kind == "fraction" else decimal_text(value, style.decimals)
    return number if style.unit is None else f"{number} {style.unit}"


def _exact(number: Fraction) -> Number:
    return sympy.Rational(number.numerator, number.denominator)


def _evaluated_twice(expression: Expression, numbers: Mapping[str, Number]) -> Number:
    value = evaluate(expression, numbers)
    again = evaluate_numerically(expression, numbers)
    if not abs(again - value) <= _TOLERANCE * max(1, abs(value)):
        raise ExpressionError(f"{expression.text!r} is {value} step by step, but {again} as one formula")
    return value


def _check_solution(solution: str, answer: str) -> None:
    """Raise ExpressionError if an equation of numbers is wrong, or if the verifier reads another answer."""
    for line in solution.split("\n"):
        for left, right in pairwise(line.split("=")):
            if step_holds(left, "=", right) is False:
                raise ExpressionError(f"{line!r} does not hold")
    verdict = check_answer(solution, answer)
    if verdict.status is not Status.CORRECT:
        raise ExpressionError(f"the verifier does not read the answer {answer!r} from it: {verdict.reason}")


def _check_like(template: Template) -> None:
    """Raise DataError unless the template reproduces its `like` problem."""
    if template.like is None:
        return
    own = template.like.problem
    made = fill(template, template.like.values, own.id)
    place = f"{template.place}: like: problem {own.id!r}"
    if made is None:
        raise DataError(f"{place}: its values do not meet the conditions in `where`")
    if made.text != own.text:
        raise DataError(f"{place} has the text {own.text!r}, but the template makes {made.text!r}")
    if not equal_answers(made.answer, own.answer, _WITH_UNITS).equal:
        raise DataError(f"{place} has the answer {own.answer!r}, but the template makes {made.answer!r}")


def _problems(template: Template, split: str, seed: int) -> Iterator[Problem]:
    """All problems of one template in `split`, in an order keyed by `seed`."""
    size = math.prod(map(len, template.variables.values()))
    any_made, misses = False, 0
    for index in shuffled_numbers(size, key("template", template.id, seed)):
        values, rest = {}, index
        for name, choices in template.variables.items():
            rest, place = divmod(rest, len(choices))
            values[name] = choices[place]
        problem = fill(template, values, f"{template.id}-{index}")
        misses = misses + 1 if problem is None else 0
        if misses > MAX_MISSES:
            raise DataError(
                f"{template.place}: where: {MAX_MISSES} combinations of values in a row do not meet it: "
                "narrow the variables, or compute one of them as a let"
            )
        if problem is not None:
            any_made = True
            if split in ("all", side_of(problem.text)):
                yield problem
    if not any_made:
        raise DataError(f"{template.place}: where: no combination of values meets it")


def _new(template: Template, split: str, seed: int, seen: dict[str, Problem]) -> Iterator[Problem]:
    """The problems whose text is not in `seen`, which is extended by them.

    Raises DataError for two problems with the same text and different answers.
    """
    for problem in _problems(template, split, seed):
        other = seen.setdefault(problem.text, problem)
        if other is problem:
            yield problem
        elif not equal_answers(problem.answer, other.answer).equal:
            raise DataError(
                f"{template.place}: {problem.text!r} has the answer {problem.answer!r}, but "
                f"problem {other.id!r} has the same text and the answer {other.answer!r}: one of them is "
                "wrong, or the text is incomplete"
            )


def _in_turns(streams: list[Iterator[Problem]]) -> Iterator[Problem]:
    while streams:
        for stream in list(streams):
            if (problem := next(stream, None)) is None:
                streams.remove(stream)
            else:
                yield problem
