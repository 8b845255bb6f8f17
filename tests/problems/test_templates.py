"""Templates: exact answers by a grammar that reaches nothing, proofs that hold, sides that never meet."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from pathlib import Path

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.problems import templates
from rlvr.problems.expressions import (
    ExpressionError,
    as_fraction,
    evaluate,
    evaluate_numerically,
    holds,
    parse_expression,
)
from rlvr.problems.files import from_file
from rlvr.problems.load import load_problems
from rlvr.problems.templates import from_templates
from rlvr.types import ConfigError, DataError

SHOP_FLOOR = Path(__file__).parents[2] / "experiments" / "shop_floor"
SHOP_TEMPLATES = str(SHOP_FLOOR / "templates.yaml")

BINS = {
    "id": "bins",
    "text": "bin {per} pcs, {bins} bins, used {used}, left?",
    "variables": {"per": {"from": 4, "to": 20}, "bins": [2, 3, 5], "used": {"from": 5, "to": 95, "step": 5}},
    "let": {"all": "per*bins"},
    "where": ["used < all"],
    "answer": "all-used",
    "solution": "{per}*{bins}={all}\n{all}-{used}={answer}\n#{answer}",
    "columns": {"subject": "stock", "level": 2},
    "like": {"id": "own-1", "values": {"per": 12, "bins": 5, "used": 35}},
}
OWN = [
    {"id": "own-1", "text": "bin 12 pcs, 5 bins, used 35, left?", "answer": "25"},
    {"id": "own-2", "text": "bin 4 pcs, 2 bins, used 5, left?", "answer": "3.0"},
]


@pytest.fixture
def write(tmp_path):
    """A file of BINS, changed (None takes a field out), and of other templates."""

    def written(*others, own=OWN, **changes):
        first = {name: value for name, value in {**BINS, **changes}.items() if value is not None}
        (tmp_path / "own.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in own))
        path = tmp_path / "templates.json"
        path.write_text(json.dumps({"problems": "own.jsonl", "templates": [first, *others]}))
        return str(path)

    return written


# The values of expressions


def number(value):
    return sympy.Rational(value.numerator, value.denominator)


SMALL = st.fractions(min_value=-50, max_value=50, max_denominator=40)


@st.composite
def expressions(draw, depth=3):
    """An expression in a and b, and what it is in Python's own fractions; None where that is nothing."""
    if depth == 0 or draw(st.booleans()):
        kind = draw(st.sampled_from(["a", "b", "number"]))
        if kind != "number":
            return kind, lambda a, b: a if kind == "a" else b
        digits = draw(st.sampled_from(["0", "1", "3", "0.1", "2.75", ".5", "12"]))
        return digits, lambda a, b: Fraction(digits)
    kind = draw(st.sampled_from(["+", "-", "*", "/", "**", "neg", *REFERENCE]))
    left, first = draw(expressions(depth=depth - 1))
    if kind == "**" and "**" in left:
        kind = "*"
    if kind == "neg":
        return f"-({left})", lambda a, b: -first(a, b)
    if kind == "**":
        power = draw(st.integers(0, 3))
        return f"({left})**{power}", lambda a, b: first(a, b) ** power
    if kind in REFERENCE and REFERENCE[kind][0] == 1:
        return f"{kind}({left})", lambda a, b: REFERENCE[kind][1](first(a, b))
    right, second = draw(expressions(depth=depth - 1))
    if kind in REFERENCE:
        return f"{kind}({left}, {right})", lambda a, b: REFERENCE[kind][1](first(a, b), second(a, b))
    return f"({left}) {kind} ({right})", lambda a, b: OPERATORS[kind](first(a, b), second(a, b))


def half_away_from_zero(value, digits=0):
    scaled = abs(value) * 10**digits
    whole = int(scaled) + (1 if scaled - int(scaled) >= Fraction(1, 2) else 0)
    return Fraction(whole if value > 0 else -whole, 10**digits)


OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}
REFERENCE = {
    "round": (1, half_away_from_zero),
    "floor": (1, lambda a: Fraction(math.floor(a))),
    "ceil": (1, lambda a: Fraction(math.ceil(a))),
    "abs": (1, abs),
    "min": (2, min),
    "max": (2, max),
    "mod": (2, lambda a, b: a % b),
}


@settings(max_examples=300)
@given(expressions(), SMALL, SMALL)
def test_values_are_those_of_fractions_by_both_ways(expression, a, b):
    text, reference = expression
    try:
        expected = reference(a, b)
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="divides by 0"):
            evaluate(parse_expression(text, ["a", "b"]), {"a": number(a), "b": number(b)})
        return
    parsed, values = parse_expression(text, ["a", "b"]), {"a": number(a), "b": number(b)}
    assert as_fraction(evaluate(parsed, values)) == expected
    assert abs(evaluate_numerically(parsed, values) - number(expected)) <= abs(expected) / 10**25


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1 + 0.2", Fraction(3, 10)),
        ("round(2.5)", 3),
        ("round(-2.5)", -3),
        ("round(2/3, 2)", Fraction(67, 100)),
        ("mod(-1, 5)", 4),
        ("sqrt(9/4)", Fraction(3, 2)),
        ("sqrt(2)*sqrt(2)", 2),
        ("floor(1000*sqrt(2))", 1414),
        ("2**-3", Fraction(1, 8)),
        ("-3**2", -9),
        ("1.1**12", Fraction(11, 10) ** 12),
    ],
)
def test_values(text, value):
    assert as_fraction(evaluate(parse_expression(text, []), {})) == value


@settings(max_examples=100)
@given(SMALL, SMALL, SMALL)
def test_conditions_chain_as_in_mathematics(a, b, c):
    values = {"a": number(a), "b": number(b), "c": number(c)}
    for text, expected in (
        ("a < b <= c", a < b <= c),
        ("a == b", a == b),
        ("a != b", a != b),
        ("a >= b > c", a >= b > c),
        ("a*a >= 0", True),
    ):
        assert holds(parse_expression(text, "abc", condition=True), values) is expected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch caught')",
        "open('caught', 'w')",
        "eval('1')",
        "a.numerator",
        "a.__class__.__mro__",
        "(a)(a)",
        "a[0]",
        "[a for a in (1,)]",
        "(lambda: a)()",
        "(x := a)",
        "a if a else a",
        "f'{a}'",
        "'a'*9",
        "1e9",
        "0x10",
        "1_000",
        "2j",
        "True",
        "a // 1",
        "a % 2",
        "a ^ 2",
        "~a",
        "a and a",
        "max(*a, a)",
        "round(a, ndigits=1)",
        "abs",
        "print(a)",
        "await a",
        "a; a",
        "a = 1",
        "",
        "a\x00",
        "\ud800",
        "abs(" * 40 + "a" + ")" * 40,
        "-" * 250 + "a",
        "a+" * 200 + "a",
    ],
)
def test_nothing_but_arithmetic_is_let_through(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExpressionError):
        parse_expression(text, ["a"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "9**999999999",
        "9**9**9",
        "(9**9)**(9**9)",
        "a**(10**9)",
        "(1+sqrt(2))**999999",
        "*".join(["9" * 90] * 4),
        "1/0",
        "1/(sqrt(2)+sqrt(3)-sqrt(5+2*sqrt(6)))",  # a hidden 0
        "sqrt(0-1)",
        "2**0.5",
        "0**-1",
    ],
)
def test_what_would_hang_or_has_no_value_is_refused(text):
    with pytest.raises(ExpressionError):
        evaluate(parse_expression(text, ["a"]), {"a": sympy.Integer(7)})


# As a source of problems


@settings(max_examples=5)
@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_sides_never_meet_nor_the_users_own_whatever_the_seeds(train_seed, heldout_seed):
    train = from_templates(SHOP_TEMPLATES, 60, "train", train_seed)
    heldout = from_templates(SHOP_TEMPLATES, 25, "heldout", heldout_seed)
    own = from_file(str(SHOP_FLOOR / "problems.jsonl"))
    texts = [{p.text for p in problems} for problems in (train, heldout, own)]
    assert not texts[0] & texts[1]
    assert not texts[2] & (texts[0] | texts[1])
    assert not {p.id for p in train} & {p.id for p in heldout}
    assert [len(one) for one in texts] == [60, 25, 100]


def test_larger_only_adds_and_ids_do_not_depend_on_the_seed(write):
    path = write(second())
    whole = from_templates(path, 120, "all", seed=3)
    for n in (1, 2, 57, 119):
        assert from_templates(path, n, "all", seed=3) == whole[:n]
    other = {p.id: p for p in from_templates(path, 120, "all", seed=4)}
    common = [p for p in whole if p.id in other]
    assert len(common) > 3
    assert all(other[p.id] == p for p in common)
    assert [*other] != [p.id for p in whole]


def second(**changes):
    template = {**BINS, "id": "second", "text": "{per} by {bins} less {used}?", **changes}
    return {name: value for name, value in template.items() if name != "like" and value is not None}


def test_templates_take_turns_and_a_small_one_drops_out(write):
    small = second(variables={"per": [30, 40], "bins": [2], "used": [1, 2]})
    found = from_templates(write(small), 20, "all")
    turns = [problem.columns["template"] for problem in found]
    assert turns == ["bins", "second"] * 4 + ["bins"] * 12
    assert {p.text for p in found if p.columns["template"] == "second"} == {
        f"{per} by 2 less {used}?" for per in (30, 40) for used in (1, 2)
    }


def test_two_sides_make_up_the_whole_which_is_counted_when_it_is_too_little(write):
    # of 7·3·6 choices, those with used < per·bins count, less the two of the user
    size = sum(u < p * b for p in range(4, 17, 2) for b in (2, 3, 5) for u in range(5, 36, 6)) - 2
    variables = {"per": {"from": 4, "to": 16, "step": 2}, "used": {"from": 5, "to": 35, "step": 6}}
    path = write(variables={**BINS["variables"], **variables})
    counts = {}
    for split in ("train", "heldout", "all"):
        with pytest.raises(DataError, match=rf"problems in split {split}, but 5000 were asked for") as error:
            from_templates(path, 5000, split)
        counts[split] = int(re.search(r"have (\d+) problems", str(error.value)).group(1))
    assert counts["all"] == size == counts["train"] + counts["heldout"]
    assert 0.1 < counts["heldout"] / size < 0.35


def test_a_problem_has_its_columns_and_its_template(write):
    [problem] = from_templates(write(), 1)
    assert problem.columns == {"subject": "stock", "level": 2, "template": "bins"}
    assert re.fullmatch(r"bins-\d+", problem.id)


def test_one_text_comes_once_and_never_with_two_answers(write):
    twin = {**second(), "text": BINS["text"]}
    found = from_templates(write(twin), 300, "all")
    assert len({p.text for p in found}) == 300
    with pytest.raises(
        DataError, match=r"template '\w+'.*has the answer '\d+', but problem.*has the same text"
    ):
        from_templates(write(twin | {"answer": "all-used+1", "solution": "#{answer}"}), 900, "all")


def test_a_wrong_answer_in_the_users_own_file_is_found(write):
    own = [*OWN, {"id": "own-3", "text": "bin 20 pcs, 3 bins, used 10, left?", "answer": "49"}]
    with pytest.raises(DataError, match="has the answer '50', but problem 'own-3' has the same text"):
        from_templates(write(own=own), 600, "all")


def test_a_source_of_a_configuration(write):
    source = {"_target_": "rlvr.problems.templates.from_templates", "path": write(), "n": 5}
    assert load_problems("problems.train", source) == from_templates(write(), 5, "train", 0)


# Formats and words


@pytest.mark.parametrize(
    ("format", "answer", "expected"),
    [
        (None, "per/8", {"0.5", "0.75", "1.125"}),
        ("decimal", "per/8", {"0.5", "0.75", "1.125"}),
        ("fraction", "per/8", {"1/2", "3/4", "9/8"}),
        ("fraction", "per/3", {"4/3", "2", "3"}),
        ({"decimals": 2}, "per/8", {"0.50", "0.75", "1.13"}),
        ({"decimals": 1}, "0-per/8", {"-0.5", "-0.8", "-1.1"}),
        ({"decimals": 0}, "(per-6)/10", {"0"}),
        ("integer", "per*2", {"8", "12", "18"}),
        ({"unit": "mm"}, "per/4", {"1 mm", "1.5 mm", "2.25 mm"}),
        ({"as": "fraction", "unit": "in"}, "per/8", {"1/2 in", "3/4 in", "9/8 in"}),
    ],
)
def test_formats(write, format, answer, expected):
    path = write(
        text="{per}?", variables={"per": [4, 6, 9]}, let=None, where=None, answer=answer, format=format,
        solution="#{answer}", like=None,
    )  # fmt: skip
    found = from_templates(path, 3, "all")
    assert {problem.answer for problem in found} == expected
    assert all(p.solution == f"#{p.answer}" for p in found)


def test_words_stand_for_numbers_or_for_themselves(write):
    path = write(
        text="{who} has {metal} of {size}, mass?",
        variables={"who": ["no", "Yes"], "metal": {"steel": 7.8, "1/2 brass": 8.5}, "size": [0.10]},
        let={"density": "metal"},
        where=None,
        answer="density*size",
        solution="{size}*{density}={answer}\n#{answer}",
        like=None,
    )
    found = {problem.text: problem.solution for problem in from_templates(path, 4, "all")}
    assert found == {
        f"{who} has {metal} of 0.1, mass?": f"0.1*{d}={a}\n#{a}"
        for who in ("no", "Yes")
        for metal, d, a in (("steel", "7.8", "0.78"), ("1/2 brass", "8.5", "0.85"))
    }


def test_steps_of_a_range_are_exact(write):
    path = write(
        text="{x}?", variables={"x": {"from": -0.3, "to": 0.3, "step": 0.1}}, let=None, where=None,
        answer="x*10", solution=None, like=None,
    )  # fmt: skip
    found = {problem.text: problem.answer for problem in from_templates(path, 7, "all")}
    assert found == {f"{n / 10 or 0:g}?": str(n) for n in range(-3, 4)}


def test_braces_and_a_given_total(write):
    path = write(text="{{{all}}} in {bins} bins less {used}, per {per}?", like=None)
    assert re.fullmatch(r"\{\d+\} in \d bins less \d+, per \d+\?", from_templates(path, 1)[0].text)


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answr": "1"}, "template 1: no field 'answr'; .* did you mean 'answer'"),
        ({"answer": None}, "template 1: the field 'answer' is missing"),
        ({"id": "a b"}, "id may contain only letters"),
        ({"text": "{per} {bins} {used} {usd}"}, "text: no name 'usd'; .* did you mean 'used'"),
        ({"text": "{per} {bins}"}, "the text does not depend on 'used'"),
        ({"text": "{per:d} {bins} {used}"}, "text: braces may contain only a name"),
        ({"text": "{per"}, "text: .* write {{ and }}"),
        ({"text": " "}, "text: must be a text"),
        ({"answer": "all-usd"}, "answer: no name 'usd'; .* did you mean 'used'"),
        ({"answer": "per.real"}, "answer: 'per.real' is not allowed"),
        ({"answer": "(per"}, "answer: .* a comma ends the text: put quotes"),
        ({"where": ["used + all"]}, "where: 'used \\+ all' is not a comparison"),
        ({"where": "used < all"}, "where: must be a list"),
        ({"where": ["all < 0"]}, "where: no combination of values meets it|its values do not meet"),
        ({"let": {"all": "per*bins", "half": "all/2"}}, "let.half is not used"),
        ({"let": {"per": "bins"}}, "let.per: a variable has this name"),
        ({"let": {"in": "bins"}}, "let.in: 'in' is not a valid name"),
        ({"let": {"max": "bins"}}, "let.max: 'max' is not a valid name"),
        ({"let": {"all": "left", "left": "per"}}, "let.all: no name 'left'"),
        ({"variables": {}}, "variables: must name at least one"),
        ({"variables": {"per": 3}}, "variables.per: must be a mapping"),
        ({"variables": {"per": []}}, "variables.per: needs at least one value"),
        ({"variables": {"per": [1, "1.0"]}}, "variables.per: needs at least one value, and each once"),
        ({"variables": {"per": [1, "steel"]}}, "variables.per: numbers and words"),
        ({"variables": {"per": {"from": 1}}}, "variables.per: the field 'to' is missing"),
        ({"variables": {"per": {"from": 1, "to": 2, "by": 1}}}, "variables.per: no field 'by'"),
        (
            {"variables": {"per": {"from": 1, "to": 2, "step": 0}}},
            "variables.per: needs from ≤ to and step > 0",
        ),
        ({"variables": {"per": {"from": 1, "to": "1/2"}}}, "variables.per.to: '1/2' is not a number"),
        ({"variables": {"per": {"from": 0, "to": 1, "step": "0.0000001"}}}, "variables.per: 10000001 values"),
        ({"variables": {"per": {"a": "b"}}}, "variables.per.a: 'b' is not a number"),
        ({"variables": {c: {"from": 1, "to": 9000} for c in "pqrs"}}, "variables: more than .* combinations"),
        ({"format": "decimals"}, "format: no format 'decimals'; .* did you mean 'decimal'"),
        ({"format": {"decimals": 1.5}}, "format.decimals: must be 0 to 20"),
        ({"format": {"as": "integer", "decimals": 2}}, "format.decimals: .* only with as: decimal"),
        ({"solution": "{answer}"}, "solution: its last line must be exactly #{answer} or #### {answer}"),
        ({"solution": "## {answer}"}, "solution: its last line must be exactly #{answer} or #### {answer}"),
        ({"solution": "{usd}\n#{answer}"}, "solution: no name 'usd'"),
        ({"solution": "{per}+{bins}={all}\n#{answer}"}, "solution: with per=.*'12\\+5=60' does not hold"),
        ({"columns": {"template": "x"}}, "columns: 'template' is reserved for the template's id"),
        ({"columns": {"subject": ["x"]}}, "columns.subject: must be a text"),
        ({"like": {"id": "own-9", "values": {}}}, "like.id: 'own-9' is not one of the 2 problems"),
        ({"like": {"id": "own-1", "values": {"per": 12}}}, "like.values: the field 'bins' is missing"),
        (
            {"like": {"id": "own-1", "values": {"per": 99, "bins": 5, "used": 35}}},
            "like.values.per: '99' is not one",
        ),
        (
            {"like": {"id": "own-2", "values": {"per": 12, "bins": 5, "used": 35}}},
            "problem 'own-2' has the text",
        ),
        (
            {"answer": "all-used+1", "solution": None},
            "problem 'own-1' has the answer '25', but the template makes",
        ),
        ({"answer": "(all-used)/7"}, "format: with per=12, .* has no exact decimal"),
        ({"answer": "(all-used)/2", "format": "integer"}, "format: .*the answer 25/2 is not whole"),
        ({"answer": "sqrt(all)"}, "format: .* irrational: round it"),
        ({"answer": "all/(used-35)"}, "answer: with per=12, bins=5, used=35: it divides by 0"),
        ({"answer": "9**(10**used)"}, "answer: '9\\*\\*\\(10\\*\\*used\\)' has a nested power"),
        ({"answer": "all**(9*used)"}, "answer: with .* a power in it has"),
    ],
)
def test_errors_name_the_template_and_the_field(write, changes, message):
    with pytest.raises(DataError, match=message) as error:
        from_templates(write(**changes), 5)
    assert re.search(r"templates\.json: template (?:1|'bins'|'a b')", str(error.value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("templates: [", "cannot be read as YAML"),
        ("templates: []\ntemplates: []", "'templates' is repeated"),
        ("templates: &t [*t]", "cannot be read as YAML"),
        ("- 1", "must be a mapping"),
        ("problem: x", "no field 'problem'; there are: problems, templates; did you mean 'problems'?"),
        ("problems: x.jsonl", "the field 'templates' is missing"),
        ("templates: []", "at least one template"),
        ("problems: no.jsonl\ntemplates: []", "no.jsonl: no such file"),
        ("templates: !!python/object/apply:os.getcwd []", "at least one template"),
        ("[" * 500, "cannot be read as YAML"),
    ],
)
def test_errors_in_the_file(tmp_path, text, message):
    path = tmp_path / "templates.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        from_templates(str(path), 1)
    assert message in str(error.value)
    assert "templates.yaml" in str(error.value) or "no.jsonl" in str(error.value)


def test_other_errors(write, tmp_path):
    with pytest.raises(ConfigError, match=r"no split 'trian'; .* did you mean 'train'"):
        from_templates(write(), 5, "trian")
    with pytest.raises(ConfigError, match="n is 0, but must be ≥ 1"):
        from_templates(write(), 0)
    with pytest.raises(DataError, match=r"nowhere.yaml: no such file"):
        from_templates(str(tmp_path / "nowhere.yaml"), 5)
    with pytest.raises(DataError, match="template 'bins': another template has this id"):
        from_templates(write(second(id="bins")), 5)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"binary.yaml: cannot be read as YAML"):
        from_templates(str(binary), 5)


def test_conditions_that_hardly_any_choice_meets_do_not_search_forever(write, monkeypatch):
    monkeypatch.setattr(templates, "MAX_MISSES", 50)
    path = write(
        text="{a} {b}", variables={c: {"from": 1, "to": 900} for c in "ab"}, let=None, where=["a*b == 7.5"],
        answer="a", solution=None, like=None,
    )  # fmt: skip
    with pytest.raises(DataError, match="where: 50 combinations of values in a row do not meet it"):
        from_templates(path, 5)


def test_conditions_on_variables_keep_a_division_from_zero(write):
    path = write(
        text="{a}/{b}?", variables={"a": [6], "b": [0, 1, 2]}, let={"c": "a/b"}, where=["c > 3", "b > 0"],
        answer="c", solution=None, like=None,
    )  # fmt: skip
    assert [p.text for p in from_templates(path, 1, "all")] == ["6/1?"]


def test_two_evaluations_that_differ_are_an_error(write, monkeypatch):
    monkeypatch.setattr(templates, "evaluate_numerically", lambda expression, numbers: sympy.Float("59.99"))
    with pytest.raises(DataError, match=r"let.all: with .* is 60 step by step, but 59.99.* as one formula"):
        from_templates(write(), 5)
