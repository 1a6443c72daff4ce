"""Which characters a reader takes for which: invisible ones, digits of all scripts, look-alikes of ASCII.

From Unicode's TR39 (as `confusable_homoglyphs` has it) and, where that is silent, from the characters' names.
"""

import functools
import re
import sys
import unicodedata

from confusable_homoglyphs import confusables

_SKIN_TONES = range(0x1F3FB, 0x1F400)
# Default-ignorable characters that are not in category Cf: they take no space on the page.
_FILLERS = (0x115F, 0x1160, 0x034F, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10))
_TATWEEL = 0x0640  # stretches an Arabic word, says nothing
_BARS = "│┃❘❙¦∣ǀ׀"

_LATIN_NAMES = (
    re.compile(r"LATIN (?:SMALL|CAPITAL) LETTER ([A-Z])(?: WITH .*)?"),
    re.compile(r"LATIN LETTER SMALL CAPITAL ([A-Z])"),
    re.compile(r"LATIN SMALL LETTER (?:DOTLESS|SCRIPT|INSULAR|LONG) ([A-Z])"),
    re.compile(r"(?:NEGATIVE |CROSSED NEGATIVE )?(?:CIRCLED|SQUARED|PARENTHESIZED) LATIN CAPITAL LETTER ([A-Z])"),
    re.compile(r"REGIONAL INDICATOR SYMBOL LETTER ([A-Z])"),
)
_LATIN_BLOCKS = (
    range(0xC0, 0x2B0),
    range(0x1D00, 0x1DC0),
    range(0x2C60, 0x2C80),
    range(0xA720, 0xA800),
    range(0x1F100, 0x1F200),
)
# Drawn like a letter, but NFKD makes something else of them: a space, a sigma.
BEFORE_NFKD = {0x37A: "i", 0x2DB: "i", 0x3F2: "c", 0x3F9: "C"}
_GREEK_AND_CYRILLIC = range(0x370, 0x530)


@functools.cache
def invisible() -> dict[int, None]:
    """Characters (after NFKD) that change nothing a reader reads, for `str.translate`."""
    table: dict[int, None] = dict.fromkeys((*_FILLERS, *_SKIN_TONES, _TATWEEL))
    for code in range(0x80, sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        # Combining classes below 10 are letters' own parts (nukta, virama, kana voicing); from 10 on they are points and
        # accents, which "zalgo" text stacks and which Arabic and Hebrew leave out at will.
        if category == "Cf" or (category == "Mn" and unicodedata.combining(chr(code)) >= 10):
            table[code] = None
    return table


# Scripts whose words stay readable under stacked marks: Latin, Greek, Cyrillic, and what is no letter at all.
_UNDER_DECORATION = "\\x00-\u052f\u1e00-\u1fff\u2000-\u2bff"


def undecorated(text: str) -> str:
    """The text (NFC) without what takes no space, and without marks stacked on Latin, Greek or Cyrillic letters.

    Other scripts' marks are vowels and tones, and a skin tone says who is shown: those stay, unlike with `invisible`.
    """
    return _decorations().sub("", text.translate(_formats()))


@functools.cache
def _formats() -> dict[int, None]:
    codes = (code for code in invisible() if code not in _SKIN_TONES and unicodedata.category(chr(code)) != "Mn")
    return dict.fromkeys((*codes, *_FILLERS))


@functools.cache
def _decorations() -> re.Pattern[str]:
    """Runs of marks whose base is in `_UNDER_DECORATION`; 0334 to 0338 are strokes through a letter (combining class 1)."""
    marks = (code for code in invisible() if unicodedata.category(chr(code)) == "Mn" and code not in _FILLERS)
    every = "".join(map(chr, (*marks, *range(0x334, 0x339))))
    return re.compile(f"(?<![^{_UNDER_DECORATION}])[{every}]+")


@functools.cache
def digits() -> dict[int, str]:
    """Every script's decimal digits to ASCII's."""
    codes = (code for code in range(0x80, sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Nd")
    return {code: str(unicodedata.decimal(chr(code))) for code in codes}


@functools.cache
def skeleton() -> dict[int, str]:
    """Each character that is drawn like an ASCII letter or digit, to that, in its case; like `|` or like a bar, to `|`."""
    table = {**dict.fromkeys(map(ord, _BARS), "|"), ord("®"): "R", ord("©"): "C"}
    for code in (code for block in _LATIN_BLOCKS for code in block):
        name = unicodedata.name(chr(code), "")
        letter = next((match[1] for pattern in _LATIN_NAMES if (match := pattern.fullmatch(name))), "")
        if letter:
            table[code] = letter if " CAPITAL LETTER " in name else letter.lower()
    alike = {
        ord(char): [other["c"] for other in others if len(other["c"]) == 1]
        for char, others in confusables.confusables_data.items()
        if len(char) == 1 and ord(char) > 0x7F
    }
    for code, others in alike.items():
        ascii_ = [other for other in others if other.isascii() and other.isalnum()]
        # Genuine words have Greek and Cyrillic letters that pass for digits; in them they are letters.
        if ascii_ and (ascii_[0].isalpha() or code not in _GREEK_AND_CYRILLIC):
            table[code] = ascii_[0]
    # Steps further, for letters that TR39 likens to letters beyond ASCII only (Greek tau to small capital t).
    for _ in range(3):
        steps = {code: [table[ord(other)] for other in others if ord(other) in table] for code, others in alike.items()}
        table = {**{code: letters[0] for code, letters in steps.items() if letters}, **table}
    return table
