"""How much of the prose is in the language that was asked for."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

MAX_CHARACTERS = 50_000  # of a longer completion, the beginning
PIECE = 200  # characters that are judged together, at least

# Loaded (half a second) when this module is imported, which the reward service does once, before
# it forks its workers: they share it, and a replaced one has it at once.
_IDENTIFIER = LanguageIdentifier.from_model_file(MODEL_FILE)

# What is not prose. Every alternative is bounded or ends at a character it cannot cross.
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]{0,500}`|\$\$[^$]{0,5000}\$\$|\$[^$\n]{0,1000}\$"
    r"|\\\[(?:(?!\\[\[\]]).){0,5000}\\\]|\\\((?:(?!\\[()]).){0,1000}\\\)"
    r"|\\begin\{(\w{1,20})\*?\}(?:(?!\\(?:begin|end)\{).){0,5000}\\end\{\1\*?\}"
    r"|\\[A-Za-z]+|</?\w{1,20}>|https?://\S+",
    re.DOTALL,
)
_SENTENCE = re.compile(r"(?<=[.!?。！？؟])\s*|\n+")
_SCRIPTS = {
    "CJK": "HAN", "HIRAGANA": "KANA", "KATAKANA": "KANA", "HANGUL": "HANGUL", "LATIN": "LATIN",
    "CYRILLIC": "CYRILLIC", "ARABIC": "ARABIC", "HEBREW": "HEBREW", "DEVANAGARI": "DEVANAGARI",
    "GREEK": "GREEK", "THAI": "THAI", "BENGALI": "BENGALI", "TAMIL": "TAMIL", "TELUGU": "TELUGU",
}  # fmt: skip
_SCRIPTS_OF = {
    "zh": ("HAN",), "ja": ("HAN", "KANA"), "ko": ("HANGUL", "HAN"), "el": ("GREEK",), "th": ("THAI",),
    "he": ("HEBREW",), "bn": ("BENGALI",), "ta": ("TAMIL",), "te": ("TELUGU",), "sr": ("CYRILLIC", "LATIN"),
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk", "kk", "mn", "ky"), ("CYRILLIC",)),
    **dict.fromkeys(("ar", "fa", "ur", "ps"), ("ARABIC",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("DEVANAGARI",)),
}  # fmt: skip


def language_reward(completion: str, language: str = "en", min_letters: int = 40) -> float | None:
    """The share, in [0, 1], of the letters of the prose that are in `language` (an ISO 639-1 code).

    Code, LaTeX, tags and addresses are left out. A letter counts when its script is one that the
    language is written in, and the passage it stands in (sentences, put together to at least
    `PIECE` characters) is of that language by py3langid. So a Chinese or Cyrillic phrase within
    English costs its own letters even where the passage remains English. Below `min_letters`
    letters of prose: None, no opinion. Raises ValueError for a language that py3langid does not know.
    """
    if language not in _IDENTIFIER.labels:
        raise ValueError(
            f"language is {language!r}, but must be one of {', '.join(sorted(_IDENTIFIER.labels))}"
        )
    prose = _NOT_PROSE.sub(" ", completion[:MAX_CHARACTERS])
    scripts = _SCRIPTS_OF.get(language, ("LATIN",))
    letters = matching = 0
    for piece in _pieces(prose):
        found = [_script(character) for character in piece if character.isalpha()]
        letters += len(found)
        own = sum(script in scripts for script in found)
        if own and _IDENTIFIER.classify(piece)[0] == language:
            matching += own
    return matching / letters if letters >= min_letters else None


def _pieces(prose: str) -> list[str]:
    """Sentences, joined until each piece has `PIECE` characters; a short end joins the last."""
    pieces = [""]
    for sentence in _SENTENCE.split(prose):
        if len(pieces[-1]) >= PIECE:
            pieces.append("")
        pieces[-1] += f"{sentence.strip()} "
    if len(pieces) > 1 and len(pieces[-1]) < PIECE:
        short = pieces.pop()
        pieces[-1] += short
    return pieces


@lru_cache(maxsize=4_096)
def _script(character: str) -> str:
    first = unicodedata.name(character, "?").split()[0].split("-")[0]
    return _SCRIPTS.get(first, first)
