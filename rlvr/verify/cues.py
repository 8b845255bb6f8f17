"""Patterns of words that announce an answer or a conclusion, or take it back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rlvr.verify.languages import GLUED, SPACED, Language

_LATIN_LETTERS = re.compile(r"[a-z]{2}|\b[ou]\|")
_LANGUAGES = (*SPACED.values(), *GLUED.values())


def _any(field: str) -> re.Pattern[str]:
    """A pattern for the words of all languages in one field, as whole words in languages with spaces.

    Words in other scripts are tried only at letters of those scripts, which most texts do not have.
    """

    def words(table: Iterable[Language], latin: bool) -> str:
        return "|".join(
            part
            for entry in table
            if (part := getattr(entry, field)) and bool(_LATIN_LETTERS.search(part)) is latin
        )

    latin, other = words(SPACED.values(), latin=True), words(SPACED.values(), latin=False)
    inside = words(GLUED.values(), latin=False)
    return re.compile(
        rf"\b(?:{latin})(?!\w)|(?=[^\x00-\u024f\u2000-\u206f])(?:\b(?:{other})(?!\w)|{inside})", re.IGNORECASE
    )


def _alternatives(words: Iterable[str]) -> str:
    return "|".join(words)


_FILLER = (
    r"(?:\s*,?\s+(?:thus|therefore|simply|indeed|clearly|then|hence|just|exactly|precisely|approximately|"
    r"about|now|"
    r"given by|equal to|as follows|finale?|donc|also|somit|quindi|por tanto|portanto|igual a|égale? à|dus|"
    r"alltså|"
    r"derfor|zatem|следовательно|поэтому|therefore)\b,?)"
)
_TO = (
    r"(?:\s+(?:to|for|of|in|is for)\s+(?:the|this|your|our|part)\s+[(a-z)]{1,20}(?:\s+[(a-z)]{1,20}){0,3}?)?"
)
_BEFORE_VALUE = r"[\s:：*_]*"


def _answer(entry: Language, spaced: bool) -> str:
    """The noun for "answer" in one language, with the copula, colon or dash that introduces the answer."""
    noun = rf"(?:{entry.answer})"
    if not spaced:
        return (
            rf"{noun}\s*\*{{0,2}}\s*(?:(?:{entry.equals})\s*[:：]?|[:：=]|\s?[-—–]\s|"
            r"(?=[\dA-J$\\(])|(?<=\s)(?=[A-J]\b))"
        )
    return (
        rf"{_STARTS}{noun}(?![^\W_])\]?{_TO}{_FILLER}{{0,2}}(?:\s+(?:{entry.equals})(?!\w){_FILLER}{{0,2}}\s*:?"
        rf"|\s*[*_]{{0,2}}\s*[:：=—]|\s*\*\*)"
    )


_STARTS = r"(?:(?<![^\W_])|(?<=ال)|(?<=ה))"
_LABEL = (  # at the beginning of a line
    r"(?:(?<=\n)|(?<=\n[^\w\n])|(?<=\n[^\w\n]{2})|(?<=\n[^\w\n]{3})|(?<=\n[^\w\n]{4})|(?<![\s\S])|"
    r"(?<![\s\S][^\w\n])"
    r"|(?<![\s\S][^\w\n]{2}))(?:ans\b\.?|(?:result|solution|lösung|ergebnis|résultat|resultado|risultato)\b)"
    r"\s*\*{0,2}\s*[:：=]"
)
# "answer is", "answer:" and their like; the answer comes after. It matches where a noun begins.
_ANSWER = re.compile(
    "(?:"
    + _alternatives(
        [
            *(_answer(entry, spaced=True) for entry in SPACED.values()),
            *(_answer(entry, spaced=False) for entry in GLUED.values()),
            r"answers?(?:\s*-\s|[^\w\n$\\]{0,6}\n+|\s(?=[\d$\\(]))",
            _LABEL,
            r"(?:选|選)(?:择|擇)?\s*[:：]?\s*(?=[(（]?[A-J])",
        ]
    )
    .replace(r"\s*", r"\s{0,3}")
    .replace(r"\s+", r"\s{1,3}")  # so that runs of spaces cost nothing
    + f"){_BEFORE_VALUE}",
    re.IGNORECASE,
)
_ANSWER_STEMS = (
    "answer", "ans", "réponse", "reponse", "respuesta", "antwort", "endergebnis", "rispost", "respost",
    "antwoord", "svar", "vastaus", "odpowied", "odpov", "válasz", "valasz", "răspuns", "raspuns", "odgovor",
    "cevap", "cevab", "yanıt", "jawaban", "đáp", "đap", "dáp", "dap", "câu trả", "jibu", "ответ",
    "відповід", "отговор", "απάντηση", "جواب", "إجابة", "תשובה", "答", "解答", "正解", "정답", "답", "उत्तर",
    "উত্তর", "คำตอบ", "సమాధానం", "జవాబు", "பதில்", "விடை", "选", "選", "result", "solution", "lösung",
    "ergebnis", "résultat", "resultado", "risultato",
)  # fmt: skip
# "… is the answer"; the answer comes before.
_IS_THE = re.compile(
    r"\s(?:is|are|must be|gives(?: us)?|as)(?:\s(?:thus|therefore|indeed|then|hence))?\s"
    r"(?:the|our|my|your)\s(?:(?:final|correct|right|desired|required|only|full|exact)\s){0,3}$|"
    r"[가이]\s?(?:최종\s?)?$|が(?:最終的な)?$",
    re.IGNORECASE,
)
_AFTER_THE = re.compile(
    r"(?:answers?|solutions?)\b(?!\s(?:if|when|to|is|are)\b|[:：])|答え|正解|解答|정답|답", re.IGNORECASE
)
MAX_STEMS = 300  # possible places of a noun that are examined, from the end


class Named(NamedTuple):
    """Where the words "answer is" begin and end; `after`: the words come after the answer."""

    start: int
    end: int
    after: bool


def answers(text: str) -> list[Named]:
    """Where `text` says "the answer is …" or "… is the answer", from the last to the first."""
    found: list[Named] = []
    for start in reversed(_places(_ANSWER_STEMS, text)):
        if (match := _ANSWER.match(text, start)) is not None:
            found.append(Named(start, match.end(), False))
        elif (match := _AFTER_THE.match(text, start)) is not None:
            before = _IS_THE.search(text, max(0, start - 60), start)
            if before is not None:
                found.append(Named(before.start(), match.end(), True))
    return found


def waits(text: str) -> list[tuple[int, int]]:
    """Where `text` takes back what it said before, in order; only the part near the end is examined."""
    found: list[tuple[int, int]] = []
    for start in reversed(_places(_WAIT_STEMS, text)):
        match = WAIT.search(text, max(0, start - 40), start + 40)
        if match is not None and (not found or match.end() <= found[-1][0]):
            found.append(match.span())
            if len(found) == 2:
                break
    return found[::-1]


def _places(stems: Sequence[str], text: str) -> list[int]:
    """The start positions of the last words that start with one of `stems`, in order."""
    lower = text.lower()
    lower = lower if len(lower) == len(text) else text  # İ is two characters in lower case
    places: set[int] = set()
    for stem in stems:
        end = len(lower)
        for _ in range(MAX_STEMS if stem in lower else 0):
            end = lower.rfind(stem, 0, end + len(stem) - 1)
            if end < 0:
                break
            places.add(end)
    return sorted(places)[-MAX_STEMS:]


# "therefore" and its like; the conclusion comes after.
CONCLUSION = re.compile(rf"(?:{_any('therefore').pattern})[\s,:*，：、]*", re.IGNORECASE)
DENIAL = _any("denial")
DOUBT = _any("doubt")
WRONG = _any("wrong")
WAIT = _any("wait")
_WAIT_STEMS = (
    "wait", "hold on", "oops", "scratch that", "strike that", "second thought", "correct", "sorry",
    "mistake", "mistaken", "error", "wrong", "recheck", "re-", "redo", "recompute", "recalculate",
    "reconsider", "rethink", "reexamine", "reevaluate", "recount", "restart", "resolve", "revisit",
    "start over", "try again", "kidding", "back", "ignore", "disregard", "forget", "satisfy",
    "n't work", "not work", "n’t work", "n't hold", "not hold", "can't be",
    "can’t be", "cannot be", "actually", "hmm", "no, ", "no wait", "atten", "trompé", "faux", "esper",
    "equivoqu", "está mal", "corrección", "moment", "warte", "halt", "falsch", "geirrt", "korrektur",
    "aspetta", "sbagliat", "um momento", "enganei", "errado", "wacht", "klopt", "fout", "vänta",
    "det är fel", "vent", "feil", "forkert", "hetkinen", "odota", "väärin", "chwila", "czekaj", "błąd",
    "pomyli", "počk", "počkej", "špatně", "spletl", "várj", "téved", "hibás", "stai", "așteaptă", "greșit",
    "čekaj", "pogriješ", "bekle", "dakika", "hata", "tunggu", "salah", "khoan", "đợi", "nhầm", "subiri",
    "nimekosea", "подожд", "стоп", "ошиб", "неверно", "зачекай", "помил", "чакай", "сгреш", "περίμεν",
    "περιμέν", "λάθος", "انتظر", "أخطأت", "רגע", "טעיתי", "等等", "等一下", "不对", "不對", "错了", "待って",
    "間違", "잠깐",
    "잠시", "틀렸", "रुक", "দাঁড়ান", "เดี๋ยว", "ఆగండి", "பொறுங்கள்",
)  # fmt: skip
_OR = _alternatives(entry.alternative for entry in _LANGUAGES if entry.alternative)
# What stands between the values of a list.
JOINT = re.compile(
    rf"\s*(?:[,;，、；]\s*(?:(?:and|or)\s+)?|\s(?:and|et|y|und|e|en|och|og|ja|i|a|și|ve|dan|và|и|та|και|{_OR})\s+"
    rf"|[和与と및])\s*(?:and\s+|or\s+)?",
    re.IGNORECASE,
)
OR = re.compile(rf"\b(?:{_OR})\b", re.IGNORECASE)
# After doubts: what was said before holds after all.
CONFIRMED = re.compile(
    r"\b(?:yes|indeed|ok(?:ay)?)\b[,.:!]?\s*(?:that|this|it|so)?(?:['’]s| is| was)?\s*(?:right|correct|"
    r"fine|true)?\s*[.!]?\s*$"
    r"|(?<!not )(?<!n't )\b(?:that|this|it|which|everything|(?:the|my|our) (?:\w+ )?(?:answer|result))"
    r"(?:['’]s| is| was| looks| seems)(?: indeed| also| all)? (?:right|correct|fine|confirmed|consistent)\b"
    r"|\b(?:checks out|confirm(?:s|ed)|(?:answer|result) (?:still )?(?:stands|holds))\b|[✓✔✅]"
    r"|\b(?:c['’]est (?:bien )?(?:correct|juste)|es correcto|das stimmt|è corretto|está correto|"
    r"всё верно)\b|是对的|正确。",
    re.IGNORECASE,
)
# A last sentence that adds nothing.
CLOSING = re.compile(
    r"\W*(?:i hope\b|hope (?:this|that|it)\b|let me know\b|feel free\b|please (?:let|note|feel)\b|"
    r"if you (?:have|need|want)\b|"
    r"thank|good luck\b|happy to\b|(?:and )?(?:we['’]re|we are|i['’]m|i am|it['’]s|it is|that['’]s|this is|"
    r"all) (?:done|it|all|finished)\b|"
    r"q\.?e\.?d|(?:this|that|which) (?:is|was) (?:the|our|my) (?:final )?(?:answer|result|solution)\b|done\b|"
    r"(?:yes|great|perfect)\W*$|(?:this|that|it|everything) (?:checks out|is (?:correct|right)|"
    r"makes sense)\b|"
    r"[^\w\d]*$)",
    re.IGNORECASE,
)
# A text that gives up has no conclusion.
GIVES_UP = re.compile(
    r"\b(?:i|we) (?:do not|don['’]t|can(?:not|['’]t)|could(?: not|n['’]t)) "
    r"(?:know|determine|solve|find|figure|answer|say)\b"
    r"|\bgive up\b|\bno idea\b",
    re.IGNORECASE,
)
# Words after "the answer is" that describe an answer and are not one.
VERDICT = re.compile(
    r"(?:indeed |also |still )?"
    r"(?:correct|right|wrong|incorrect|confirmed|as (?:above|before|follows)|the same)\W*",
    re.IGNORECASE,
)
# Words that keep a value from being claimed although "the answer is" follows in the same clause.
REPORTED = re.compile(
    r"\b(?:if|whether|suppose|assume|assuming|unless|says?|said|claims?|claimed|thought|guess(?:ed)?|wrong|"
    r"incorrect|false|untrue|doubt(?:s|ful)?|nobody|no one|hardly|isn['’]t|wasn['’]t|aren['’]t|except|"
    r"(?:any|every|no)thing but|all but|"
    r"common(?:ly)?|might|could|perhaps|maybe|possibly|someone|people|don['’]t|not|never|each|every|whose|"
    r"any|some|"
    r"since|because|initial(?:ly)?|tempting|when)\b(?![^,;:]*\bi think\b)",
    re.IGNORECASE,
)
# A sentence that sets a task or a case, as when the question is repeated.
TASK = re.compile(
    r"\W*(?:simplify|expand|factor|convert|rationalize|reduce|graph|sketch|list|name|estimate|identify|"
    r"select|express|find|compute|evaluate|calculate|determine|solve|what|which|how|let(?!['’])|write|"
    r"prove|show|"
    r"check|try|use|leave|state|provide|report|return|submit|hint|answer (?:in|with|as|to)|your answer|"
    r"suppose|assume|consider|question|problem|give|round|enter|imagine|note that if|recall|"
    r"is (?:it|the|this|that)|are (?:there|they)|could it|can it)\b",
    re.IGNORECASE,
)
TASK_LATER = re.compile(
    r",\s+(?:then\s+)?(?:find|calculate|compute|determine|evaluate|express|simplify|what|how)\b|"
    r"\bhow (?:many|much)\b",
    re.IGNORECASE,
)
# What is still to be done is no result.
PLAN = re.compile(
    r"\b(?:(?:we|i)(?:['’]ll| (?:will|shall|can|could|must|should|still|need to|have to|now|next|then|"
    r"first))*"
    r"|let us|let['’]s|next)\s+(?:(?:now|then|also|first|next)\s+)*"
    r"(?:add|subtract|multiply|divide|compute|calculate|find|check|try|use|consider|solve|substitute|plug|"
    r"take|look|"
    r"determine|count|do|verify|test|combine|convert|round|know|were given|are given)\b|\bfollow\b",
    re.IGNORECASE,
)
SEQUENCE = re.compile(r"\W*(?:first|second|third|next|then|step \d+)\b", re.IGNORECASE)
# Words that attribute a value to somebody, or to a trial.
SUPPOSED = re.compile(
    r"\b(?:thought|initially|guessed|claim(?:s|ed)?|says|said|suppos(?:e|ed|ing)|whether|try|trying|"
    r"hypothetically)\b",
    re.IGNORECASE,
)
# A subject that is an equation, not the value that one ends with.
EQUATION_NOUN = re.compile(
    r"\b(?:equation|line|circle|plane|curve|function|relation|parabola|ellipse|hyperbola|form|locus|"
    r"inequality|constraint|"
    r"condition|asymptote|axis|gleichung|gerade|ecuación|équation|equazione|equação)s?\b",
    re.IGNORECASE,
)
COUNTERFACTUAL = re.compile(
    r"^\W*wäre\b|\bif\b.{0,200}\b(?:were|had)\b.{0,200}\bwould\b|\bwould\b.{0,200}\b(?:if|unless)\b|"
    r"\bwould have been\b|^\W*(?:had|were) \w+\b.{0,200}\bwould\b",
    re.IGNORECASE | re.DOTALL,
)
# A clause that says why, before the main clause or after it.
BECAUSE = re.compile(
    r"\b(?:because|since|as(?= (?:the|there|we|it|he|she|they|each|all|[a-z] ?[=<>]))|given that|"
    r"seeing that|puisque|"
    r"(?<=, )car(?= (?:il|elle|on|les?|la|nous|une?|ce|c['’]|\d))|"
    r"parce que|weil|denn|porque|ya que|perché|poiché|pois|omdat|want|так как|потому что)\b"
    r"|因为|因為|由于|ので|なぜなら",
    re.IGNORECASE,
)
# A clause that says when.
WHEN = re.compile(
    r"\b(?:given|such that|when(?:ever)?|where|if|while|whereas|although|though|even though|whose|who|"
    r"assuming|provided|unless|wenn|"
    r"если|falls|si(?= l)|when)\b",
    re.IGNORECASE,
)
PURPOSE = re.compile(
    r"\s+(?:in order )?to\s+(?!be\b)[a-z]{2,}\b|\s+which\b|,\s+(?=with\b|where\b|as\b)", re.IGNORECASE
)
# "41 rather than 42", "41, not 42".
EXCLUDED = re.compile(
    r"\b(?:(?:and |but )?(?:not|never)\b(?! (?:only|a|an|the|my|our)\b)|rather than\b|instead of\b|"
    r"as opposed to\b|"
    r"(?:pas|non|nicht|no|não|niet|а не)\b)\s*[^,;]*|(?:而不是|不是)[^,;，。]*",
    re.IGNORECASE,
)
NOT_BUT = re.compile(
    r"\bnot\b.{1,80}?\bbut\s+|\b(?:nicht|kein\w{0,2})\b.{1,80}?\bsondern\s+|\bno\b.{1,80}?\bsino\s+"
    r"|\b(?:non|pas)\b.{1,80}?,\s*(?:mais|ma|bensì)\s+",
    re.IGNORECASE | re.DOTALL,
)
_HEDGE = (
    r"(?:(?:exactly|only|about|approximately|around|roughly|still|therefore|thus|just|simply|now|also|then|"
    r"precisely|"
    r"indeed|hence|nearly|almost|equal to|given by|an? (?:total|average|sum|minimum|maximum|probability|"
    r"value) of|donc|also|"
    r"somit|quindi|exactement|genau)\s+)*"
)
COPULA = re.compile(
    r"(?:\b(?:is|are|was|were|be|been|equals?|becomes?|became|gives?|yields?|totals|it['’]s|that['’]s|"
    r"comes (?:out )?to|"
    r"adds? up to|amounts? to|(?:simplif(?:y|ies)|reduc(?:e|es)|evaluates?|sums?|leads?|equal|up) to|est|"
    r"sont|vaut|es|son|ist|sind|"
    r"beträgt|lautet|è|é|são|sono|jest|wynosi|är|blir|er|este|είναι|равен|равно|равна|будет|adalah|là)\b"
    r"|[:：]|[A-Za-z)]\s+[-–—]\s|是|为|為|は|는|은|هو|هي|है|คือ|[=≈→⇒])[\s*_(\[]*" + _HEDGE + r"[\s*_(\[]*$",
    re.IGNORECASE,
)
PREPOSITION = re.compile(
    r"\b(?:in|on|at|for|with|within|after|before|during|per|every|each|of|all|among|from|than|out of|over|"
    r"under|against|"
    r"by|until|through|across|into|as|using|when|if|where|and for|dans|d['’]ici|après|pendant|en|pour|avec|"
    r"nach|für|mit|von|"
    r"pro|dopo|per|con|depois de|em|para|por|com|después de|na|voor|met|через|за|из|после)\s+"
    r"(?:(?:the|a|an|his|her|its|their|our|all|these|those|each|about|only|exactly|first|last|another|"
    r"every|other|"
    r"les|des|den|die|der|las|los|los|i|le)\s+)*[*_$(\[]*$",
    re.IGNORECASE,
)
QUANTITY_OF = re.compile(
    r"\b(?:total|average|mean|amount|number|price|cost|speed|rate|length|area|volume|perimeter|value|sum|"
    r"height|width|"
    r"age|score|distance|profit|probability|median|remainder|weight|maximum|minimum|chance|answer|"
    r"result) of\s+" + _HEDGE + r"[*_$(\[]*$",
    re.IGNORECASE,
)
# What a sentence says about the value that follows, or that precedes.
OPERAND = re.compile(
    r"(?:\b(?:half|twice|double|triple|third|quarter|fourth|fifth|tenth|times|plus|minus|"
    r"(?:less|more|fewer|greater|smaller|larger|bigger|higher|lower)(?: than)?,? or equal to|less than|"
    r"more than|fewer than|exceed(?:s|ed|ing)?|above|below|under|over|tends? to|approach(?:es)?|"
    r"converges? to|complement of|opposite of|"
    r"(?:expected|supposed|meant|believed|likely|thought) to be|"
    r"(?:kleiner|größer|mehr|weniger|höher|niedriger)(?: oder gleich)?(?: als)?|mindestens|höchstens|"
    r"\w{3,}er als|"
    r"(?:plus|moins|más|menos|mais|più|meno) \w+ (?:que|do que|di|che)|"
    r"(?:figure|fig\.|case|theorem|lemma|step|part|problem|exercise|equation|section|method|table|corollary)|"
    r"(?:más|menos|plus|moins|mais|più|meno) (?:de|que|di)|больше|меньше|более|менее|"
    r"greater than|smaller than|larger than|(?:longer|shorter|older|younger|bigger|heavier|taller|"
    r"faster) than|at (?:least|most)|"
    r"between|beyond|from|mod(?:ulo)?|(?:multipl|divid)\w*(?:\s\w+){0,5}\sby|instead of|rather than|"
    r"(?:anything|everything|all) but|except(?: for)?|from \S{1,12} to|(?:root|"
    r"squares?|cubes?|sum|product|difference|reciprocal|multiples?|factors?|"
    r"divisors?|powers?|logarithm|percent|quotient|rest|part|some|most|many|none|\d\s?%|inverse|negative) of)"
    r"\s+(?:of\s+)?(?:the\s+)?(?:numbers?\s+)?[*_$(\[]*)$",
    re.IGNORECASE,
)
INCREASED_BY = re.compile(
    r"\b(?:increase[sd]?|decrease[sd]?|r[io]se[sn]?|f[ae]ll[s]?|gr[eo]ws?|drop(?:s|ped)?|reduced|off|"
    r"changes?|differs?|more|"
    r"goes up|went up) by\s+[*_$]*$",
    re.IGNORECASE,
)
OPERATED = re.compile(
    r"[*_$)\]]*\s*(?:\)\s*\^|(?:では|じゃ)な[くい]|[이가]\s?아니|of\s+\d+/\d|in \d+ (?:chance|probability)|"
    r"\b(?:raised to|to \d|repeated\b|times\s+(?:as|the|more|less|\d|\$|its|his|her|that)|plus|minus|"
    r"squared|cubed|"
    r"or (?:more|less)|"
    r"(?:\w+er|more|less)\s+(?:\w+\s+){0,2}than\s+(?:the\s+)?(?:\d+|[$\\]\S)|to the power|choose|divided by|"
    r"multiplied by)\b"
    r"|(?<=%)\s*of\s+(?:the\s+)?(?:\$?\d|it\b|this\b|that\b|what\b)|(?:st|nd|rd|th)\b)",
    re.IGNORECASE,
)
_COMPARED = (
    r"(?:more|less|fewer|greater|smaller|larger|bigger|higher|lower|heavier|lighter|longer|shorter|newer|older|"
    r"other)(?: than)?(?:,? or equal to)?|at (?:least|most)|exceed(?:s|ed|ing)?|above|below|under|over|"
    r"half(?: of)?|twice|double|triple|plus|minus|up to|not"
)
_BOUND_BEFORE = re.compile(rf"\b(?:{_COMPARED})\s+(?:an?\s+|the\s+)?[*_$(\[]*$", re.IGNORECASE)
_MOMENT_BEFORE = re.compile(
    rf"\b(?:{_COMPARED}|(?:any(?:thing|time)? )?(?:before|after|since|until|till)|prior to|later than|"
    r"earlier than|nach|vor|seit|bis|après|avant|depuis|jusqu['’]à|después de|antes de|desde|hasta|dopo|"
    r"prima (?:del(?:le)?|di)|depois d[aeo]s?|antes d[aeo]s?|после|до)"
    r"\s+(?:(?:an?|the|l[aeo]s?|el|de[mnr])\s+)?[*_$(\[]*$",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(
    r"[*_$)\]]*,?\s*(?:(?:or|and) (?:more|less|fewer|later|earlier|newer|older|above|below|"
    r"higher|lower|so)\b|"
    r"(?:plus|minus|times|squared)\b|(?:more|less|\w+er) than \W{0,2}\d|"
    r"was an? (?:mon|tues|wednes|thurs|fri|satur|sun)day\b)",
    re.IGNORECASE,
)


def bounded(before: str, after: str, moment: bool = False) -> bool:
    """Whether the words around an amount make it a bound, or a part of another: over 5 kg, half of 5 kg.

    For a `moment`, "before" and "after" make it a bound, too.
    """
    pattern = _MOMENT_BEFORE if moment else _BOUND_BEFORE
    return pattern.search(before[-60:]) is not None or _BOUND_AFTER.match(after[:60]) is not None


# Words that introduce another possible value: in an aside, or by cases.
ALTERNATIVE = re.compile(
    r"\b(?:if|unless|when|may|might|could|wrong|otherwise|else|instead|maybe|perhaps|possibly)\b",
    re.IGNORECASE,
)
_CASE = r"(?:if|when|unless|with probability|otherwise|provided)"
BY_CASES = re.compile(
    rf"\d[^\w.]{{0,4}}\s{_CASE}\b[^.]{{1,80}}?(?:;|,|\b(?:and|but|or)\b)[^.]{{0,30}}?\d[^.]{{0,12}}?\b{_CASE}\b"
    r"|\d\W{1,4}(?:only if|unless)\b",
    re.IGNORECASE,
)
# Words right before or right after a box that deny it.
DENIES_NEXT = re.compile(
    rf"(?:{DENIAL.pattern})(?:\s+(?:definitely|really|simply|just|"
    rf"actually|get|equal|be|have|to|the|an?|final|correct|answer|"
    r"is|of))*\s*[:*_$(\s]*$",
    re.IGNORECASE,
)
DENIES_LAST = re.compile(
    r"[\s$*_)\]]*(?:\?|(?:is|was|are|would be|can(?:not|['’]t) be|must be)(?:n['’]t)?(?: (?:the|an?|"
    r"clearly|obviously))* "
    r"(?:wrong|incorrect|not\b|false|invalid|impossible|right if|correct if|answer if)|"
    r"\([^()\n]{0,80}\b(?:guess|not sure|unsure|may be wrong|could (?:also )?be|might (?:also )?be)\b|"
    r"would be (?:the|my) \w+ if\b)",
    re.IGNORECASE,
)
# After these words, a denial ("there is none but …") is not one.
EXCEPTED = re.compile(
    r"\b(?:other than|except(?: for)?|besides|apart from|aside from|but|yet|not true|untrue|false|"
    r"not the case|isn['’]t the case)\b",
    re.IGNORECASE,
)


# An operator or relation before or after a value: it is part of a larger expression.
OPERATOR_BEFORE = re.compile(
    r"(?:[大小多少]于|超过|不到|[+*×÷^·<>≤≥≠]|(?<![A-Za-z])/|[\d)}%][a-z ]{0,12}[-−–]|[\d)]\s?x)\s*[$(]*$"
)
OPERATOR_AFTER = re.compile(r"\s*(?:[+*×÷^·<>≤≥≠=≈]|/(?!\s*[A-Za-z])|[-−–]\s*[\d$(]|x\s?\$?\d|\((?=[\d$]))")
