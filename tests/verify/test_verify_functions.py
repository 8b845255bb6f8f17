"""Two expressions are the same function everywhere, not only where it is easy to look; no pair takes long."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

import rlvr
from rlvr.types import Status
from rlvr.verify.check import check_answer, equal_answers
from rlvr.verify.settings import VerifySettings

CASES = r"\begin{cases} x & x\ge 0\\ -x & x<0\end{cases}"
STEP = r"f(x)=\begin{cases} 1 & \text{if } x\ge 0\\ 0 & \text{if } x<0\end{cases}"

SAME = {
    "pieces": [
        ("x^2", r"\sqrt{x^4}"), ("|x|", r"\sqrt{x^2}"), ("|x|", r"\max(x,-x)"),
        ("|x|", r"x\operatorname{sgn}(x)"),
        (r"\max(x,y)", r"\frac{x+y+|x-y|}{2}"), (r"\min(x,y)", r"\frac{x+y-|x-y|}{2}"),
        ("|x-1000|", "|1000-x|"),
        (r"\max(x-50,0)", r"\frac{x-50+|x-50|}{2}"), (r"|x^2-1|", r"\max(x^2-1,1-x^2)"),
    ],
    "inverse functions": [
        ("x", r"\ln(e^x)"), ("x", r"\sin(\arcsin x)"), (r"\frac{\pi}{2}-\arcsin x", r"\arccos x"),
        (r"\arctan(\tan(x+\pi))", r"\arctan(\tan x)"), (r"\arcsin(\sin 2x)", r"\arcsin(2\sin x\cos x)"),
    ],
    "domains": [
        ("1", "x/x"), ("x", r"\sqrt{x}^2"), (r"\sqrt{x-1}\sqrt{x+1}", r"\sqrt{x^2-1}"),
        (r"\ln\frac{x}{y}", r"\ln x-\ln y"), (r"2\ln|x|", r"\ln x^2"), (r"\frac{x^2-1}{x-1}", "x+1"),
    ],
    "whole numbers": [
        (r"\gcd(m,n)\operatorname{lcm}(m,n)", "mn"), (r"\gcd(m,n)", r"\gcd(m+n,n)"),
        (r"\gcd(12,18n)", r"6\gcd(2,3n)"),
        (r"\frac{1-(-1)^n}{2}", r"n \bmod 2"), (r"\lfloor n/2\rfloor", r"\frac{2n-1+(-1)^n}{4}"),
        (r"\frac{n(n+1)}{2}", r"\sum_{k=1}^{n} k"), ("(1+x)^n", r"\sum_{k=0}^n \binom{n}{k} x^k"),
        ("n!", r"\prod_{k=1}^n k"), (r"\binom{n}{k}", r"\frac{n!}{k!(n-k)!}"), ("(-1)^{a+2}", "(-1)^a"),
        (r"\lfloor \frac{n+999}{1000} \rfloor", r"\lceil n/1000 \rceil"),
    ],
    "vectors": [
        (r"\vec{a}\times\vec{b}", r"-\vec{b}\times\vec{a}"), (r"\vec a\cdot\vec b", r"\vec b\cdot\vec a"),
        (r"\vec a\times(\vec b\times\vec c)", r"(\vec a\cdot\vec c)\vec b-(\vec a\cdot\vec b)\vec c"),
        (r"(\vec a+\vec b)\times\vec b", r"\vec a\times\vec b"), (r"\vec{a}\times\vec{a}", "0"),
        (r"\hat{k}", r"\hat{i}\times\hat{j}"),
        (r"|\vec a+\vec b|^2", r"|\vec a|^2+2\vec a\cdot\vec b+|\vec b|^2"),
        ("ab", r"b\times a"), ("b⃗×a⃗", r"-\vec a\times\vec b"),
    ],
    "cases": [
        (CASES, r"\begin{cases} -x & x<0\\ x & x\ge 0\end{cases}"), (CASES, "|x|"),
        (CASES, r"\begin{cases} x & x>0\\ -x & x\le 0\end{cases}"),
        (CASES, r"\begin{cases} -x, & \text{if } x<0\\ x, & \text{otherwise}\end{cases}"),
        (CASES, r"\left\{\begin{array}{ll} x, & x \geq 0 \\ -x, & x < 0 \end{array}\right."),
        (STEP, r"f(x)=\begin{cases} 0, & x<0\\ 1, & 0\le x\end{cases}"),
        (r"\begin{cases} n/2 & n\text{ even}\\ 3n+1 & n\text{ odd}\end{cases}",
         r"\begin{cases} 3n+1 & n\equiv 1\pmod 2\\ n/2 & n\equiv 0\pmod 2\end{cases}"),
        (r"\begin{cases} 1 & |x|<2\\ 0 & \text{else}\end{cases}",
         r"\begin{cases} 1 & x\in(-2,2)\\ 0 & x\le -2 \text{ or } x\ge 2\end{cases}"),
    ],
    "forms": [
        (r"\int |x+1000|\,dx", r"\int \sqrt{(x+1000)^2}\,dx"),
        (r"\sum_{k=1}^{\infty} \frac{1}{k^2}", r"\sum_{n=1}^{\infty} n^{-2}"),
        (r"\int_0^1 (x+1)^2\,dx", r"\int_0^1 (1+2u+u^2)\,du"),
    ],
}  # fmt: skip
DIFFERENT = {
    "pieces": [
        ("x+50", "|x+50|"), ("x-12345", "|x-12345|"), ("x", r"\max(x,-1000)"), ("x", r"\min(x,10^6)"),
        ("x", r"\min(x,3\cdot 10^{13})"), ("x", r"\sqrt{x^2}"), ("x", "(x^2)^{1/2}"), ("x", "(x^2)^{0.5}"),
        ("0", r"\max(0,x-12345)"), ("0", r"\max(0,\min(x-100,y-100))"), ("5", r"\max(5,x-10^9)"),
        ("1", r"\operatorname{sgn}(x)"), ("1", r"\operatorname{sgn}(x+50)"), ("|x|+|y|", "|x+y|"),
        (r"x\sqrt{x+1}", r"\sqrt{x^3+x^2}"), (r"x\sqrt{x^2-1}", r"\sqrt{x^4-x^2}"),
        ("x^2-2000x+999999.999", "|x^2-2000x+999999.999|"), ("x", r"\max(x,e^x/10^{400})"),
        ("|x+50|=3", "x+50=3"), ("|x+50|<3", "x+50<3"), ("x+50>3", "|x+50|>3"),
    ],
    "inverse functions": [
        ("x", r"\arctan(\tan x)"), ("x", r"\arcsin(\sin x)"), ("x", r"\arccos(\cos x)"),
        ("x/1000", r"\arctan(\tan(x/1000))"),
        (r"\arctan x+\arctan y", r"\arctan\frac{x+y}{1-xy}"), (r"\frac{\pi}{2}", r"\arctan x+\arctan\frac1x"),
    ],
    "rounding": [
        ("0", r"\lfloor x/1000 \rfloor"), ("0", r"\lfloor n/1000 \rfloor"),
        ("x", r"x+\lfloor 10^{-6}x \rfloor"),
        (r"\lfloor x\rfloor", r"\lceil x-1 \rceil"), ("n", r"n \bmod 1000"), ("n", r"n \bmod 10^6"),
        ("0", r"n \bmod 2"),
    ],
    "whole numbers": [
        ("1", r"\gcd(n,6)"), ("1", r"\gcd(n,97)"), ("1", r"\gcd(n,10007)"),
        ("mn", r"\operatorname{lcm}(m,n)"),
        (r"\gcd(a,b)", "1"), (r"\operatorname{lcm}(a,b)", "ab"), ("1", "(-1)^n"), ("1", "(-1)^a"),
        ("1", r"\cos(2\pi n/1000)"), ("n!", r"\prod_{k=2}^{n} (k+1)"),
        (r"\frac{n(n+1)}{2}", r"\sum_{k=1}^{n+1} k"),
    ],
    "vectors": [
        (r"\vec{a}\times\vec{b}", r"\vec{b}\times\vec{a}"), ("a⃗×b⃗", "b⃗×a⃗"),
        (r"|\vec a||\vec b|", r"|\vec a\cdot\vec b|"),
        (r"(\vec a\cdot\vec b)\vec c", r"\vec a(\vec b\cdot\vec c)"), (r"\hat{k}", r"\hat{j}\times\hat{i}"),
        (r"(\vec a\times\vec b)\times\vec c", r"\vec a\times(\vec b\times\vec c)"),
        (r"\overrightarrow{AB}\times\vec{c}", r"\vec c\times\overrightarrow{AB}"),
    ],
    "cases": [
        (CASES, r"\begin{cases} x & x>0\\ x & x\le 0\end{cases}"),
        (CASES, r"\begin{cases} x & x\ge 1\\ -x & x<1\end{cases}"),
        (CASES, "x"), (CASES, r"\begin{cases} x & x\ge 0\end{cases}"),
        (STEP, r"f(x)=\begin{cases} 1 & \text{if } x> 0\\ 0 & \text{if } x\le 0\end{cases}"),
        (STEP, r"f(x)=\begin{cases} 0 & \text{if } x\ge 0\\ 1 & \text{if } x<0\end{cases}"),
        (r"\begin{cases} 1 & x>10^6\\ 0 & \text{otherwise}\end{cases}", "0"),
        (r"\begin{cases} 0 & n \text{ even}\\ 1 & \text{otherwise}\end{cases}",
        r"\begin{cases} 1 & n \text{ even}\\ 0 & \text{otherwise}\end{cases}"),
    ],
    "forms": [
        (r"\int x\,dx", r"\int |x|\,dx"), (r"\int (x+1000)\,dx", r"\int |x+1000|\,dx"),
        (r"\sum_{k=1}^{\infty} \frac{1}{k^2}", r"\sum_{k=1}^{\infty} \frac{1}{k^3}"),
        (r"\int_0^1 f(x)\,dx", r"\int_0^2 f(x)\,dx"),
    ],
    "signs and brackets": [
        ("O^{2}", "O^{2-}"), ("O^{2-}", "O^{2}"), ("O^{2+}", "O^{2-}"), ("(1,2)", "2:4"), ("8,12", "8:12"),
        ("1.2.3.4", "12.3.4"),
    ],
    "few real values": [("1", r"1+\sqrt{-x^2}"), (r"\ln x", r"\ln(-x)"),
    ("x", r"x+\sqrt{10^{-9}-x^2}-\sqrt{10^{-9}-y^2}")],
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_one_function_in_two_forms(kind: str) -> None:
    for gold, answer in SAME[kind]:
        assert equal_answers(answer, gold).equal, (gold, answer)
        assert equal_answers(gold, answer).equal, (answer, gold)


@pytest.mark.parametrize("kind", DIFFERENT)
def test_functions_that_differ_somewhere(kind: str) -> None:
    for gold, answer in DIFFERENT[kind]:
        assert not equal_answers(answer, gold).equal, (gold, answer)


@pytest.mark.parametrize(
    ("word", "value"), [(r"\operatorname{gcd}(50x, 125)", "25"), (r"\operatorname{lcm}(50x, 125)", "250x")]
)
def test_indeterminates_share_no_factor_with_a_number(word: str, value: str) -> None:
    """As in computer algebra, where no name is usual for whole numbers and the reference has no such fu
    nction."""
    assert equal_answers(word, value).equal


def gadget(draw: random.Random) -> str:
    """Nothing near zero, but something beyond a switch that may lie far away."""
    size = draw.choice([0.25, 7, 50, 123, 4_321, 654_321, 987_654_321])
    slope = draw.choice(["", "3", "0.01", "1000"])
    argument = f"{slope}x{draw.choice('+-')}{size}"
    return draw.choice([
        rf"\max(0,{argument})", rf"\min(0,{argument})", rf"|{argument}|-({argument})",
        rf"|{argument}|+{argument}",
        rf"\sqrt{{({argument})^2}}-({argument})", rf"\lceil {argument} \rceil-({argument})",
        rf"\arctan(\tan({argument}))-({argument})", rf"\arcsin(\sin({argument}))-({argument})",
        rf"\operatorname{{sgn}}({argument})-1", rf"\frac{{|{argument}|}}{{{argument}}}+1",
        rf"\sqrt[4]{{({argument})^4}}+({argument})", rf"||{argument}|-{size}|-|{argument}|+{size}",
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_nothing_hides_beyond_a_switch(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(8):
        gold = draw.choice(["x", "x^2+1", r"\sin x", r"\frac{x}{x+1}", "3x-2", "xy", r"\sqrt{x^2+y^2}"])
        hidden = gadget(draw)
        assert not equal_answers(f"{gold}+{hidden}", gold).equal, (gold, hidden)
        assert equal_answers(f"{hidden}+{gold}", f"{gold}+{hidden}").equal, (gold, hidden)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\frac{\sqrt3}{2}", r"\sin 60^\circ"), (r"\frac{\sqrt3}{2}", r"\cos\frac{\pi}{6}"),
        (r"\frac{\pi}{4}", r"\arctan 1"),
        (r"\frac{x\sqrt3}{2}", r"x\sin 60^\circ"), (r"\sqrt2", "|1+i|"), (r"3x", r"\lfloor 3.5 \rfloor x"),
        (r"(\frac{\sqrt3}{2}, 1)", r"(\sin 60^\circ, 1)"),
        (r"\{\sqrt2,\sqrt3\}", r"\{\sqrt2,\tan 60^\circ\}"),
        (r"x=\sqrt3", r"x=\tan 60^\circ"), ("ab", r"\operatorname{lcm}(a,b)"),
        (r"\pi", r"\int_0^{\pi} 1\,dx"),
        ("2x", r"\log_2 4 \cdot x"), (r"\frac{n(n+1)}{2}", r"\sum_{k=1}^n k"),
        (r"\sqrt{2}", r"\max(1,\sqrt2)"),
        ("7", "3+4"), ("42", "84/2"),
    ],
)  # fmt: skip
def test_an_operation_that_was_not_carried_out_earns_nothing(gold: str, answer: str) -> None:
    evaluated = VerifySettings(evaluated=True)
    assert check_answer(rf"\boxed{{{answer}}}", gold, settings=evaluated).status is Status.WRONG
    assert check_answer(rf"\boxed{{{gold}}}", gold, settings=evaluated).status is Status.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\ln 8", r"3\ln 2"), (r"\log_2 3", r"\frac{\ln 3}{\ln 2}"), (r"\frac{\sqrt3}{2}", r"\sqrt{3/4}"),
        (r"\sin x", r"\cos(x-\frac{\pi}{2})"),
        (r"2\sqrt3", r"\sqrt{12}"), ("e^2", r"\exp(2)"), (r"\sqrt2+\sqrt2 i", r"2e^{i\pi/4}"),
        ("20!", r"20\cdot 19!"),
        (r"\arctan\frac12", r"\frac{\pi}{2}-\arctan 2"), (r"\binom{40}{20}", r"\frac{40!}{20!20!}"),
        ("|x|", r"\sqrt{x^2}"),
    ],
)  # fmt: skip
def test_other_forms_of_a_value_are_values(gold: str, answer: str) -> None:
    assert equal_answers(answer, gold, VerifySettings(evaluated=True)).equal


def listed(form: str, numbers: range) -> list[str]:
    return [form.replace("#", str(number)) for number in numbers]


LISTS = [
    listed(r"\sqrt{#}+\sqrt[3]{#}", range(2, 62)), listed(r"\sqrt{2+\sqrt{#}}", range(2, 62)),
    listed("|x-#|", range(1, 61)),
    listed("x^{#}+x", range(1, 61)), listed(r"\lfloor n/#\rfloor", range(2, 62)),
    listed("y=#x", range(1, 61)),
    listed("#x+y=\\sqrt{#}", range(2, 62)), listed(r"e^{#x}\ln(x+#)", range(2, 62)),
    listed(r"#.123456\pi", range(60)),
    listed(r"(\sqrt{#},#)", range(2, 62)),
]  # fmt: skip


@pytest.mark.parametrize("members", LISTS, ids=lambda members: members[0])
def test_long_lists_are_compared_in_any_order(members: list[str]) -> None:
    gold, answer = ",".join(members), ",".join(reversed(members))
    started = time.process_time()
    assert equal_answers(answer, gold).equal
    assert not equal_answers(",".join(reversed([*members[1:], "77"])), gold).equal
    assert time.process_time() - started < 3.0


def wrapped(opening: str, closing: str, times: int, inside: str = "x") -> str:
    return opening * times + inside + closing * times


COSTLY = [
    (",".join(listed("x+10^{-#}", range(1, 61))), ",".join(listed("x+10^{-#}", range(60, 0, -1)))),
    (",".join(listed("x^#+y^#=z^#", range(1, 60))), ",".join(listed("y^#+x^#=z^#", range(59, 0, -1)))),
    (r"\sum_{i=1}^{200}\sum_{j=1}^{200} ij", r"\sum_{j=1}^{200}\sum_{i=1}^{200} ij"),
    (r"\sum_{i=1}^{n}\sum_{j=1}^{n}\sum_{l=1}^{n} \sin(ijl)",
    r"\sum_{i=1}^{n}\sum_{j=1}^{n}\sum_{l=1}^{n} \sin(lij)"),
    (r"\max(" + ",".join(listed("x_{#}", range(60))) + ")",
    r"\max(" + ",".join(listed("x_{#}", range(59, -1, -1))) + ")"),
    ("+".join(listed("|x_{#}|", range(60))), "+".join(listed("|x_{#}|", range(59, -1, -1)))),
    ("+".join(listed(r"\arctan(\tan(#x))", range(1, 20))),
     "+".join(listed(r"\arctan(\tan(#x))", range(19, 0, -1)))),
    (r"\prod_{k=1}^{299} (x+\sqrt{k})", r"\prod_{k=1}^{299} (\sqrt{k}+x)"),
    (wrapped(r"\sqrt{1+", "}", 25), wrapped(r"\sqrt{1+", "}", 25) + "+0"),
    (wrapped(r"1+\frac{1}{", "}", 25), wrapped(r"1+\frac{1}{", "}", 25) + "+0"),
    (wrapped(r"\max(1-x,", ")", 14), wrapped(r"\max(1-x,", ")", 14) + "+0"),
    ("10^{10^{100}}x", "x10^{10^{100}}"), (r"2^{2^{2^{2^{2}}}}", "2^{65536}+1"),
    ("+".join(listed("(x+#/7)!", range(30))), "+".join(listed("(x+#/7)!", range(29, -1, -1)))),
    (r"\cup".join(listed(r"(\ln #0,\ln #3]", range(1, 55))),
     r"\cup".join(listed(r"(\ln #0,\ln #3]", range(54, 0, -1)))),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), COSTLY, ids=lambda text: text[:20])
def test_no_pair_takes_long(gold: str, answer: str) -> None:
    """Whatever the verdict; half a second on one quiet core, and more on a busy one."""
    started = time.process_time()
    equal_answers(answer, gold)
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize("given", [(7, "7"), ("7", 7.0), ("7", None), (b"7", "7")])
def test_what_is_no_text_is_refused_by_name(given: Any) -> None:
    with pytest.raises(TypeError, match=r"^(completion|gold) is .*: give it as a str$"):
        rlvr.verify(*given)
