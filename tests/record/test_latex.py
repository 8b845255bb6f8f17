"""Text with LaTeX as HTML: what is converted, what is shown as it is, and that nothing else gets out."""

from __future__ import annotations

import html
import time
from itertools import pairwise
from string import ascii_lowercase, printable
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.record.latex import MAX_DEPTH, MAX_LENGTH, MAX_TOTAL, to_html

HARMLESS = {
    "display", "displaystyle", "scriptlevel", "mathvariant", "stretchy", "fence", "form", "separator",
    "symmetric", "largeop", "movablelimits", "accent", "accentunder", "columnalign", "columnlines",
    "rowlines", "rowspan", "columnspan", "width", "height", "depth", "lspace", "rspace", "voffset",
    "minsize", "maxsize", "linethickness", "columnspacing", "rowspacing", "class",
}  # fmt: skip


def _elements(out: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(f"<p>{out}</p>").iter())[1:]


def _tags(out: str) -> set[str]:
    return {element.tag for element in _elements(out)}


@pytest.mark.parametrize("source", ["$x^2$", r"\(x^2\)", "$$x^2$$", r"\[x^2\]"])
def test_every_delimiter_opens_a_formula(source: str) -> None:
    out = to_html(f"so {source}.")
    assert out.startswith("so <math ")
    assert out.endswith("</math>.")
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in out
    assert ('display="block"' in out) == (source[:2] in ("$$", r"\["))


@pytest.mark.parametrize(
    "text",
    [
        "it costs $5 and $6",
        "from $20$30 up",
        "$ x$ and $x $",
        "$a\n\nb$",
        "$$ $$",
        r"\$x\$",
        r"\\(x\\)",
        r"\(never closed",
        "$",
        "",
        "a < b & \"c\"\nd 'e'",
    ],
)
def test_what_is_no_formula_is_text(text: str) -> None:
    assert to_html(text) == html.escape(text)


def test_a_price_before_a_formula_does_not_open_it() -> None:
    assert to_html("$5 less: $x$").startswith("$5 less: <math")
    assert to_html(r"$5 less: \(x\)").startswith("$5 less: <math")


def test_a_row_end_does_not_open_a_formula() -> None:
    out = to_html(r"\[\begin{matrix}a\\[2pt]b\end{matrix}\] end")
    assert out.endswith("</math> end")
    assert "mtable" in _tags(out)


def test_a_boxed_answer_has_a_class_for_its_frame() -> None:
    assert '<mrow class="boxed"><mrow><mn>24</mn></mrow></mrow>' in to_html(r"$\boxed{24}$")


@pytest.mark.parametrize(
    "source",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\style{position:fixed}{x}",
        r"\class{secret}{x}",
        r"\def\a{x}\a",
        r"\newcommand{\a}{xx}\a",
        r"\renewcommand{\a}{xx}\a",
        r"\frac{1}{",
        r"\right)",
        "x_1_2",
        "{" * (MAX_DEPTH + 1) + "x" + "}" * (MAX_DEPTH + 1),
        r"\sqrt" * (MAX_DEPTH + 1) + "x",
        "x" * (MAX_LENGTH + 1),
    ],
)
def test_a_formula_that_is_refused_is_shown_as_its_source(source: str) -> None:
    text = f"so \\({source}\\)."
    assert to_html(text) == html.escape(text)


def test_a_command_that_begins_like_a_refused_one_is_not() -> None:
    assert "mfrac" in _tags(to_html(r"$\left(\frac12\right)$"))


def test_formulas_up_to_the_limits_are_converted() -> None:
    assert to_html("$" + "x" * MAX_LENGTH + "$").startswith("<math")
    out = to_html("$xx$ " * MAX_TOTAL)
    assert out.count("<math") == MAX_TOTAL // 2
    assert out.endswith(" $xx$ ")


def test_text_in_a_formula_stays_text() -> None:
    out = to_html(r"$\text{<script>alert(1)</script>&lt;img src=x onerror=alert(1)&gt;}$")
    assert _tags(out) == {"math", "mrow", "mtext"}
    assert "&lt;script&gt;" in out
    assert "&lt;img" in out


def test_nothing_grows_out_of_its_place() -> None:
    out = to_html(r"$\hspace{900em}\hspace{2em}\raise{-99em}{x}\rule{50em}{50em}\color{red}{x}$")
    assert "900" not in out
    assert "99em" not in out
    assert "50em" not in out
    assert "red" not in out
    assert 'width="2em"' in out


# What doubles at every level would need ages, or gigabytes, at these sizes.
@pytest.mark.parametrize(
    "text",
    [
        r"$" + r"\sideset{_a}{_b}{" * 38 + "x" + "}" * 38 + "$",
        r"$\def\a{xx}" + "".join(rf"\def\{b}{{\{a}\{a}}}" for a, b in pairwise(ascii_lowercase)) + r"\z$",
        r"\(" * 300_000,
        "$" * 500_001,
        "$x$ " * 200_000,
        ("$" + "a" * 3000 + "$ ") * 200,
        "{" * 500_000,
    ],
    ids=["doubling", "macros", "opened", "dollars", "formulas", "long", "braces"],
)  # fmt: skip
def test_hostile_text_takes_no_long_time(text: str) -> None:
    start = time.process_time()
    out = to_html(text)
    assert time.process_time() - start < 5
    assert len(out) < 10 * len(text)


PIECES = st.sampled_from([
    r"\frac", r"\sqrt", r"\sideset", r"\href", r"\style", r"\class", r"\begin{matrix}", r"\end{matrix}",
    r"\begin{array}", r"\left", r"\right", "(", ")", "[", "]", "{", "}", "&", r"\\", "_", "^", "'",
    r"\text", r"\mathbb", r"\color", r"\hbox", r"\unicode", r"\skew", r"\genfrac", r"\over", r"\choose",
    r"\limits", r"\sum", r"\not", r"\rule", r"\verb|", "|", r"\operatorname{f}", r"\middle", r"\mathchoice",
    r"\def", r"\raise", r"\smash", r"\root", r"\of", r"\xrightarrow", r"\boxed", "1", ".5", "2em", "x", "<",
    ">", "&lt;", "%", "#", "<script>", "<img/src=x/onerror=alert(1)>", '"', "'", "$", "$$", r"\(", r"\)",
    r"\[", r"\]",
])  # fmt: skip


@settings(max_examples=300)
@given(st.lists(PIECES | st.text(printable[:95], max_size=3), max_size=40).map(" ".join))
def test_only_harmless_elements_and_attributes_come_out(inner: str) -> None:
    for text in (inner, f"\\({inner}\\)"):
        for element in _elements(to_html(text)):
            assert element.tag[0] == "m"
            assert element.tag not in ("maction", "mglyph", "menclose")
            assert set(element.attrib) <= HARMLESS
            assert element.get("class", "boxed") == "boxed"


@given(st.text(st.characters(exclude_characters="$\\")))
def test_text_without_formulas_is_escaped_and_no_more(text: str) -> None:
    assert to_html(text) == html.escape(text)
