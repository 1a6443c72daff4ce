"""Text brought down to what a reader would take it for: one plain spelling for look-alikes, leetspeak and invisible characters.

Used by the gate on both sides, on its terms and on a prompt, so a fold need not be pretty, only the same for both.
"""

import html
import re
import unicodedata

from schemas.lookalikes import BEFORE_NFKD, digits, invisible, skeleton

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
    found: list[str] = []
    # The long s is an s to who knows it and an f to who doesn't.
    for meant in dict.fromkeys((text, text.replace("ſ", "f"))):
        apart = unicodedata.normalize("NFKD", meant.translate(BEFORE_NFKD))
        bare = unicodedata.normalize("NFC", apart.translate(invisible()))
        for seen in (bare.translate(digits()), bare):
            found.append(_settle(seen.casefold().translate(skeleton()).casefold()))
            found.append(_settle(seen.translate(skeleton()).casefold()))
    return list(dict.fromkeys(found))


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
    found = list(bases)
    for base in bases:
        # The two looks without `_MEASURE` spare most texts the substitution.
        if _SIGN.search(base) and _SIGN_FOR_LETTER.search(base) and _SIGN_FOR_LETTER.search(_MEASURE.sub("", base)):
            found += _leet(base)
    if not text[1:].islower() and _CAMEL.search(text):
        found += _bases(_CAMEL.sub(r"\1 ", text))
    return found[0] if len(found) == 1 else GAP.join(found)


SHINGLE = 5  # characters; usual for short texts (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.2)

_APART = re.compile(r"[^\w]+")


def plain(text: str) -> str:
    """The text folded as the gate folds it (NFKD, TR39 skeleton, case, format characters), its words one space apart."""
    return _APART.sub(" ", fold(text)).strip()
