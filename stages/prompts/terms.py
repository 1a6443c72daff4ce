"""The gate's terms as data, and one compiled pattern for many of them.

A pattern is a trie over folded terms, so that its cost hardly grows with their number. Between two letters of a term
it allows up to `_REACH` signs or spaces, and any letter may be repeated: "z-o r  bbl.e_t" is "zorblet". Words end
where letters end.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from schemas.errors import InputError
from stages.prompts.normalise import fold

HARMS = ("sexual", "violence", "self_harm")
_REACH = 7  # shorter than `normalise.GAP`
_BETWEEN = rf"\W{{0,{_REACH}}}"
_APART = rf"\W{{1,{_REACH}}}"
_LETTERS = re.compile(r"[^\W\d_]+")
_NO_LETTER_BEFORE = r"(?<![^\W\d_])"
_NO_LETTER_AFTER = r"(?![^\W\d_])"
_END, _END_OF_WORD = "", "$"

# Short words that chance puts before or after others so that a term seems to be written apart ("a bus", "it's exit").
_COMMON = frozenset(
    fold(
        "a i an as at am be by do go he if in is it me my no of on or so to up us we ad ex the and are but can"
        " for had has her him his how its may men new nor not now off old one our out own put run see sees set she shot too two"
        " use was way who why yes yet you all any arm get got let lol say ten tv than that them then they this those traffic"
        " were what when with from"
    ).split()
)

_Trie = dict[str, "_Trie"]


@dataclass(frozen=True, slots=True)
class Terms:
    """The words of each class, as the file has them (its notation is described at the top of `assets/gate/terms.tsv`).

    `version` is a digest of the file, for the run's record.
    """

    minor: tuple[str, ...]
    harms: tuple[tuple[str, tuple[str, ...]], ...]  # each of HARMS with its terms
    numbers: tuple[str, ...] = ()  # words for 0 to 17
    tens: tuple[str, ...] = ()  # words that make the following number word part of a larger number
    version: str = "unnamed"


def by_class(table: Mapping[str, Iterable[str]], version: str = "unnamed") -> Terms:
    """Terms from plain lists under the file's class names. Raises `InputError` where a class is empty."""
    empty = [name for name in ("minor", *HARMS) if not table.get(name)]
    if empty:
        raise InputError(f"no gate term of class {', '.join(empty)}: a gate without them would let everything pass")
    harms = tuple((name, tuple(table[name])) for name in HARMS)
    return Terms(tuple(table["minor"]), harms, tuple(table.get("number", ())), tuple(table.get("tens", ())), version)


def read_terms(path: Path) -> Terms:
    """Read a table of terms. Raises `InputError` with the line at fault."""
    try:
        content = path.read_bytes()
        lines = content.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the gate's terms can't be read from {path.name}: {error}") from error
    classes: dict[str, list[str]] = {name: [] for name in ("minor", *HARMS, "number", "tens")}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("# "):
            continue
        fields = line.split("\t")
        if len(fields) != 3 or fields[0] not in classes:
            wanted = f"class, language and terms with tabs between; a class is one of {', '.join(classes)}"
            raise InputError(f"{path.name}, line {number}: want {wanted}")
        classes[fields[0]] += fields[2].split()
    return by_class(classes, hashlib.blake2b(content, digest_size=8).hexdigest())


def number_pattern(numbers: Iterable[str], tens: Iterable[str]) -> str:
    """A number from 0 to 17, in digits (`1 2`, `l2` and `1o` too) or words, that is not the end of a larger number."""
    digits = r"(?<!\d)(?<!\d[.,])(?:1\W?[0-7o]|i\W?[0-7]|[0-9])(?:[.,]\d)?(?!\d)"
    words = sorted({fold(word) for word in numbers}, key=len, reverse=True)
    if not words:
        return digits
    guards = ""
    for ten in (re.escape(fold(word)) for word in sorted(set(tens))):
        # "twenty-five" and "twentyfive"; a single letter (Spanish "y") only as a word of its own.
        guards += rf"(?<!\W{ten}\W)" if len(ten) == 1 and ten.isascii() else rf"(?<!{ten}\W)(?<!{ten})"
    first = "".join(sorted({word[0] for word in words}))
    return f"(?:{digits}|(?=[{first}]){guards}(?:{'|'.join(map(re.escape, words))}))"


def _atoms(term: str, number: str) -> list[str]:
    """A term as its parts: one a letter (of its fold), a digit, or the pattern of a number."""
    atoms: list[str] = []
    for part in re.findall(r"##|#|[^#_]+", term.strip("*")):
        if part == "##":
            atoms.append(r"(?<!\d)\d{1,3}(?!\d)")
        elif part == "#":
            atoms.append(number)
        else:
            atoms += fold(part)
    return atoms


def _seen_as(atom: str) -> str:
    """The pattern of one part; pairs of letters pass for one."""
    pairs = {"m": r"(?:m|r\W{0,5}n)", "w": r"(?:w|v\W{0,5}v)"}
    return pairs.get(atom, re.escape(atom) if len(atom) == 1 else atom)


def _below(atom: str, trie: _Trie) -> str:
    """What may follow `atom`: nothing more, the end of the word, or the parts in `trie`, with repeats and signs between."""
    if _END in trie:
        return ""
    letter = _seen_as(atom)
    # Repeats apart from one another ("z.o.o.o.r") are bounded: each may begin a match, so the time would be quadratic.
    again = f"{letter}*(?:{_APART}{letter}+){{0,5}}" if len(atom) == 1 and atom.isalpha() else ""
    # A doubled letter takes its repeats at the second, so that no two repeats of one letter meet (quadratic time).
    ways = [_BETWEEN + _seen_as(atom) + _below(atom, rest) for other, rest in trie.items() if other == atom]
    others = [
        _seen_as(other) + _below(other, rest) for other, rest in trie.items() if other not in (atom, _END_OF_WORD)
    ]
    if others:
        ways.append(again + _BETWEEN + (others[0] if len(others) == 1 else f"(?:{'|'.join(others)})"))
    if _END_OF_WORD in trie:
        ways.append(again + (r"(?![^\W_])" if atom.isdigit() else _NO_LETTER_AFTER))
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


def compile_terms(terms: Iterable[str], number: str = r"\d+") -> re.Pattern[str]:
    """One pattern that finds any of the terms in the `readings` of a text; `number` stands for `#`."""
    bound: _Trie = {}
    free: _Trie = {}
    for term in terms:
        node = free if term.startswith("*") else bound
        for atom in _atoms(term, number):
            node = node.setdefault(atom, {})
        node[_END if term.endswith("*") else _END_OF_WORD] = {}
    sides = []
    if bound:
        sides.append(
            f"{_NO_LETTER_BEFORE}(?:{'|'.join(_seen_as(atom) + _below(atom, rest) for atom, rest in bound.items())})"
        )
    if free:
        # Only at the beginning of a run of one letter: from within it a search would take quadratic time.
        # (Behind the letter, not before it: `re` passes over a branch at a glance only if that begins with a plain letter.)
        ways = [
            _seen_as(a) + (f"(?<!{re.escape(a) * 2})" if len(a) == 1 else "") + _below(a, rest)
            for a, rest in free.items()
        ]
        # One look at a character set spares the branches at most places.
        letters = "".join({"m": "mr", "w": "wv"}.get(atom, atom) for atom in free)
        first = "" if any(len(atom) > 1 for atom in free) else f"(?=[{re.escape(letters)}])"
        sides.append(f"{first}(?:{'|'.join(ways)})")
    return re.compile("|".join(sides) or r"(?!)", re.DOTALL)


@dataclass(frozen=True)
class Matcher:
    """Finds terms in the `readings` of a text. Words and phrases apart: only a phrase has a reason to hold a space."""

    words: re.Pattern[str]
    phrases: re.Pattern[str]

    @classmethod
    def of(cls, terms: Iterable[str], number: str = r"\d+") -> Self:
        """A matcher of the given terms; `number` stands for `#`."""
        terms = list(terms)
        phrases = [term for term in terms if "_" in term or "#" in term]
        return cls(compile_terms(term for term in terms if term not in phrases), compile_terms(phrases, number))

    def finds(self, read: str) -> bool:
        """Whether any term is there, and not by chance."""
        at = 0
        while match := self.words.search(read, at):
            if not _by_chance(match):
                return True
            # What stands before the space may be a term by itself.
            at = read.index(" ", match.start())
            if self.words.search(read, match.start(), at):
                return True
        return self.phrases.search(read) is not None


def _by_chance(match: re.Match[str]) -> bool:
    """Whether a word with a space in it is two words: one of them is a common one, and they are no row of single letters."""
    if " " not in match[0]:
        return False
    pieces = _LETTERS.findall(match[0])
    if len(pieces) > 2 and max(map(len, pieces)) < 3:
        return False
    cut_off = match.string[match.start() - 1 : match.start()] in ("'", "’")  # "it's exit"
    return cut_off or not _COMMON.isdisjoint(pieces)


def unit_of(template: str) -> str:
    """The longest wording of an age template: where it is missing there is no such age ("#_years_old" needs "years old")."""
    parts = [part.strip("_") for part in re.split("#+", template.strip("*"))]
    longest = max(parts, key=lambda part: len(fold(part)))
    # After a number word a wording may begin without a gap ("twelveyearsold"); a short one would then be found in too many words.
    free = template.startswith("*") or (template.startswith("#") and len(longest) > 3)
    return ("*" if free else "") + longest + ("*" if template.endswith("*") else "")
