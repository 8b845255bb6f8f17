"""Reads and checks files of problem templates, for `rlvr.problems.templates`.

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
          {per} * {bins} = {all}
          {all} - {used} = {answer}
          #### {answer}
        columns: {subject: stock}
        like: {id: own-1, values: {per: 12, bins: 7, used: 35}}

`Template` documents the fields. Numbers are read exactly: 0.1 is 1/10. Every error is a DataError that
names the file, the template and the field.
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
MAX_CHOICES = 2**50  # combinations of all variables; below 2**53, so that floats hold them exactly
MAX_DECIMALS = 20

_NEEDED = ("id", "text", "variables", "answer")
_FIELDS = (*_NEEDED, "let", "where", "format", "solution", "columns", "like")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")
_DECIMAL = re.compile(r"[-+]?(?:\d{1,20}(?:\.\d{1,20})?|\.\d{1,20})")
_WHOLE = re.compile(r"[-+]?\d{1,15}")


class Choice(NamedTuple):
    """One value of a variable."""

    shown: str  # in the text
    number: Fraction | None  # in expressions; None for a word without a number


@dataclass(frozen=True)
class AnswerFormat:
    """How an answer is written: a bare word (`format: fraction`) or {as, decimals, unit}."""

    kind: str = "decimal"  # `as`: "decimal", "integer" or "fraction" (3/4, in lowest terms)
    decimals: int | None = None  # decimal places, halves rounded away from 0; None: as many as needed
    unit: str | None = None  # written after the number and a space


@dataclass(frozen=True)
class Like:
    """One of the user's own problems and the values with which the template must reproduce it."""

    problem: Problem
    values: Mapping[str, Choice]


@dataclass(frozen=True)
class Template:
    """A kind of problem. `text` and `solution` contain {names} of variables and lets (`{{` is a brace)."""

    place: str  # file and id, for messages
    id: str
    text: str
    variables: Mapping[str, Sequence[Choice]]  # {from, to, step}, [values], or {word: number}: the text
    #   shows the word, and expressions see its number
    lets: Mapping[str, Expression]  # named results; each may use variables and earlier lets
    where: Sequence[Expression]  # conditions on variables, lets and `answer`; all must hold
    answer: Expression
    format: AnswerFormat
    solution: str | None  # worked lines; the last is #{answer} or #### {answer}
    columns: Mapping[str, str | int]  # the problem's columns; `template`, the template's id, is added
    like: Like | None

    @property
    def shown_lets(self) -> list[str]:
        """The lets that the text or the solution shows."""
        shown = {*names_in(self.text, self.place), *names_in(self.solution or "", self.place)}
        return [name for name in self.lets if name in shown]


def read_templates(path: str) -> tuple[list[Template], list[Problem]]:
    """The templates of a YAML or JSON file, and the problems of its `problems` file, if any.

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
    """Reads all YAML scalars as text, so that numbers stay exact and `no` is a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode)]
        for name in {name for name in names if names.count(name) > 1}:
            raise yaml.MarkedYAMLError(problem=f"{name!r} is repeated", problem_mark=node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _load(path: str) -> Any:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file (relative paths start at {Path.cwd()})")
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as YAML ({type(error).__name__}: {reason})") from error


def _template(entry: Any, path: str, number: int, own: Mapping[str, Problem]) -> Template:
    fields = _fields(entry, f"{path}: template {number}", _FIELDS, needed=_NEEDED)
    identity = _text(fields["id"], f"{path}: template {number}: id")
    place = f"{path}: template {identity!r}"
    if not _ID.fullmatch(identity):
        raise DataError(f"{place}: id may contain only letters, digits and _ . -")
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
            raise DataError(f"{place}: braces may contain only a name, not {name!r}")
    return [name for _, name, _, _ in parsed if name is not None]


def _check_names(template: Template) -> None:
    """Check that every {name} exists, every let is used, and the text determines all variables."""
    known = [*template.variables, *template.lets]
    text_names = names_in(template.text, f"{template.place}: text")
    solution_names = names_in(template.solution or "", f"{template.place}: solution")
    for field, names, allowed in (
        ("text", text_names, known),
        ("solution", solution_names, [*known, "answer"]),
    ):
        for name in names:
            if name not in allowed:
                raise DataError(f"{template.place}: {field}: no name {name!r}; {known_names(name, allowed)}")
    used = {*text_names, *solution_names, *template.answer.names}
    for expression in (*template.lets.values(), *template.where):
        used |= expression.names
    for name in template.lets:
        if name not in used:
            raise DataError(f"{template.place}: let.{name} is not used: remove it")
    in_text = set(text_names)
    for name in reversed(list(template.lets)):
        if name in in_text:
            in_text |= template.lets[name].names
    for name in template.variables:
        if name not in in_text:
            raise DataError(
                f"{template.place}: the text does not depend on {name!r}, so one text could have several "
                "answers: write it into the text, or remove it"
            )


def _variables(entry: Any, place: str) -> dict[str, tuple[Choice, ...]]:
    variables = {}
    for name, choices in _mapping(entry, place).items():
        _check_name(name, f"{place}.{name}")
        variables[name] = _choices(choices, f"{place}.{name}")
    if not variables:
        raise DataError(f"{place}: must name at least one, or all problems would be the same")
    if math.prod(map(len, variables.values())) > MAX_CHOICES:
        raise DataError(f"{place}: more than {MAX_CHOICES} combinations of values: give fewer values")
    return variables


def _choices(entry: Any, place: str) -> tuple[Choice, ...]:
    if isinstance(entry, list):
        values = [_listed(_text(value, place)) for value in entry]
        if len({choice.number is None for choice in values}) > 1:
            raise DataError(f"{place}: numbers and words in one list: write {{word: number, …}}")
    elif isinstance(entry, dict) and {"from", "to"} & set(entry):
        fields = _fields(entry, place, ("from", "to", "step"), needed=("from", "to"))
        first, last = _number(fields["from"], f"{place}.from"), _number(fields["to"], f"{place}.to")
        step = _number(fields.get("step", "1"), f"{place}.step")
        if step <= 0 or last < first:
            raise DataError(f"{place}: needs from ≤ to and step > 0")
        size = (last - first) // step + 1
        if size > MAX_VALUES:
            raise DataError(
                f"{place}: {size} values, but at most {MAX_VALUES} are allowed: use a larger step"
            )
        steps = (first + number * step for number in range(size))
        values = [Choice(decimal_text(number), number) for number in steps]
    else:
        words = _mapping(entry, place)
        values = [Choice(word, _number(number, f"{place}.{word}")) for word, number in words.items()]
    if not values or len({choice.shown for choice in values}) < len(values):
        raise DataError(f"{place}: needs at least one value, and each once")
    return tuple(values)


def _listed(text: str) -> Choice:
    if not _DECIMAL.fullmatch(text):
        return Choice(text, None)
    return Choice(decimal_text(Fraction(text)), Fraction(text))


def decimal_text(number: Fraction, decimals: int | None = None) -> str:
    """The shortest exact decimal, or one with `decimals` decimal places, halves rounded away from 0.

    Raises ExpressionError for a number without an exact decimal of at most `MAX_DECIMALS` digits.
    """
    if decimals is None:
        decimals = next((d for d in range(MAX_DECIMALS + 1) if (10**d) % number.denominator == 0), None)
    if decimals is None:
        raise ExpressionError(
            f"{number} has no exact decimal: round it, or set format: fraction or {{decimals: 2}}"
        )
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
            raise DataError(f"{place}.decimals: must be 0 to {MAX_DECIMALS}, and only with as: decimal")
    unit = _text(fields["unit"], f"{place}.unit") if "unit" in fields else None
    return AnswerFormat(kind, None if decimals is None else int(decimals), unit)


def _solution(entry: Any, place: str) -> str | None:
    if entry is None:
        return None
    solution = _text(entry, place).strip()
    if solution.split("\n")[-1] not in ("#{answer}", "#### {answer}"):
        raise DataError(f"{place}: its last line must be exactly #{{answer}} or #### {{answer}}")
    return solution


def _columns(entry: Any, place: str) -> dict[str, str | int]:
    columns: dict[str, str | int] = {}
    for name, value in _mapping(entry, place).items():
        if name == "template":
            raise DataError(f"{place}: 'template' is reserved for the template's id: choose another name")
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
        raise DataError(f"{place}.id: {identity!r} is not one of the {len(own)} problems in `problems`")
    given = _fields(fields["values"], f"{place}.values", tuple(variables), needed=tuple(variables))
    values = {}
    for name, choices in variables.items():
        shown = _listed(_text(given[name], f"{place}.values.{name}")).shown
        value = next((choice for choice in choices if choice.shown == shown), None)
        if value is None:
            raise DataError(f"{place}.values.{name}: {shown!r} is not one of the variable's values")
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
            f"{place}: {name!r} is not a valid name: use letters, digits and _, but no Python keyword, no "
            "function name and not 'answer'"
        )


def _number(entry: Any, place: str) -> Fraction:
    text = _text(entry, place)
    if not _DECIMAL.fullmatch(text):
        raise DataError(f"{place}: {text[:80]!r} is not a number such as 12 or 0.25")
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
