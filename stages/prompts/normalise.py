"""Text brought down to what a reader would take it for: one plain spelling for look-alikes, leetspeak and invisible characters.

Used by the gate on both sides, on its terms and on a prompt, so a fold need not be pretty, only the same for both.
"""

import html
import re
import sys
import unicodedata
from functools import cache

from schemas.lookalikes import BEFORE_NFKD, digits, invisible, skeleton, undecorated

# Between two readings of one text: longer than any gap a term may span (`stages.prompts.terms`): no match crosses it.
GAP = " " * 8

# i, l, 1 and | pass for one another in most typefaces (TR39 has them as one class): one letter stands for all.
# Underscores are word characters to `re`, separators to a reader.
_ASCII = str.maketrans({"l": "i", **dict.fromkeys("_\t\n\r\v\f", " ")})
_LEET = str.maketrans("012345678|9@$!+(€£", "oizeasgtbigasitcei")
_SIGN = re.compile(r"[0-9@$!|+(€£]")
# A sign or digit that touches a letter, a lone digit after one, and a lone letter with a lone sign.
_SIGN_FOR_LETTER = re.compile(
    r"[^\W\d_][0-9@$€£|]|[0-9@$!|+(€£][^\W\d_]|[^\W\d_]\W{1,7}[0-9](?![^\W_])"
    r"|(?<![^\W_])[^\W\d_]\W{1,7}[@$!|+](?![^\W_])|(?<![^\W_])[0-9@$!|+]\W{1,7}[^\W\d_](?![^\W_])"
)
_NUMBER_OR_SIGN = re.compile(r"\d{2,}|[0-9@$!|+(€£]")
# What cameras, screens and dates write: "4k", "85mm", "1920s", "3rd". Read as leetspeak they cost time and say nothing.
_MEASURE = re.compile(r"\b\d+(?:k|mm|cm|px|fps|st|nd|rd|th|bit|\d[ps])\b")
_CAMEL = re.compile(r"([a-z])(?=[A-Z])")


def _settle(text: str) -> str:
    """Lower-case text with the letters that pass for one another merged and without wide gaps."""
    text = text.translate(_ASCII)
    return " ".join(text.split()) if "    " in text else text


def _bases(text: str) -> list[str]:
    """The text in ASCII where it looks like ASCII.

    Several ways where they differ: look-alikes of capitals or of small letters; digits for their value or their shape.
    """
    if text.isascii():
        return [_settle(text.lower())]
    bases: list[str] = []
    # The long s is an s to who knows it and an f to who doesn't.
    for meant in dict.fromkeys((text, text.replace("ſ", "f"))):
        apart = unicodedata.normalize("NFKD", meant.translate(BEFORE_NFKD))
        bare = unicodedata.normalize("NFC", apart.translate(invisible()))
        for seen in (bare.translate(digits()), bare):
            bases.append(_settle(seen.casefold().translate(skeleton()).casefold()))
            bases.append(_settle(seen.translate(skeleton()).casefold()))
    return list(dict.fromkeys(bases))


def fold(term: str) -> str:
    """The one fold of a term: as `readings` would have it, without the guesses made about a prompt."""
    return _bases(term)[0]


def _leet(base: str) -> list[str]:
    """The text with signs as letters, in words only and everywhere; whole numbers stay: they may be an age."""
    words = [word.translate(_LEET) if word.islower() and not word.isalpha() else word for word in base.split(" ")]
    everywhere = _NUMBER_OR_SIGN.sub(lambda sign: sign[0] if len(sign[0]) > 1 else sign[0].translate(_LEET), base)
    return [" ".join(words), everywhere]


def readings(text: str) -> str:
    """Every way in which a text may be meant to be read, folded, joined by `GAP`.

    Mostly one. More with characters beyond ASCII, digits or signs beside letters (leetspeak), or "camelCase" (apart).
    """
    if "&" in text and ";" in text:
        text = html.unescape(text)
    bases = _bases(text)
    forms = list(bases)
    for base in bases:
        # The two looks without `_MEASURE` spare most texts the substitution.
        if _SIGN.search(base) and _SIGN_FOR_LETTER.search(base) and _SIGN_FOR_LETTER.search(_MEASURE.sub("", base)):
            forms += _leet(base)
    if not text[1:].islower() and _CAMEL.search(text):
        forms += _bases(_CAMEL.sub(r"\1 ", text))
    return forms[0] if len(forms) == 1 else GAP.join(forms)


SHINGLE = 5  # characters; usual for short texts (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.2)
DENSE_SHINGLE = 3  # where a character is a syllable or a word: Han, kana, Hangul

_APART = re.compile(r"[^\w]+")
_LATIN = re.compile(r"[a-z]")
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")
# Letters that alphabets of today's languages have: in "đa" and "schön" they are no disguise.
_ALPHABETS = (*range(0xC0, 0x180), 0x1A0, 0x1A1, 0x1AF, 0x1B0, *range(0x1CD, 0x1DD), *range(0x218, 0x21C))
_DISGUISES = (range(0x80, 0x590), range(0x1C80, 0x2E00), range(0xA640, 0xA800), range(0x1F100, 0x1F200))


def exact(text: str) -> str:
    """The text in NFC and case folded: prompts that differ here are different prompts."""
    return unicodedata.normalize("NFC", text).casefold()


def plain(text: str) -> str:
    """The text's spelling: what is left where case, spaces, punctuation, format characters and disguised letters say nothing.

    ASCII is folded as the gate folds it. Elsewhere marks, accents, symbols and emoji stay, as they tell words apart, and a
    look-alike is a disguise only beside Latin letters. A text of nothing else is left as it is.
    """
    if text.isascii():
        folded = fold(text)
        words = _APART.sub(" ", folded)
    else:
        folded = _spelt(text)
        words = folded.translate(_separators())
    return next((joined for form in (words, folded, text) if (joined := " ".join(form.split()))), "")


def _spelt(text: str) -> str:
    bare = undecorated(unicodedata.normalize("NFKC", text.translate(BEFORE_NFKD)))
    seen = bare.translate(digits()).casefold()
    if _LATIN.search(seen):
        seen = seen.translate(_disguises()).casefold()
    return _settle(unicodedata.normalize("NFC", seen))


@cache
def _disguises() -> dict[int, str]:
    """Look-alikes of ASCII in the scripts that are mixed with Latin to pass for it."""
    return {code: seen for code, seen in skeleton().items() if any(code in block for block in _DISGUISES)} | {
        code: chr(code) for code in _ALPHABETS
    }


@cache
def _separators() -> dict[int, str]:
    """Punctuation, spaces and controls of every script, and ASCII's signs, to a space."""
    codes = (code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] in "PZC")
    return dict.fromkeys((*codes, *map(ord, "$+<=>^`|~_")), " ")


def shingles(folded: str) -> frozenset[str]:
    """The set of a `plain` text's runs of `SHINGLE` characters, of `DENSE_SHINGLE` where most characters are dense."""
    dense = not folded.isascii() and 2 * len(_DENSE.findall(folded)) > len(folded)
    width = DENSE_SHINGLE if dense else SHINGLE
    return frozenset(folded[first : first + width] for first in range(max(1, len(folded) - width + 1)))
