"""The reward for prose in a given language."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

MAX_CHARACTERS = 50_000  # of a longer completion only the beginning is read
PIECE = 200  # least number of characters that are classified together

# Loaded (half a second) when this module is imported. The reward service imports it once, before it forks
# its workers, so that all of them share the model.
_IDENTIFIER = LanguageIdentifier.from_model_file(MODEL_FILE)

# What is not prose. Every alternative is bounded, or ends at a character that it cannot match.
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

    Code, LaTeX, tags and URLs are ignored. A letter counts if its script is used for the language, and
    py3langid classifies its passage (sentences, joined to at least `PIECE` characters) as that language.
    So the letters of a Chinese or Cyrillic phrase within English do not count, even if the passage is
    classified as English. None (no opinion) for fewer than `min_letters` letters of prose. Raises
    ValueError for a language that py3langid does not know.
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
