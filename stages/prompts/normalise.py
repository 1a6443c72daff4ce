"""Text brought down to what a reader would take it for: one plain spelling for look-alikes, leetspeak and invisible characters.

Used by the gate on both sides, on its terms and on a prompt, so a fold need not be pretty, only the same for both.
"""

import functools
import html
import re
import sys
import unicodedata

from confusable_homoglyphs import confusables

# Between two readings of one text: longer than any gap that a term may span (`stages.prompts.terms`), so that no match crosses it.
GAP = " " * 8

# i, l, 1 and | pass for one another in most typefaces (TR39 has them as one class): one letter stands for all.
# Underscores are word characters to `re`, separators to a reader.
_ASCII = str.maketrans({"l": "i", "_": " ", "\n": " "})
_LEET = str.maketrans("012345678|9@$!+(€£", "oizeasgtbigasitcei")
_LEET_SIGN = re.compile(r"[0-9@$!|+(€£]")
_LEET_BY_A_LETTER = re.compile(r"[^\W\d_][0-9@$!|+(€£]|[0-9@$!|+(€£][^\W\d_]|[^\W\d_]\W{1,5}[0-9](?!\w)")
# What cameras, screens and dates write: "4k", "85mm", "1920s", "3rd". Read as leetspeak they cost time and say nothing.
_MEASURE = re.compile(r"\b\d+(?:k|mm|cm|px|fps|st|nd|rd|th|bit|\d[ps])\b")
_CAMEL = re.compile(r"([a-z])(?=[A-Z])")

_SKIN_TONES = range(0x1F3FB, 0x1F400)
# Default-ignorable characters that are not in category Cf: they take no space on the page.
_INVISIBLE = (
    *range(0x115F, 0x1161),
    0x034F,
    0x17B4,
    0x17B5,
    *range(0x180B, 0x1810),
    0x3164,
    *range(0xFE00, 0xFE10),
    0xFFA0,
)
_TATWEEL = 0x0640  # stretches an Arabic word, says nothing
_LATIN_NAMES = (
    re.compile(r"LATIN (?:SMALL|CAPITAL) LETTER ([A-Z])(?: WITH .*)?"),
    re.compile(r"LATIN LETTER SMALL CAPITAL ([A-Z])"),
    re.compile(r"LATIN SMALL LETTER (?:TURNED|REVERSED|DOTLESS|SCRIPT|SIDEWAYS|INSULAR) ([A-Z])"),
    re.compile(r"(?:NEGATIVE |CROSSED NEGATIVE )?(?:CIRCLED|SQUARED|PARENTHESIZED) LATIN CAPITAL LETTER ([A-Z])"),
    re.compile(r"REGIONAL INDICATOR SYMBOL LETTER ([A-Z])"),
)
_LATIN_BLOCKS = (
    range(0x100, 0x2B0),
    range(0x1D00, 0x1DC0),
    range(0x2C60, 0x2C80),
    range(0xA720, 0xA800),
    range(0x1F100, 0x1F200),
)


@functools.cache
def _dropped() -> dict[int, str | None]:
    """Characters that change nothing a reader reads (to None), and every script's decimal digits (to ASCII)."""
    table: dict[int, str | None] = dict.fromkeys((*_INVISIBLE, *_SKIN_TONES, _TATWEEL))
    for code in range(0x80, sys.maxunicode + 1):
        char = chr(code)
        category = unicodedata.category(char)
        # Combining classes below 10 are letters' own parts (nukta, virama, kana voicing); from 10 on they are points and
        # accents, which "zalgo" text stacks and which Arabic and Hebrew leave out at will.
        if category == "Cf" or (category == "Mn" and unicodedata.combining(char) >= 10):
            table[code] = None
        elif category == "Nd":
            table[code] = str(unicodedata.decimal(char))
    return table


@functools.cache
def skeleton_table() -> dict[int, str]:
    """Each character beyond ASCII that is drawn like an ASCII letter, to that letter, in its case (Unicode TR39, MIT copy).

    TR39 leaves out letters that only resemble one (small capitals, stroked, circled, turned): those go by their
    Unicode names.
    """
    table: dict[int, str] = {}
    for code in (code for block in _LATIN_BLOCKS for code in block):
        name = unicodedata.name(chr(code), "")
        letters = [match[1] for pattern in _LATIN_NAMES if (match := pattern.fullmatch(name))]
        if letters:
            table[code] = letters[0] if " CAPITAL LETTER " in name else letters[0].lower()
    for char, alike in confusables.confusables_data.items():
        if len(char) == 1 and ord(char) > 0x7F:
            letter = next((other["c"] for other in alike if len(other["c"]) == 1 and other["c"].isascii()), "")
            if letter.isalpha():
                table[ord(char)] = letter
    return table


def _settle(text: str) -> str:
    """Lower-case text with the letters that pass for one another merged and without wide gaps."""
    text = text.translate(_ASCII)
    return " ".join(text.split()) if "    " in text else text


def _bases(text: str) -> tuple[str, ...]:
    """The text in ASCII where it looks like ASCII. Two ways when they differ: look-alikes of capitals and of small letters."""
    if text.isascii():
        return (_settle(text.lower()),)
    seen = unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text).translate(_dropped()))
    skeleton = skeleton_table()
    small = _settle(seen.casefold().translate(skeleton).casefold())
    capital = _settle(seen.translate(skeleton).casefold())
    return (small,) if small == capital else (small, capital)


def fold(term: str) -> str:
    """The one fold of a term: as `readings` would have it, without the guesses made about a prompt."""
    return _bases(term)[0]


def _leet(base: str) -> list[str]:
    """The text with digits and signs as letters; numbers stay (they may be an age), but a lone digit may be a letter."""
    words = base.split(" ")
    mixed = [word.translate(_LEET) if word.islower() and not word.isalpha() else word for word in words]
    lone = [word.translate(_LEET) if len(word) == 1 else word for word in mixed]
    return [" ".join(mixed)] if lone == mixed else [" ".join(mixed), " ".join(lone)]


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
        if (
            _LEET_SIGN.search(base)
            and _LEET_BY_A_LETTER.search(base)
            and _LEET_BY_A_LETTER.search(_MEASURE.sub("", base))
        ):
            found += _leet(base)
    if not text[1:].islower() and _CAMEL.search(text):
        found += _bases(_CAMEL.sub(r"\1 ", text))
    return found[0] if len(found) == 1 else GAP.join(found)
