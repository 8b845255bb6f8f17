"""Words for answers, conclusions, doubts and retractions, in all supported languages."""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    """The words of one language, as alternatives of a regular expression; "" if it needs none.

    `answer` is the noun, `equals` the words between it and the answer; `therefore` introduces a conclusion;
    `denial`, `doubt` and `wrong` reject the value next to them; `wait` retracts what was said before.
    """

    answer: str
    equals: str
    therefore: str
    denial: str
    doubt: str = ""
    wrong: str = ""
    wait: str = ""
    alternative: str = ""


# Languages that put spaces between words; the words of a pattern stand alone.
SPACED = {
    "English": Language(
        r"answers?",
        r"(?:must|should|would|will|has to) be|is|are|was|of|equals|comes (?:out )?to(?: be)?|"
        r"turns out to be|"
        r"becomes",
        r"i (?:think|believe)|therefore|thus|hence|so(?! (?:that|far|on|much|many)\b)|consequently|finally|"
        r"in conclusion|in total|altogether|from which|in which case|of which there are|(?:which|that|"
        r"this) (?:in turn )?(?:gives|makes|means|leaves|equals|"
        r"yields|implies|leads to|indicates|shows|tells)(?: us)?(?: that)?|which (?:is|are|has|have)|"
        r"whose \w+ (?:is|are)|(?<=, )that is(?=,)|which rounds (?:up |down )?to|or about|"
        r"leaving|giving|yielding|making|for a total of|i\.e\.|implying|"
        r"(?:we|you|i) (?:\w+ )?(?:find|get|have|obtain|conclude|see)(?: that)?(?! to\b)",
        r"not|never|no|neither|nor|none|nobody|hardly|far from|anything but|cannot|\w{2,6}n['’]t",
        r"not sure|unsure|doubt(?:s|ful)?|maybe|perhaps|possibly|may(?: also)? be|might|"
        r"could(?: also)? be(?=\s+[\W\d]|"
        r"\s+(?:that|the|a|an|either|both)\b)|unknown|unclear|unlikely|no idea|guess(?:ing)?|"
        r"impossible to (?:say|tell)|depends? on|don['’]?t know|do not know|candidates? (?:are|include)",
        r"wrong|incorrect|false|untrue|impossible|invalid|fails?|failed|contradict(?:s|ion|ory)?|mistake|mistaken|"
        r"rule[sd]? out|ruled|ruling out|eliminat(?:es?|ed|ing)|reject(?:s|ed|ing)?|exclud(?:es?|ed|ing)|"
        r"discard(?:s|ed|ing)?|extraneous|spurious|inadmissible|tempted|too (?:large|small|big|high|low|"
        r"long|short|many|few|much|little)|tempting",
        r"wait(?=\s*(?:[,.!:…—-]|a (?:minute|second|moment)\b|no\b|but\b|actually\b|i\b|that\b|let\b|"
        r"what\b))|"
        r"hold on|oops|scratch that|strike that|on second thoughts?|correction(?=\s*[:,])|sorry(?=,)|"
        r"my mistake|"
        r"just kidding|i take (?:that|it|this) back|(?:ignore|disregard|forget) (?:that|this|it|"
        r"the above)(?=[.,;!])|"
        r"(?:(?<=[.!?…] )|\b(?:but|however|hmm),? )(?:this|that|it) (?:does not|doesn['’]?t|"
        r"fails to) satisfy|(?<=[.…] )actually(?=,? \W{0,2}\d)|"
        r"i (?:was|am) (?:wrong|mistaken)|i(?: have|['’]ve)? (?:made|found) (?:a mistake|an error)|"
        r"(?:let me|let us|let['’]s|i(?: will|['’]ll| should| need to| must)) (?:re-?(?:check|do|compute|"
        r"calculate|"
        r"consider|think|examine|evaluate|count|start|solve|visit)|start over|try again|correct (?:that|"
        r"this|it|myself))|"
        r"(?:that|this|it)(?:['’]s| is| was| seems| looks)(?: (?:also|still|clearly|actually|not quite|"
        r"obviously))*"
        r" (?:wrong|incorrect|not (?:right|correct)|a mistake|an error)|that(?: does|['’]?)(?:n['’]?t|"
        r" not) (?:work|hold)|"
        r"(?:that|this) can(?:not|['’]t) be(?: (?:right|correct|true|it)\b|(?=[.!,]))|"
        r"actually(?=,? (?:it|the (?:correct|right|final|answer|result|value))\b)|"
        r"(?<=[.!?:—] )(?:hmm+,? )?no,?(?= (?:wait\b|that\b|this\b|it\b|the\b|i\b|\$?\d))|"
        r"hmm+,? no|no,? wait",
        r"or",
    ),
    "French": Language(
        r"r[ée]ponses?(?: finale)?",
        r"est|sont|vaut|égale|c'est",
        r"donc|ainsi|finalement|au total|par conséquent|en conclusion",
        r"non|ne|n['’](?=\w)|pas",
        r"peut-être|je ne sais|pourrait|si l'on",
        r"faux|fausse|incorrecte?",
        r"(?:attendez|attends)(?=[,.!…])|je me suis trompée?|c['’]est faux",
        r"ou|soit",
    ),
    "Spanish": Language(
        r"respuestas?(?: (?:final|correcta))?",
        r"es|son|sería|será",
        r"por (?:lo )?tanto|entonces|así que|en total|luego|en consecuencia",
        r"no|nunca|tampoco",
        r"quizás?|tal vez|podría|no sé|puede ser",
        r"incorrect[ao]|fals[ao]",
        r"esper[ae](?=[,.!…])|me equivoqué|eso está mal|corrección",
        r"o|u",
    ),
    "German": Language(
        r"antwort(?:en)?|endergebnis",
        r"ist|sind|lautet|beträgt|wäre",
        r"also|daher|deshalb|folglich|insgesamt|somit|demnach|damit|schließlich",
        r"nicht|nie|kein(?:e[nrs]?)?|weder",
        r"vielleicht|möglicherweise|könnten?|unsicher|weiß nicht",
        r"falsch|unmöglich",
        r"(?:moment(?: mal)?|warte|halt)(?=[,.!…])|das ist falsch|ich habe mich geirrt|korrektur",
        r"oder",
    ),
    "Italian": Language(
        r"rispost[ae](?: finale)?",
        r"è|é|sono|sarà|vale",
        r"quindi|pertanto|dunque|in totale|perciò",
        r"non|né",
        r"forse|potrebbe|non so",
        r"sbagliat[oa]|errat[oa]|falso",
        r"(?:aspetta|un momento)(?=[,.!…])|ho sbagliato|mi sono sbagliat[oa]",
        r"o|oppure",
    ),
    "Portuguese": Language(
        r"respostas?(?: (?:final|correta))?",
        r"é|são|será|seria",
        r"portanto|logo|assim|no total|então|por isso",
        r"não|nao|nunca|nem",
        r"talvez|poderia|não sei|pode ser",
        r"errad[oa]|incorret[oa]|fals[oa]",
        r"um momento(?=[,.!…])|cometi um erro|me enganei|isso está errado",
        r"ou",
    ),
    "Dutch": Language(
        r"antwoord(?:en)?",
        r"is|zijn|bedraagt",
        r"dus|daarom|in totaal|derhalve|bijgevolg",
        r"niet|geen|nooit",
        r"misschien|mogelijk|zou kunnen|weet niet",
        r"fout|onjuist",
        r"wacht(?=[,.!…])|dat klopt niet|ik heb een fout gemaakt",
    ),
    "Swedish": Language(
        r"svar(?:et)?",
        r"är|blir",
        r"alltså|därför|således|totalt",
        r"inte|ej|ingen|inga",
        r"kanske|möjligen|vet inte",
        r"fel|felaktigt",
        r"vänta(?=[,.!…])|det är fel|jag hade fel",
        r"eller",
    ),
    "Danish and Norwegian": Language(
        r"svar(?:et)?",
        r"er|blir|bliver",
        r"altså|derfor|dermed|i alt|totalt",
        r"ikke|ingen",
        r"måske|kanskje|muligvis|vet ikke|ved ikke",
        r"feil|forkert|galt",
        r"vent(?=[,.!…])|det er (?:feil|forkert)",
        r"eller",
    ),
    "Finnish": Language(
        r"vastaus",
        r"on",
        r"siis|joten|näin ollen|yhteensä|siksi",
        r"ei ole|eivät ole",
        r"ehkä|kenties",
        r"väärin|väärä",
        r"(?:hetkinen|odota)(?=[,.!…])|se on väärin",
        r"tai",
    ),
    "Polish": Language(
        r"odpowied(?:[zź]i?)",
        r"to|jest|wynosi|brzmi",
        r"zatem|więc|dlatego|a więc|łącznie|razem",
        r"nie",
        r"może|być może|nie wiem",
        r"błędn[aey]|źle",
        r"(?:chwila|czekaj)(?=[,.!…])|to błąd|pomyliłem się|pomyliłam się",
        r"lub|albo",
    ),
    "Czech": Language(
        r"odpov[eě][ďd]",
        r"je|jsou|zní",
        r"proto|tedy|takže|celkem",
        r"není|nejsou|ne|nikdy",
        r"možná|snad|nevím",
        r"špatně|nesprávn[áéě]",
        r"počkej(?:te)?|to je špatně|spletl jsem se",
        r"nebo",
    ),
    "Hungarian": Language(
        r"v[áa]lasz",
        r"(?=\d|\$|\\)|az?",
        r"tehát|ezért|így|összesen",
        r"nem|nincs",
        r"talán|lehet",
        r"hibás|rossz",
        r"várj(?:unk)?|tévedtem|ez hibás",
        r"vagy",
    ),
    "Romanian": Language(
        r"r[ăa]spuns(?:ul)?(?: final)?",
        r"este|e|sunt",
        r"deci|prin urmare|așadar|în total|astfel",
        r"nu (?:este|e|sunt|are)|niciodată",
        r"poate|probabil|nu știu",
        r"greșit|fals",
        r"stai|așteaptă|am greșit",
        r"sau",
    ),
    "Serbo-Croatian": Language(
        r"odgovor",
        r"je|su|jest",
        r"dakle|stoga|znači|ukupno|zato",
        r"nije|nisu|ne",
        r"možda|ne znam",
        r"pogrešno|netočno",
        r"čekaj|pogriješio sam",
        r"ili",
    ),
    "Turkish": Language(
        r"cevap|yanıt|cevabı",
        r"(?=\d|\$|\\|[A-J]\b)",
        r"dolayısıyla|yani|toplam(?:da)?|öyleyse|bu nedenle|sonuç olarak",
        r"değil(?:dir)?|yok",
        r"belki|olabilir",
        r"yanlış",
        r"(?:bekle|bir dakika)(?=[,.!…])|hata yaptım",
        r"veya|ya da",
    ),
    "Indonesian": Language(
        r"jawaban(?:nya)?(?: akhir(?:nya)?)?",
        r"adalah|ialah|yaitu",
        r"jadi|oleh karena itu|dengan demikian|maka",
        r"bukan(?:lah)?|tidak",
        r"mungkin|tidak tahu",
        r"salah",
        r"tunggu|itu salah",
        r"atau",
    ),
    "Vietnamese": Language(
        r"[đd][áa]p\s+(?:[áa]n|số)|câu trả lời",
        r"là|bằng",
        r"vậy|do đó|vì vậy|tóm lại|như vậy",
        r"không|chẳng|chưa",
        r"có thể|có lẽ|không biết",
        r"sai",
        r"khoan|đợi đã|tôi (?:đã )?nhầm",
        r"hoặc|hay",
    ),
    "Swahili": Language(
        r"jibu",
        r"ni",
        r"kwa hiyo|hivyo|kwa hivyo|jumla",
        r"(?<=jibu )si|sio|siyo|hapana",
        r"labda|huenda|sijui",
        r"si sahihi",
        r"subiri|nimekosea",
        r"au",
    ),
    "Russian": Language(
        r"ответ(?:ы|ом)?",
        r"равен|равно|равна|это|является|будет",
        r"следовательно|поэтому|таким образом|итак|значит|всего|в итоге",
        r"нет|не|ни",
        r"возможно|может быть|наверное|не знаю",
        r"неверно|неправильно|ошибочно",
        r"(?:подождите|подожди|стоп)(?=[,.!…])|я ошибся|я ошиблась|это неверно",
        r"или|либо",
    ),
    "Ukrainian": Language(
        r"відповідь",
        r"це|є|дорівнює",
        r"отже|тому|таким чином|усього",
        r"ні|не",
        r"можливо|мабуть|не знаю",
        r"неправильно|хибно",
        r"зачекайте|зачекай|я помилився",
        r"або|чи",
    ),
    "Bulgarian": Language(
        r"отговор(?:ът)?",
        r"е|са",
        r"следователно|значи|така че|общо|затова",
        r"не|няма",
        r"може би|възможно е|не знам",
        r"грешно|неверно",
        r"чакай(?:те)?|сгреших",
        r"или",
    ),
    "Greek": Language(
        r"απάντηση",
        r"είναι",
        r"άρα|επομένως|συνεπώς|οπότε|συνολικά",
        r"δεν|δε|μη|όχι",
        r"ίσως|μπορεί|δεν ξέρω",
        r"λάθος",
        r"περίμενε|περιμένετε|έκανα λάθος",
        r"ή",
    ),
    "Arabic": Language(
        r"(?:جواب|إجابة)(?: (?:هو|هي))?(?: (?:النهائية|النهائي|الصحيحة|الصحيح))?",
        r"هو|هي|تساوي|يساوي",
        r"لذا|لذلك|إذن|إذًا|وبالتالي|بالتالي|المجموع",
        r"ليس|ليست|لا|غير",
        r"ربما|قد|لا أعرف",
        r"خطأ|خاطئ",
        r"انتظر|لقد أخطأت",
        r"أو",
    ),
    "Hebrew": Language(
        r"תשובה(?: (?:הסופית|הנכונה))?",
        r"היא|הוא",
        r"לכן|על כן|בסך הכל|מכאן",
        r"לא|אינה|אינו|אין",
        r"אולי|ייתכן",
        r"שגוי|שגויה",
        r"רגע|טעיתי",
        r"או",
    ),
}
# Languages without spaces between words, or with endings on them; a pattern may be part of a word.
GLUED = {
    "Chinese": Language(
        r"答案|(?<!回)答(?=[:：])",
        r"应该是|應該是|是|为|為|等于|等於",
        r"因此|所以|故|综上(?:所述)?|綜上(?:所述)?|總共|总共|一共|共有|结论|最终|最后|于是|可得|得到",
        r"不|没|沒|非",
        r"可能|也许|也許|或许|大概|不知道|假设|假設|如果",
        r"错|錯|矛盾",
        r"等等|等一下|不对|不對|算错了|我错了",
        r"或(?:者)?|还是",
    ),
    "Japanese": Language(
        r"答え?|解答|正解",
        r"は|が",
        r"したがって|よって|ゆえに|以上より|従って|つまり|合計",
        r"ない|ません|違",
        r"かもしれ|おそらく|たぶん|わから|もし",
        r"間違|誤り",
        r"待って|間違えました|間違いました",
        r"または|か(?=\d)",
    ),
    "Korean": Language(
        r"정답|답",
        r"은|는|이|가",
        r"따라서|그러므로|그래서|결국|총",
        r"아니|아닙|않|못",
        r"아마|모르|만약|수도",
        r"틀렸|틀린|잘못",
        r"잠깐|잠시만|제가 틀렸",
        r"또는|혹은",
    ),
    "Hindi": Language(
        r"उत्तर",
        r"है|=",
        r"अतः|इसलिए|कुल|अत:",
        r"नहीं|ना",
        r"शायद|हो सकता",
        r"गलत",
        r"रुकिए|रुको",
        r"या",
    ),
    "Bengali": Language(
        r"উত্তর",
        r"হল|হলো|হচ্ছে",
        r"সুতরাং|অতএব|তাই|মোট",
        r"নয়|না",
        r"সম্ভবত|হয়তো",
        r"ভুল",
        r"দাঁড়ান",
        r"অথবা|বা",
    ),
    "Thai": Language(
        r"คำตอบ(?:สุดท้าย|ที่ถูกต้อง)?",
        r"คือ|เท่ากับ|เป็น",
        r"ดังนั้น|เพราะฉะนั้น|รวม",
        r"ไม่",
        r"อาจ|บางที",
        r"ผิด",
        r"เดี๋ยวก่อน",
        r"หรือ",
    ),
    "Telugu": Language(
        r"సమాధానం|జవాబు", r"=", r"కాబట్టి|అందువల్ల|మొత్తం", r"కాదు|లేదు", r"బహుశా", r"తప్పు", r"ఆగండి", r"లేదా"
    ),
    "Tamil": Language(
        r"பதில்|விடை", r"=", r"எனவே|ஆகவே|மொத்தம்", r"அல்ல|இல்லை", r"ஒருவேளை", r"தவறு", r"பொறுங்கள்", r"அல்லது"
    ),
}
