"""Words by which a text says, in several languages, that an answer or a conclusion follows."""

from __future__ import annotations

import re

# "answer is", "answer:" and their like; the answer comes after.
_ANSWER_LATIN = (
    r"(?:final\s+|correct\s+)?answers?|r[ée]ponses?|respuestas?|antwort(?:en)?|risposte?|risposta|respostas?|"
    r"antwoord(?:en)?|svar(?:et)?|vastaus|odpowied[zź]|odpowiedzi|cevap|jawaban(?:nya)?|[đd][áa]p\s+[áa]n|"
    r"odpov[eě][ďd]|v[áa]lasz|r[ăa]spuns(?:ul)?|odgovor"
)
_IS_LATIN = (
    r"(?:must|should|would|will|has to) be|is|are|est|sont|es|son|ist|lautet|sind|è|é|sono|são|"
    r"adalah|on|to|är|er|"
    r"jest|là|je|este"
)
_ANSWER_OTHER = (
    r"(?:最终)?(?:答案|答)|答え|解答|正解|정답|답|ответ(?:ы|ом)?|відповідь|отговор|απάντηση|الجواب|الإجابة|"
    r"(?:إجابة|جواب)|תשובה|उत्तर|উত্তর|คำตอบ|సమాధానం|பதில்"
)
_IS_OTHER = r"是|为|為|应该是|равен|равно|равна|は|은|는|является|это|е|είναι|هي|هو|היא|הוא|है|হল|คือ"
_TO = r"(?:\s+(?:to|for|of)\s+(?:the|this|your)\s+[a-z]{1,20}(?:\s+[a-z]{1,20}){0,3}?)?"
_FILLER = (
    r"(?:\s+(?:thus|therefore|simply|indeed|clearly|then|hence|just|exactly|precisely|given by|"
    r"equal to|finale?|"
    r"igual a)\b)?"
)
ANSWER = re.compile(
    rf"\b(?:{_ANSWER_LATIN})\]?{_TO}{_FILLER}(?:\s+(?:{_IS_LATIN})\b{_FILLER}\s*:?|\s*[:：=—]|\s*\*\*\s*[:：]?"
    r"|(?<=answer)\s*-\s|(?<=answer)\W{0,4}\n+|(?<=answer)\s(?=[\d$\\(]))[\s:*]*"
    r"|(?:^|\n)\W{0,4}(?:ans\.?|result|solution|jibu|đáp số|câu trả lời)\s*(?:[:：=]|\blà\b|\bni\b)[\s:*]*"
    rf"|(?:{_ANSWER_OTHER})\s*\*{{0,2}}\s*(?:(?:{_IS_OTHER})\s*[:：]?|[:：]|\s?[-—–]\s|"
    rf"(?=[\dA-J$\\(٠-٩०-९]))[\s:*]*"
    r"|(?:选择|选|故选)\s*[:：]?\s*(?=[(（]?[A-J])|\b(?:doğru cevap|cevap)\s+(?=[\dA-J$\\])",
    re.IGNORECASE,
)

# "therefore" and its like; the conclusion comes after.
CONCLUSION = re.compile(
    r"\b(?:i (?:think|believe)|therefore|thus|hence|so|consequently|finally|in conclusion|"
    r"in total|altogether|"
    r"we (?:find|get|have|obtain|conclude)(?: that)?|donc|ainsi|finalement|au total|"
    r"por (?:lo )?tanto|entonces|así que|en total|portanto|logo|assim|quindi|"
    r"pertanto|dunque|in totale|also|daher|deshalb|folglich|insgesamt|somit|dus|daarom|alltså|"
    r"следовательно|поэтому|таким образом|итак|значит|zatem|więc|dlatego|jadi|vậy|kwa hiyo|hivyo|"
    r"dolayısıyla|yani)\b[\s,:]*"
    r"|(?:因此|所以|故|综上|總共|总共|一共|结论|最终|最后|したがって|よって|ゆえに|따라서|그러므로|لذا|لذلك|إذن|"
    r"अतः|इसलिए|ดังนั้น|కాబట్టి|সুতরাং|অতএব)[\s,:*，：、]*",
    re.IGNORECASE,
)

# A sentence that ends with "… is 42."
IS_AT_THE_END = re.compile(
    rf"(?:\b(?:{_IS_LATIN}|be|equals?|becomes|of)\b|[:：=]|{_IS_OTHER})[\s*]*$", re.IGNORECASE
)

DOUBT = re.compile(
    r"\b(?:not sure|unsure|maybe|perhaps|might be|could be|do(?:es)? not know|don'?t know|cannot|can'?t|"
    r"no idea|impossible to (?:say|tell)|guess(?:ing)?)\b",
    re.IGNORECASE,
)
NEGATION = re.compile(
    r"\b(?:not|never|non|no|não|nao|nie|nicht|kein|keine|ne|pas|ikke|inte|değil|không|bukan|tidak|"
    r"нет|не)\b|n['’]t\b|不是|不|没|ない|ません|아니|아닙|ليس|नहीं|ไม่|కాదు|לא|δεν",
    re.IGNORECASE,
)
# What a sentence does with a value other than to conclude with it.
REJECTION = re.compile(
    r"\b(?:wrong|incorrect|false|impossible|invalid|fails?|failed|rule[sd]? out|ruled|eliminate[sd]?|"
    r"reject(?:ed)?|exclude[sd]?|too (?:large|small|big|high|low)|instead of|rather than|falsch|"
    r"faux|incorrecto|falso|errado)\b",
    re.IGNORECASE,
)
# What a sentence does to a value: then the value is not what the sentence comes to.
OPERATION = re.compile(
    r"\b(?:root|square[ds]? of|cube[ds]? of|less than|more than|fewer than|greater than|at (?:least|"
    r"most)|minus|"
    r"plus|times|twice|half|double|triple|squared|cubed|sum of|product of|difference|reciprocal|multiple|"
    r"factor|divisor|thousand|million|billion|dozen|power|between|from|mod(?:ulo)?)\b",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？؟।]|\n")

# A sentence that sets a task, as when the question is repeated.
TASK = re.compile(
    r"\W*(?:simplify|express|find|compute|evaluate|calculate|determine|solve|what|which|how|let|"
    r"write|prove|show|given|"
    r"if|when|suppose|consider|question|problem|give|round|enter)\b",
    re.IGNORECASE,
)
