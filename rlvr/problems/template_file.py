"""Files of problem templates, read and checked: what `rlvr.problems.templates` makes problems from.

    problems: problems.jsonl            # your own; relative to this file
    templates:
      - id: bins
        text: "bin {per} pcs, {bins} bins, used {used}, left?"
        variables:
          per: {from: 4, to: 20}        # step: 1
          bins: [2, 3, 5, 7]
          used: {from: 5, to: 95, step: 5}
        let: {all: per*bins}
        where: [used < all]
        answer: all-used
        solution: |-
          {per}*{bins}={all}
          {all}-{used}={answer}
          #{answer}
        columns: {subject: stock}
        like: {id: sf-001, values: {per: 12, bins: 7, used: 35}}

`Template` says what the fields mean. Numbers are read digit by digit, as they are written: 0.1 is 1/10.
Every error is a DataError that names the file, the template and the field.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

import yaml

from rlvr.base.targets import known_names
from rlvr.problems.expressions import FUNCTIONS, Expression, ExpressionError, parse_expression
from rlvr.problems.files import from_file
from rlvr.types import DataError, Problem

MAX_VALUES = 10_000  # of one variable
MAX_CHOICES = 2**50  # of all variables together: their numbers stay exact as floats
MAX_DECIMALS = 20

_NEEDED = ("id", "text", "variables", "answer")
_FIELDS = (*_NEEDED, "let", "where", "format", "solution", "columns", "like")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")
_DECIMAL = re.compile(r"[-+]?(?:\d{1,20}(?:\.\d{1,20})?|\.\d{1,20})")
_WHOLE = re.compile(r"[-+]?\d{1,15}")


class Choice(NamedTuple):
    """One value of a variable: as the text shows it, and as expressions see it."""

    shown: str
    number: Fraction | None  # None for a word that stands for no number


@dataclass(frozen=True)
class AnswerFormat:
    """How an answer is written: a bare word (`format: fraction`) or {as, decimals, unit}."""

    kind: str = "decimal"  # `as`: "decimal", "integer" or "fraction" (3/4, in lowest terms)
    decimals: int | None = None  # exactly so many, halves rounded away from 0; None: as many as there are
    unit: str | None = None  # follows the number and a space


@dataclass(frozen=True)
class Like:
    """One of the user's own problems and the values with which the template must reproduce it."""

    problem: Problem
    values: Mapping[str, Choice]


@dataclass(frozen=True)
class Template:
    """A kind of problem. `text` and `solution` have {names} of variables and lets (`{{` is a brace)."""

    place: str  # file and id, for messages
    id: str
    text: str
    variables: Mapping[str, Sequence[Choice]]  # {from, to, step}, [values], or {word: number}: the text
    #   shows the word, and expressions see its number
    lets: Mapping[str, Expression]  # named results, each of variables and of earlier lets
    where: Sequence[Expression]  # conditions on variables, lets and `answer`; all must hold
    answer: Expression
    format: AnswerFormat
    solution: str | None  # worked lines; the last is # and {answer}
    columns: Mapping[str, str | int]  # become the problem's columns, beside `template`: the id
    like: Like | None

    @property
    def shown_lets(self) -> list[str]:
        """Those that the text or the solution shows."""
        shown = {*names_in(self.text, self.place), *names_in(self.solution or "", self.place)}
        return [name for name in self.lets if name in shown]


def read_templates(path: str) -> tuple[list[Template], list[Problem]]:
    """The templates of a YAML or JSON file, and the user's own problems that it names (or none).

    Raises DataError naming file, template and field.
    """
    tree = _fields(_load(path), path, ("problems", "templates"), needed=("templates",))
    own: list[Problem] = []
    if "problems" in tree:
        own = from_file(str(Path(path).parent / _text(tree["problems"], f"{path}: problems")))
    entries = tree["templates"]
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: templates must be a list with at least one template")
    templates: list[Template] = []
    for number, entry in enumerate(entries, 1):
        template = _template(entry, path, number, {problem.id: problem for problem in own})
        if template.id in {other.id for other in templates}:
            raise DataError(f"{template.place}: another template has this id: make ids unique")
        templates.append(template)
    return templates, own


class _Loader(yaml.BaseLoader):
    """YAML whose scalars all stay text, so that no number loses a digit and `no` is a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode)]
        for name in {name for name in names if names.count(name) > 1}:
            raise yaml.MarkedYAMLError(problem=f"{name!r} comes twice", problem_mark=node.start_mark)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def _load(path: str) -> Any:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file (relative paths start at {Path.cwd()})")
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: no YAML that can be read ({type(error).__name__}: {reason})") from error


def _template(entry: Any, path: str, number: int, own: Mapping[str, Problem]) -> Template:
    fields = _fields(entry, f"{path}: template {number}", _FIELDS, needed=_NEEDED)
    identity = _text(fields["id"], f"{path}: template {number}: id")
    place = f"{path}: template {identity!r}"
    if not _ID.fullmatch(identity):
        raise DataError(f"{place}: id may have letters, digits and _ . - only")
    variables = _variables(fields["variables"], f"{place}: variables")
    numbers = [name for name, choices in variables.items() if choices[0].number is not None]
    lets: dict[str, Expression] = {}
    for name, text in _mapping(fields.get("let", {}), f"{place}: let").items():
        where = f"{place}: let.{name}"
        _check_name(name, where)
        if name in variables:
            raise DataError(f"{where}: a variable has this name: choose another")
        lets[name] = _expression(text, where, [*numbers, *lets])
    known = [*numbers, *lets]
    template = Template(
        place=place,
        id=identity,
        text=_text(fields["text"], f"{place}: text").strip(),
        variables=variables,
        lets=lets,
        where=tuple(
            _expression(text, f"{place}: where", [*known, "answer"], condition=True)
            for text in _list(fields.get("where", []), f"{place}: where")
        ),
        answer=_expression(fields["answer"], f"{place}: answer", known),
        format=_format(fields.get("format", {}), f"{place}: format"),
        solution=_solution(fields.get("solution"), f"{place}: solution"),
        columns=_columns(fields.get("columns", {}), f"{place}: columns"),
        like=_like(fields.get("like"), f"{place}: like", variables, own),
    )
    _check_names(template)
    return template


def names_in(text: str, place: str) -> list[str]:
    """The {names} of a text."""
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise DataError(f"{place}: {error}; write {{{{ and }}}} for braces") from error
    for _, name, spec, conversion in parsed:
        if name is not None and (spec or conversion or not _NAME.fullmatch(name)):
            raise DataError(f"{place}: braces hold a name and nothing else, not {name!r}")
    return [name for _, name, _, _ in parsed if name is not None]


def _check_names(template: Template) -> None:
    """Every {name} is there, everything named is used, and the text says all that the answer depends on."""
    known = [*template.variables, *template.lets]
    text_names = names_in(template.text, f"{template.place}: text")
    solution_names = names_in(template.solution or "", f"{template.place}: solution")
    for field, names, there_are in (
        ("text", text_names, known),
        ("solution", solution_names, [*known, "answer"]),
    ):
        for name in names:
            if name not in there_are:
                raise DataError(
                    f"{template.place}: {field}: no name {name!r}; {known_names(name, there_are)}"
                )
    used = {*text_names, *solution_names, *template.answer.names}
    for expression in (*template.lets.values(), *template.where):
        used |= expression.names
    for name in template.lets:
        if name not in used:
            raise DataError(f"{template.place}: let.{name} is used nowhere: take it out")
    said = set(text_names)
    for name in reversed(list(template.lets)):
        if name in said:
            said |= template.lets[name].names
    for name in template.variables:
        if name not in said:
            raise DataError(
                f"{template.place}: the text does not depend on {name!r}, so that one text would have "
                "several answers: write it into the text, or take it out"
            )


def _variables(entry: Any, place: str) -> dict[str, tuple[Choice, ...]]:
    variables = {}
    for name, choices in _mapping(entry, place).items():
        _check_name(name, f"{place}.{name}")
        variables[name] = _choices(choices, f"{place}.{name}")
    if not variables:
        raise DataError(f"{place}: there is none, so that all problems would be the same")
    if math.prod(map(len, variables.values())) > MAX_CHOICES:
        raise DataError(f"{place}: more than {MAX_CHOICES} choices together: narrow some")
    return variables


def _choices(entry: Any, place: str) -> tuple[Choice, ...]:
    if isinstance(entry, list):
        found = [_listed(_text(value, place)) for value in entry]
        if len({choice.number is None for choice in found}) > 1:
            raise DataError(f"{place}: numbers and words in one list: write {{word: number, …}}")
    elif isinstance(entry, dict) and {"from", "to"} & set(entry):
        fields = _fields(entry, place, ("from", "to", "step"), needed=("from", "to"))
        first, last = _number(fields["from"], f"{place}.from"), _number(fields["to"], f"{place}.to")
        step = _number(fields.get("step", "1"), f"{place}.step")
        if step <= 0 or last < first:
            raise DataError(f"{place}: needs from ≤ to and step > 0")
        size = (last - first) // step + 1
        if size > MAX_VALUES:
            raise DataError(f"{place}: {size} values, but may have {MAX_VALUES}: take a larger step")
        found = [Choice(decimal_text(first + number * step), first + number * step) for number in range(size)]
    else:
        words = _mapping(entry, place)
        found = [Choice(word, _number(number, f"{place}.{word}")) for word, number in words.items()]
    if not found or len({choice.shown for choice in found}) < len(found):
        raise DataError(f"{place}: needs at least one value, and each once")
    return tuple(found)


def _listed(text: str) -> Choice:
    if not _DECIMAL.fullmatch(text):
        return Choice(text, None)
    return Choice(decimal_text(Fraction(text)), Fraction(text))


def decimal_text(number: Fraction, decimals: int | None = None) -> str:
    """The shortest exact decimal, or one with `decimals` digits behind the point, halves away from 0.

    Raises ExpressionError for a number without an exact decimal of at most `MAX_DECIMALS` digits.
    """
    if decimals is None:
        decimals = next((d for d in range(MAX_DECIMALS + 1) if (10**d) % number.denominator == 0), None)
    if decimals is None:
        raise ExpressionError(f"{number} is no decimal: round it, or set format: fraction or {{decimals: 2}}")
    scaled = math.floor(abs(number) * 10**decimals + Fraction(1, 2))
    whole, behind = divmod(scaled, 10**decimals)
    sign = "-" if number < 0 and scaled else ""
    return f"{sign}{whole}.{behind:0{decimals}d}" if decimals else f"{sign}{whole}"


def _format(entry: Any, place: str) -> AnswerFormat:
    fields = {"as": entry} if isinstance(entry, str) else _fields(entry, place, ("as", "decimals", "unit"))
    kind = _text(fields.get("as", AnswerFormat.kind), f"{place}.as")
    kinds = ("decimal", "integer", "fraction")
    if kind not in kinds:
        raise DataError(f"{place}: no format {kind!r}; {known_names(kind, kinds)}")
    decimals = None
    if "decimals" in fields:
        decimals = _number(fields["decimals"], f"{place}.decimals")
        if decimals.denominator != 1 or not 0 <= decimals <= MAX_DECIMALS or kind != "decimal":
            raise DataError(f"{place}.decimals: 0 to {MAX_DECIMALS}, and for decimals only")
    unit = _text(fields["unit"], f"{place}.unit") if "unit" in fields else None
    return AnswerFormat(kind, None if decimals is None else int(decimals), unit)


def _solution(entry: Any, place: str) -> str | None:
    if entry is None:
        return None
    solution = _text(entry, place).strip()
    if solution.split("\n")[-1] != "#{answer}":
        raise DataError(f"{place}: its last line must be #{{answer}}, and nothing else")
    return solution


def _columns(entry: Any, place: str) -> dict[str, str | int]:
    columns: dict[str, str | int] = {}
    for name, value in _mapping(entry, place).items():
        if name == "template":
            raise DataError(f"{place}: 'template' is the template's id in every problem: choose another name")
        text = _text(value, f"{place}.{name}")
        columns[name] = int(text) if _WHOLE.fullmatch(text) else text
    return columns


def _like(
    entry: Any, place: str, variables: Mapping[str, Sequence[Choice]], own: Mapping[str, Problem]
) -> Like | None:
    if entry is None:
        return None
    fields = _fields(entry, place, ("id", "values"), needed=("id", "values"))
    identity = _text(fields["id"], f"{place}.id")
    if identity not in own:
        raise DataError(f"{place}.id: {identity!r} is none of the {len(own)} problems that `problems` names")
    given = _fields(fields["values"], f"{place}.values", tuple(variables), needed=tuple(variables))
    values = {}
    for name, choices in variables.items():
        shown = _listed(_text(given[name], f"{place}.values.{name}")).shown
        value = next((choice for choice in choices if choice.shown == shown), None)
        if value is None:
            raise DataError(f"{place}.values.{name}: {shown!r} is none of the variable's values")
        values[name] = value
    return Like(own[identity], values)


def _expression(entry: Any, place: str, known: Sequence[str], condition: bool = False) -> Expression:
    try:
        return parse_expression(_text(entry, place), known, condition)
    except ExpressionError as error:
        cut = isinstance(entry, str) and entry.count("(") != entry.count(")")
        hint = " (within YAML's [ ] and { }, a comma ends the text: put quotes around it)" if cut else ""
        raise DataError(f"{place}: {error}{hint}") from error


def _check_name(name: str, place: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name == "answer" or name in FUNCTIONS:
        raise DataError(
            f"{place}: {name!r} can be no name: take letters, digits and _, but no word of Python, no "
            "function and not 'answer'"
        )


def _number(entry: Any, place: str) -> Fraction:
    text = _text(entry, place)
    if not _DECIMAL.fullmatch(text):
        raise DataError(f"{place}: {text[:80]!r} is no number such as 12 or 0.25")
    return Fraction(text)


def _text(entry: Any, place: str) -> str:
    if not isinstance(entry, str) or not entry.strip():
        raise DataError(f"{place}: must be a text or a number, and not empty")
    return entry


def _list(entry: Any, place: str) -> list[Any]:
    if not isinstance(entry, list):
        raise DataError(f"{place}: must be a list")
    return entry


def _mapping(entry: Any, place: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise DataError(f"{place}: must be a mapping, name: value")
    return entry


def _fields(entry: Any, place: str, known: Sequence[str], needed: Sequence[str] = ()) -> dict[str, Any]:
    for name in (fields := _mapping(entry, place)):
        if name not in known:
            raise DataError(f"{place}: no field {name!r}; {known_names(name, known)}")
    for name in needed:
        if name not in fields:
            raise DataError(f"{place}: the field {name!r} is missing")
    return fields
