"""Where completions say their answer is: as models of many styles and languages end them."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from rlvr.verify.check import check_answer, equal_answers
from rlvr.verify.extract import extract_answer
from rlvr.verify.kinds import Kind
from rlvr.verify.letters import choice_letter
from rlvr.verify.settings import Extraction, VerifySettings

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"
Case = tuple[str, str | None]  # a completion, and the answer that it commits to

# marks that say outright where the answer is
MARKS: list[Case] = [
    (r"So we get \boxed{42}.", "42"), (r"\boxed 2", "2"), (r"Thus $\boxed\frac{3}{4}$.", r"\frac{3}{4}"),
    (r"Hence \boxed{\text{42 cm}}", "42 cm"),
    (r"$$\boxed{\begin{aligned} x &= 3 \end{aligned}}$$", "x = 3"),
    ("\\[\n\\boxed{\n  \\frac{7}{8}\n}\n\\]", "7/8"), (r"The result: \fbox{17}", "17"),
    (r"We try \boxed{3}, it fails. So \boxed{5} it is.", "5"),
    (r"The answer is \boxed{12}. Let me verify: 3 \cdot 4 = 12. ✓", "12"),
    (r"Final: \boxed{x = 9}", "x = 9"), (r"\boxed{The answer is 8}", "8"),
    (r"We conclude $\boxed{n=6}$, as claimed. Note that 7 fails.", "n=6"), ("<answer>19</answer>", "19"),
    ("<ANSWER>\n19\n</ANSWER>", "19"), ("<answer>The answer is 19.</answer>", "19"),
    (r"<answer>\boxed{19}</answer>", "19"), (r"<answer>$\frac{1}{3}$</answer> I am done.", "1/3"),
    ('{"answer": 42}', "42"), ('{"reasoning": "6*7", "answer": "42"}', "42"),
    ('Here you go:\n```json\n{"final_answer": "3/8"}\n```', "3/8"),
    ('```json\n{\n  "steps": ["a", "b"],\n  "answer": [1, 2]\n}\n```', "1, 2"),
    ('{"thought": "it is {not} easy", "Answer": -2.5}', "-2.5"), ('{"result": {"answer": 7}}', "7"),
    ('{"answer": true}', "true"), ("{'answer': '15'}", "15"), ("6*7=42\n#### 42", "42"),
    ("6*7=42\n####42", "42"), ("We add.\n#### Final Answer: 42", "42"), ("## Final Answer\n42", "42"),
    ("### Answer\n\n$42$", "42"), ("### Answer: 42", "42"),
    ("# Solution\nWe add 3 and 4.\n# Answer\n7", "7"), ("**Answer:** 42", "42"), ("Answer: **42**", "42"),
    ("**Answer**: 42 apples", "42"), ("__Answer__: 42", "42"), ("*Answer:* 42", "42"),
    ("Final Answer: The final answer is $42$. I hope it is correct.", "42"),
    ("**Final Answer**\n\n\\[ 42 \\]", "42"), ("The final answer is:\n$$\n\\frac{5}{6}\n$$", "5/6"),
    ("Answer = 42", "42"), ("ANSWER - 42", "42"), ("The answer should be 42.", "42"),
    ("Our answer is therefore 42.", "42"), ("The correct answer to this problem is 42.", "42"),
    ("The answer, then, is 42.", "42"), ("So the answer comes out to be 42.", "42"),
    ("The answer turns out to be $-3$.", "-3"), ("the answer is approximately 3.14", "3.14"),
    ("The answer is 5 m.", "5 m"), ("The answer is $x=3$ or $x=5$.", "3, 5"),
    ("The answer is $(2, 3)$.", "(2,3)"), ("The answer is 42 (not 41).", "42"),
    ("The answer is 42, not 41.", "42"), ("The answer is not 41 but 42.", "42"),
    ("The answer is 42 because 6 times 7 is 42.", "42"), ("The answer is 42, since 6 * 7 = 42.", "42"),
    ("The answer is 6 * 7 = 42.", "42"), ("42 is the answer.", "42"), ("$42$ is our final answer.", "42"),
    ("So 42 is the correct answer.", "42"), (r"Hence, $\frac{3}{8}$ is the answer we seek.", "3/8"),
    ("42 would be the answer if we had to count both, but we count one: the answer is 21.", "21"),
    ("The answer is Monday.", "Monday"), ("Answer: yes", "yes"), ("Answer: $1,234.50", "1234.50"),
    ("Answer: 7:45 PM", "7:45 PM"), ("Answer: 3 hours 20 minutes", "3 hours 20 minutes"),
    ("Answer: 2.5 × 10^3", "2500"), ("Ans: 42", "42"), ("Ans. 42", "42"), ("A: 42", "42"),
    ("Thus we have the answer: 3:5.", "3:5"), ("I get 42 as the answer.", "42"),
    ("That gives us our answer of 42.", "42"), ("We obtain an answer of 42.", "42"),
    ("The final answer is forty-two.", "42"), ("Answer: 1. The first option is best.", "1"),
    ("- Sum: 30\n- Difference: 12\n- **Answer: 18**", "18"), ("The answers are 3 and 5.", "3, 5"),
]  # fmt: skip
# last sentences, last lines, whole texts
PROSE: list[Case] = [
    ("We have 12 boxes.\nThe largest n is 34", "34"), ("She needs a total of 42 screws", "42"),
    ("42 because 6 times 7 is 42", "42"), ("First we multiply.\n\n42", "42"),
    ("First we multiply 6 by 7.\n**42**", "42"), ("x = 42 (since x > 0)", "x=42"),
    ("Dividing by 2:\nx = 21", "x=21"), ("3x + 1 = 127\n3x = 126\nx = 42", "42"),
    ("6 * 7\n= 40 + 2\n= 42", "42"), ("$$6 \\cdot 7$$\n$$= 42$$", "42"),
    ("Therefore, the probability is 3/8.", "3/8"),
    ("It takes him 5 hours and 20 minutes.", "5 hours and 20 minutes"),
    ("That makes 42 screws in all.", "42"), ("Hence there are exactly 12 such pairs.", "12"),
    ("He pays 6 * 7 = $42.", "42"), ("So he pays 6 * 7 = 42 dollars in total.", "42"),
    ("In total, he pays $42.", "42"), ("After 5 days, she has 42 screws left.", "42"),
    ("He will have saved $40 in 5 days.", "40"), ("The train arrives at 7:45 PM.", "7:45 PM"),
    ("Of the 50 students, 18 passed both tests.", "18"), ("So only 18 out of 50 passed.", "18"),
    ("This means that Tom is 12 years old.", "12"),
    ("So Tom ends up with 12 marbles, while Ann has none.", "12"),
    (r"The area of the triangle is $6\sqrt{3}$ square units.", r"6\sqrt{3}"),
    (r"Adding up gives $\frac{5}{6}$.", "5/6"), ("Solving the equation yields x = 9.", "9"),
    ("We conclude that $n = 17$ is the smallest such number.", "17"),
    ("Consequently, the roots are $2$ and $-3$.", "2, -3"),
    ("So the solutions are x = 2 and x = -3.", "2, -3"), ("The sum of 30 and 12 is 42.", "42"),
    ("The total cost was $1,250.", "1250"), ("Her average speed was 60 km/h.", "60 km/h"),
    ("The price rises by 15%.", "15%"), ("Thus 75% of the class passed.", "75%"),
    ("So it equals -7.", "-7"), ("We end up with $x^2 - 4x + 3$.", "x^2-4x+3"),
    ("Simplifying, we get $2x + 5$.", "2x+5"), ("So the interval is $(2, 5]$.", "(2,5]"),
    (r"The minimum value is therefore $-\frac{1}{4}$, attained at $x = \frac{1}{2}$.", "-1/4"),
    ("Therefore the remainder when $2^{10}$ is divided by $7$ is $2$.", "2"),
    ("The distance between the points is $5$ units.", "5"),
    ("The perimeter equals 24 cm. I hope this helps!", "24 cm"),
    ("The perimeter equals 24 cm.\n\nLet me know if you have any questions!", "24 cm"),
    ("| item | cost |\n|---|---|\n| a | 3 |\n| b | 4 |\n| **Total** | **7** |", "7"),
    ("- Bolts: 30\n- Nuts: 12\n- Total: 42", "42"), ("Total: 42", "42"), ("Total cost = $42", "42"),
    ("Profit = 100 - 58 = 42", "42"),
    ("\\begin{align*}\nx &= 6 \\cdot 7 \\\\\n  &= 42.\n\\end{align*}", "42"),
    (r"Thus \[ x = \frac{84}{2} = 42. \]", "42"),
    ("Therefore,\n\\[\n\\sin\\theta = \\frac{3}{5}.\n\\]", "3/5"),
    (r"There are $\binom{6}{2} = 15$ handshakes.", "15"), ("This leaves 9 slices for Sam.", "9"),
    ("Mia therefore ran 12.5 miles more than Ben.", "12.5"), ("Each of the 4 friends gets 6 cookies.", "6"),
    ("It will take 3 more days to finish.", "3"), ("Sara bought twelve pencils.", "12"),
    ("So the ratio of boys to girls is 3:5.", "3:5"), ("The recipe needs 1 1/2 cups of flour.", "3/2"),
    ("We find that the population in 2030 will be 12,000.", "12000"),
    ("Since the price is 5 dollars and we buy 3, the cost is 15 dollars.", "15"),
    ("Since 6 * 7 = 42, he needs 42 screws.", "42"),
    ("If each box holds 6 screws and there are 7 boxes, then there are 42 screws.", "42"), ("42", "42"),
    ("-3/4", "-3/4"), (r"$\frac{1}{2}$", "1/2"), ("$42$ screws", "42"), ("x^2 + 1", "x^2+1"),
    ("17 apples", "17"), ("infinitely many", "infinitely many"), ("Saturday", "Saturday"),
    ("It's 42.", "42"), ("It is forty-two.", "42"), ("So, 42!", "42"), ("The value of f(3) is 10.", "10"),
    ("So the 10th term is 29.", "29"), ("In 2 hours the tank is filled to 30 liters.", "30"),
    ("Altogether that's 5 + 6 = 11 birds.", "11"), ("This simplifies to 12.", "12"),
    ("Step 3: Add them: 20 + 22 = 42", "42"), ("So the cost for all 7 of them comes to $84.", "84"),
    ("Thus, Dana has to work 8 hours to earn $120.", "8"), ("Mr. Lee owns 14 cars, i.e. 14.", "14"),
    ("Thus the number of ways is 10 choose 3 = 120.", "120"), ("Therefore f(x) has 3 real roots.", "3"),
]  # fmt: skip
# what is denied, doubted, asked, supposed, worked on, or listed
DENIED: list[Case] = [
    ("It is not 42.", None), ("42 is wrong.", None), ("So 42 isn't possible.", None),
    ("It would be 42 if we counted twice.", None), ("If there were 7 boxes, it would be 42.", None),
    ("I first thought 42.", None), ("Is the answer 42?", None), ("Could it be 42?", None),
    ("Half of 42 is what he needs.", None), ("42 is too large.", None), ("42 is too large, so 41.", "41"),
    ("It could be 42.", None), ("Maybe 42.", None), ("Perhaps the answer is 42.", None),
    ("I am not sure, but 42 might be it.", None), ("The answer cannot be 42.", None),
    ("The answer is less than 42.", None), ("The answer is at most 42.", None),
    ("The answer is more than 42.", None), ("We need at least 42 of them, but not enough is known.", None),
    ("Find the value of 42 + x.", None), ("How many screws are there if there are 42 boxes?", None),
    ("Question: There are 42 boxes. How many screws?", None),
    ("First, compute 6 * 7 = 42. Then we have to divide by something.", None),
    ("Next, we will subtract 42 from the total.", None), ("We cannot rule out 42.", None),
    ("Either 41 or 42.", "41, 42"), ("It is 41 or 42.", "41, 42"), ("The answer is 41 or 42.", "41, 42"),
    ("The answer is 42, 43, 44.", "42, 43, 44"), ("The answer is either $41$ or $42$.", "41, 42"),
    ("41, 42, 43", "41, 42, 43"), ("The candidates are 41, 42 and 43.", None),
    ("The answer is the square of 42.", None), ("The answer is one less than 42.", None),
    ("The answer is the sum of 41 and 1.", None), ("The answer is unknown; 42 boxes were given.", None),
    ("I don't know the answer. There are 42 boxes.", None), ("Suppose the answer is 42.", None),
    ("Assume that x = 42.", None), ("Let x = 42.", None),
    ("Tom says the answer is 42, but he is wrong.", None),
    ("If the answer is 42, we get a contradiction.", None), ("The answer is false. 42", "false"),
    ("One might think the answer is 42.", None), ("A common wrong answer is 42.", None),
    ("The answer isn't 42.", None), ("We rule out 42.", None), ("It's impossible to get 42.", None),
    ("The number lies between 40 and 44.", None), ("", None), ("I have no idea.", None),
    ("Let us try n = 42 next.", None), ("Check whether 42 works.", None),
    ("Instead of 42 we need something else.", None), ("We get 42, which contradicts the assumption.", None),
    ("42? No.", None), ("So it's 41, not 42.", "41"), ("So x is 41 rather than 42.", "41"),
    ("So x equals 41 instead of 42.", "41"), ("So we need 3 more than 42.", None),
    ("The answer could be 41 or 42; I would say 42.", None),
    ("The answer depends on n: for n = 2 it is 42.", None), ("The answer is unlikely to be 42.", None),
    ("I doubt it is 42.", None), ("Had we added 2, we would get 42.", None), ("Anything but 42.", None),
    ("We still have to subtract 42.", None), ("It ranges from 40 to 42.", None), ("I can exclude 42.", None),
]  # fmt: skip
# what is taken back, and what breaks off
RETRACTED: list[Case] = [
    (r"So \boxed{5}. Wait, no. The final answer is \boxed{", None),
    (r"So \boxed{5}. The final answer is \boxed{", "5"), ("The answer is 5. The final answer is", "5"),
    ("The answer is 5. Wait, that's wrong. The final answer is", None),
    (r"\boxed{41}. Wait, no, it should be 42.", "42"),
    (r"\boxed{41}. Actually, that is wrong. The right value is \boxed{42}.", "42"),
    (r"\boxed{41}. Actually, that is wrong.", None),
    (r"\boxed{41}. I made a mistake: I forgot one. So it's 42.", "42"),
    ("The answer is 41. Let me recheck. 6 * 7 = 42. So the answer is 42.", "42"),
    ("The answer is 41. Let me recheck.", None),
    (r"\boxed{42}. Let me double check: 6 * 7 = 42. Yes, that is correct.", "42"),
    (r"\boxed{42}. Wait, let me verify that. 40 + 2 is fine. Yes, the answer is correct.", "42"),
    ("#### 41\nOops, I forgot to carry.\n#### 42", "42"), ("The answer is 41. Hmm, no. It is 42.", "42"),
    ("The answer is 41, no wait, 42.", "42"), ("It's 41. Sorry, I meant 42.", "42"),
    ("It's 41. Scratch that, it's 42.", "42"), ("It's 41. On second thought, it's 42.", "42"),
    ("The answer is 41. Correction: the answer is 42.", "42"),
    ("The answer is 41. No, the answer is 42.", "42"),
    (r"\boxed{12} is what I had, but I was wrong: it is 13.", "13"), (r"\boxed{42} \boxed{7", None),
    (r"Therefore \boxed{\frac{1}{2", None), ("The answer is", None), ("So the final answer is:", None),
    ("He had to wait 10 minutes. The answer is 42.", "42"),
    (r"\boxed{42}. The waiting time was 10 minutes.", "42"),
    ("La réponse est 41. Attendez, c'est faux. La réponse est 42.", "42"),
    ("Die Antwort ist 41. Moment, das ist falsch. Es sind 42.", "42"),
    ("答案是41。等等，不对。答案是42。", "42"),
    ("答案是41。等一下，算错了。", None), ("La respuesta es 41. Espera, eso está mal. Son 42.", "42"),
    ("Ответ: 41. Нет, подождите, это неверно. Ответ: 42.", "42"),
    (r"This is $\boxed{12\sqrt{35}}$. This can't be simplified any more.", r"12\sqrt{35}"),
    (r"So \boxed{41}. That can't be right.", None),
]  # fmt: skip
# other languages
LANGUAGES: list[Case] = [
    ("Donc, la réponse est 42.", "42"), ("Réponse : 42", "42"), ("Il lui faut donc 42 vis.", "42"),
    ("La réponse n'est pas 42.", None), ("Le résultat est 42.", "42"), ("42 est la réponse.", "42"),
    ("La bonne réponse est donc 42.", "42"), ("Au total, elle a besoin de 42 vis.", "42"),
    ("C'est peut-être 42.", None), ("La respuesta es 42.", "42"), ("Respuesta: 42", "42"),
    ("Por lo tanto, necesita 42 tornillos.", "42"), ("La respuesta no es 42.", None),
    ("La solución es x = 42.", "42"), ("En total hay 42 pájaros.", "42"), ("Quizás sean 42.", None),
    (r"La respuesta final es $\frac{1}{2}$.", "1/2"), ("Die Antwort ist 42.", "42"), ("Antwort: 42", "42"),
    ("Also braucht sie 42 Schrauben.", "42"), ("Die Antwort ist nicht 42.", None),
    ("Das Ergebnis lautet 42.", "42"), ("Insgesamt sind es 42 Schrauben.", "42"),
    ("Vielleicht sind es 42.", None), ("Die Lösung ist somit x = 42.", "42"),
    ("Der Preis beträgt 12,50 €.", "12,50 €"), ("La risposta è 42.", "42"), ("Risposta: 42", "42"),
    ("Quindi le servono 42 viti.", "42"), ("La risposta non è 42.", None), ("Il risultato è 42.", "42"),
    ("Forse è 42.", None), ("A resposta é 42.", "42"), ("Resposta: 42", "42"),
    ("Portanto, ela precisa de 42 parafusos.", "42"), ("A resposta não é 42.", None),
    ("O resultado é 42.", "42"), ("Talvez seja 42.", None), ("Het antwoord is 42.", "42"),
    ("Antwoord: 42", "42"), ("Dus ze heeft 42 schroeven nodig.", "42"), ("Het antwoord is niet 42.", None),
    ("Misschien is het 42.", None), ("Svaret är 42.", "42"), ("Svar: 42", "42"),
    ("Alltså behöver hon 42 skruvar.", "42"), ("Svaret är inte 42.", None), ("Svaret er 42.", "42"),
    ("Derfor trenger hun 42 skruer.", "42"), ("Svaret er ikke 42.", None), ("Vastaus on 42.", "42"),
    ("Vastaus: 42", "42"), ("Siis hän tarvitsee 42 ruuvia.", "42"), ("Vastaus ei ole 42.", None),
    ("Odpowiedź to 42.", "42"), ("Odpowiedź: 42", "42"), ("Zatem potrzebuje 42 śrub.", "42"),
    ("Odpowiedź to nie 42.", None), ("Odpověď je 42.", "42"), ("Odpověď: 42", "42"),
    ("Proto potřebuje 42 šroubů.", "42"), ("Odpověď není 42.", None), ("A válasz 42.", "42"),
    ("Válasz: 42", "42"), ("Tehát 42 csavarra van szüksége.", "42"), ("A válasz nem 42.", None),
    ("Răspunsul este 42.", "42"), ("Răspuns: 42", "42"), ("Deci are nevoie de 42 de șuruburi.", "42"),
    ("Răspunsul nu este 42.", None), ("Odgovor je 42.", "42"), ("Dakle, treba joj 42 vijka.", "42"),
    ("Odgovor nije 42.", None), ("Cevap 42'dir.", "42"), ("Cevap: 42", "42"),
    ("Dolayısıyla 42 vidaya ihtiyacı var.", "42"), ("Cevap 42 değildir.", None), ("Doğru cevap 42.", "42"),
    ("Toplam 42 vida gerekir.", "42"), ("Jawabannya adalah 42.", "42"), ("Jawaban: 42", "42"),
    ("Jadi, dia membutuhkan 42 sekrup.", "42"), ("Jawabannya bukan 42.", None), ("Đáp án là 42.", "42"),
    ("Đáp số: 42", "42"), ("Vậy cô ấy cần 42 con ốc.", "42"), ("Đáp án không phải là 42.", None),
    ("Jibu ni 42.", "42"), ("Kwa hiyo anahitaji skrubu 42.", "42"), ("Jibu si 42.", None),
    ("Ответ: 42", "42"), ("Ответ — 42.", "42"), ("Итак, ей нужно 42 винта.", "42"), ("Ответ не 42.", None),
    ("Правильный ответ равен 42.", "42"), ("Всего получается 42 винта.", "42"), ("Возможно, 42.", None),
    ("Відповідь: 42", "42"), ("Отже, їй потрібно 42 гвинти.", "42"), ("Відповідь не 42.", None),
    ("Отговорът е 42.", "42"), ("Следователно ѝ трябват 42 винта.", "42"), ("Отговорът не е 42.", None),
    ("Η απάντηση είναι 42.", "42"), ("Άρα χρειάζεται 42 βίδες.", "42"), ("Η απάντηση δεν είναι 42.", None),
    ("答案是42。", "42"), ("答案：42", "42"), ("所以她一共需要42个螺丝。", "42"), ("答案不是42。", None),
    ("因此，最终答案为 $42$。", "42"),
    ("綜上所述，答案為 42。", "42"), ("答案可能是42。", None), ("答案是42吗？", None), ("故x=42。", "42"),
    ("共有42种方法。", "42"),
    ("答えは42です。", "42"), ("答え：42", "42"), ("したがって、42本のねじが必要です。", "42"),
    ("答えは42ではありません。", None),
    ("よって、答えは $42$ となる。", "42"), ("42が答えです。", "42"), ("答えは42かもしれません。", None),
    ("答えは42ですか？", None),
    ("정답은 42입니다.", "42"), ("답: 42", "42"), ("따라서 나사 42개가 필요합니다.", "42"),
    ("정답은 42가 아닙니다.", None),
    ("따라서 최종 답은 42이다.", "42"), ("الجواب هو 42.", "42"), ("الإجابة: ٤٢", "42"),
    ("لذلك تحتاج إلى 42 برغيًا.", "42"), ("الجواب ليس 42.", None), ("إذن الإجابة النهائية هي 42", "42"),
    ("התשובה היא 42.", "42"), ("לכן היא צריכה 42 ברגים.", "42"), ("התשובה היא לא 42.", None),
    ("उत्तर 42 है।", "42"), ("उत्तर: 42", "42"), ("इसलिए उसे 42 पेंच चाहिए।", "42"),
    ("उत्तर 42 नहीं है।", None), ("अतः अंतिम उत्तर ४२ है।", "42"), ("উত্তর হল 42।", "42"),
    ("সুতরাং তার 42টি স্ক্রু দরকার।", "42"), ("উত্তর 42 নয়।", None), ("คำตอบคือ 42", "42"),
    ("ดังนั้นเธอต้องการสกรู 42 ตัว", "42"), ("คำตอบไม่ใช่ 42", None), ("సమాధానం 42.", "42"),
    ("కాబట్టి ఆమెకు 42 స్క్రూలు కావాలి.", "42"), ("సమాధానం 42 కాదు.", None), ("பதில் 42.", "42"),
    ("எனவே அவளுக்கு 42 திருகுகள் தேவை.", "42"), ("பதில் 42 அல்ல.", None),
    ("Svaret er 42. Vent, det er feil. Svaret er 43.", "43"), ("Resposta final: **R$ 42,50**", "R$ 42,50"),
]  # fmt: skip
# letters of options
CHOICE: list[Case] = [
    ("A is tempting, but the right choice is B.", "B"), ("Options A and C are wrong, so B", "B"),
    ("Options A and C are wrong, so the answer must be B.", "B"), ("It is not (A). So (C).", "C"),
    ("The answer is not (A).", None), ("B, not C", "B"), ("Both A and B", "A, B"),
    ("Both A and B are correct.", "A, B"), ("Neither A nor B.", None), ("I would go with (C).", "C"),
    ("The correct option is therefore **D**.", "D"), ("answer: b", "B"), ("Answer: (b)", "B"),
    ("**B**", "B"), ("B) 42", "B"), ("(B) forty-two", "B"), ("The answer is option B: 42 screws.", "B"),
    ("Option B is correct because A is too small.", "B"), ("I choose C over A.", "C"),
    ("Therefore the best choice is B, since A and C fail.", "B"),
    ("A: 3 no.\nB: 4 no.\nC: 5 yes.\n\nThe answer is C", "C"), ("The answer is A or B.", "A, B"),
    ("A? No. B? No. C it is.", "C"), ("It can't be A, B or C, so it must be D.", "D"),
    ("Although A looks right, C is correct.", "C"), ("C is the correct answer.", "C"),
    ("(C) is the best answer, while (D) is close.", "C"), ("Correct answer: C. The others are wrong.", "C"),
    ("A is wrong. B is wrong. D is wrong.", None), ("Is it C?", None), ("The answer isn't C.", None),
    ("I first thought A, but it is B.", "B"), ("Rather than A, choose B.", "B"),
    ("Hence, choice (E) matches.", "E"), ("Eliminating A, B and D leaves C.", "C"),
    (r"\boxed{\text{(B)}}", "B"), (r"\boxed{\textbf{(B) } 42}", "B"), ("Die richtige Antwort ist C.", "C"),
    ("正确答案是 C。", "C"), ("故选：B。", "B"), ("选 D", "D"), ("La bonne réponse est B, pas C.", "B"),
    ("Правильный ответ: B", "B"), ("正解はCです。", "C"), ("A car needs fuel. So the answer is D.", "D"),
    ("So I pick D. A is close but it omits a term.", "D"), ("D", "D"), ("d", "D"),
    ("Answer: D. None of the above", "D"), ("I think it is B or C.", "B, C"),
    ("The answer is **C**, not **B**.", "C"),
    ("The statement in A is false, and so are those in B and D; this leaves option C.", "C"),
]  # fmt: skip


def found(completion: str, choice: bool = False, extraction: Extraction = "normal") -> str | None:
    extracted = extract_answer(completion, extraction, Kind.CHOICE if choice else None)
    return extracted.text if extracted else None


@pytest.mark.parametrize(("completion", "answer"), [*MARKS, *PROSE, *DENIED, *RETRACTED, *LANGUAGES])
def test_the_answer_that_a_completion_commits_to(completion: str, answer: str | None) -> None:
    text = found(completion)
    assert (text is None) == (answer is None), text
    if text is not None and answer is not None:
        assert equal_answers(text, answer).equal, text


@pytest.mark.parametrize(("completion", "letters"), CHOICE)
def test_the_option_that_a_completion_chooses(completion: str, letters: str | None) -> None:
    text = found(completion, choice=True)
    one = None if text is None else choice_letter(text.strip("*"))
    assert (one.upper() if one else text) == letters


@pytest.mark.parametrize(
    ("completion", "strict", "normal", "lenient"),
    [
        (r"So \boxed{42}.", "42", "42", "42"),
        ("The answer is 42.", "42", "42", "42"),
        ('{"answer": 42}', "42", "42", "42"),
        ("6 * 7 = 42\n#### 42", "42", "42", "42"),
        ("Therefore she needs 42 screws.", None, "42", "42"),
        ("42", None, "42", "42"),
        ("There are 6 boxes, 7 rows and 42 screws", None, None, "42"),
        ("The answer is not 42.", None, None, "42"),
        ("Let us see.", None, None, None),
    ],
)
def test_how_far_extraction_goes(
    completion: str, strict: str | None, normal: str | None, lenient: str | None
) -> None:
    levels: tuple[Extraction, ...] = ("strict", "normal", "lenient")
    assert [found(completion, extraction=level) for level in levels] == [strict, normal, lenient]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match=r"extraction is 'guess'.*strict.*normal.*lenient"):
        VerifySettings(extraction="guess")  # type: ignore[arg-type]


@pytest.mark.parametrize("joint", [", ", " or ", " and ", ". Or ", "; ", "\n", " / ", ", maybe ", ". No, "])
@pytest.mark.parametrize(
    "shape", ["{}", r"\boxed{{{}}}", "The answer is {}", "So it is {}", "${}$", "**{}**"]
)
def test_listing_candidates_never_pays(joint: str, shape: str) -> None:
    listed = [str(number) for number in range(40, 46)]
    for text in (joint.join(shape.format(number) for number in listed), shape.format(joint.join(listed))):
        paid = [gold for gold in listed if str(check_answer(text, gold).status) == "correct"]
        assert len(paid) <= 1, paid  # a guess is one guess


FRAGMENTS = {
    "prose": "We have 3 apples and 4 pears, so $3+4=7$ fruits in total. Then, he buys 2 more. ",
    "phrases": "the answer is ",
    "denied": "the answer is 42 or not. ",
    "retracted": "wait, no. ",
    "braces": "{",
    "dollars": "$x ",
    "delimiters": r"\(",
    "environments": r"\begin{a}",
    "open boxes": r"\boxed{",
    "boxes": r"\boxed{1}, ",
    "numbers": "1, ",
    "digits": "1",
    "lines": "\n",
    "hashes": "# a\n",
    "JSON": '{"answer": [1, ',
    "tags": "<answer>",
    "bold": "** a ",
    "reasons": "because 42 ",
    "asides": "( ab ",
    "rows": "| a | 3 |\n",
    "spaces": " ",
    "answers": "answer ",
    "letters": "A or B, ",
    "units": "5 m ",
    "fractions": r"\frac{1}{",
    "Chinese": "答案是",
}


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_work_is_linear_in_the_length(fragment: str) -> None:
    seconds = []
    for length in (25_000, 200_000):
        text = FRAGMENTS[fragment] * (length // len(FRAGMENTS[fragment]))
        runs = []
        for _ in range(3):
            started = time.process_time()
            for choice in (False, True):
                extract_answer(text, "lenient", Kind.CHOICE if choice else None)
            runs.append(time.process_time() - started)
        seconds.append(min(runs))
    assert seconds[1] < 16 * seconds[0] + 0.1, (
        seconds
    )  # 8 times as long; quadratic work takes 64 times as much
    assert seconds[1] < 1.0, seconds


def solutions(name: str) -> list[tuple[str, str]]:
    """Worked solutions without the mark of their answer, and the answer."""
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"the problem set is not here: {path}")
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if name.startswith("gsm8k"):
        return [(re.sub(r"\n?####.*", "", row["solution"], flags=re.DOTALL), row["answer"]) for row in rows]
    plain = [
        (re.sub(r"\\boxed\{([^{}]*)\}", r"\1", row["solution"]), row["answer"])
        for row in rows
        if re.search(r"\\boxed\{[^{}]*\}[^.\n]{0,80}\W*$", row["solution"])
    ]
    return [(text, answer) for text, answer in plain if "boxed" not in text]


@pytest.mark.parametrize(
    ("name", "equal", "different"), [("gsm8k_test", 0.94, 0.045), ("math500", 0.90, 0.07)]
)
def test_worked_solutions_without_a_mark(name: str, equal: float, different: float) -> None:
    counted: Counter[str] = Counter()
    rows = solutions(name)
    for text, answer in rows:
        said = found(text)
        counted["none" if said is None else str(equal_answers(said, answer).equal)] += 1
    assert counted["True"] >= equal * len(rows), counted
    assert counted["False"] <= different * len(rows), counted


@pytest.mark.parametrize("name", ["gsm8k_test", "svamp", "math500"])
def test_a_problem_that_is_repeated_is_not_answered(name: str) -> None:
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"the problem set is not here: {path}")
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    paid = [row["id"] for row in rows if str(check_answer(row["problem"], row["answer"]).status) == "correct"]
    assert paid == []
