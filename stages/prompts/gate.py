"""The gate: no text that joins minors with sexual, violent or self-harm meaning passes, however it is spelt.

It stands on every way in (DESIGN section 6): files, hubs, benchmarks, and the output of attacks and language models.
It errs towards refusing, and gives a reason, never a text. A gate is a frozen value: it pickles, compares, and needs
nothing opened. About 10 µs a prompt of 100 ASCII characters.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Self

from schemas.errors import InputError
from stages.prompts.normalise import fold, readings
from stages.prompts.terms import Matcher, Terms, compile_terms, number_pattern, read_terms, unit_of

TERMS = Path(__file__).parents[2] / "assets" / "gate" / "terms.tsv"

MINOR = "minor"  # a reason is MINOR_ and the class that a minor is joined with
REAL_PERSON = "real_person"

_WORD = re.compile(r"[^\W\d_]+")
_SPACED_LETTERS = re.compile(r"(?<![^\W\d_])[^\W\d_](?:\W[^\W\d_])+(?![^\W\d_])")


@dataclass(frozen=True)
class Gate:
    """Refuses texts; build one with `default`, `of` or `read`. `people` are the keys of `read_names`."""

    version: str  # digest of the terms
    # a minor's terms and ages' units: ASCII, and the rest
    suspects: tuple[re.Pattern[str], re.Pattern[str]] = field(repr=False)
    minors: Matcher = field(repr=False)
    harms: tuple[tuple[str, Matcher], ...] = field(repr=False)  # reason, terms
    people: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, terms: Terms, people: frozenset[str] = frozenset()) -> Self:
        """A gate with the given terms."""
        hints = [unit_of(term) if "#" in term else term for term in terms.minor]
        return cls(
            version=terms.version,
            suspects=(
                compile_terms(term for term in hints if fold(term).isascii()),
                compile_terms(term for term in hints if not fold(term).isascii()),
            ),
            minors=Matcher.of(terms.minor, number_pattern(terms.numbers, terms.tens)),
            harms=tuple((f"{MINOR}_{name}", Matcher.of(words)) for name, words in terms.harms),
            people=people,
        )

    @classmethod
    def read(cls, terms: Path, people: Path | None = None) -> Self:
        """A gate with the terms of one file and the names of another. Raises `InputError`."""
        return cls.of(read_terms(terms), read_names(people) if people else frozenset())

    @classmethod
    def default(cls, people: Path | None = None) -> "Gate":
        """The gate with Hazmat's own terms; `people` is a file of real persons' names, one a line, that are refused too."""
        return _default(people)

    def refusal(self, text: str) -> str | None:
        """Why the text may not pass: `minor_sexual`, `minor_violence`, `minor_self_harm` or `real_person`; None if it may."""
        read = readings(text)
        latin, rest = self.suspects
        # Most texts end here, after one pass.
        if latin.search(read) or (not read.isascii() and rest.search(read)):
            reason = next((reason for reason, harm in self.harms if harm.finds(read)), None)
            # The dearest comes last: it has the ages in every language.
            if reason is not None and self.minors.finds(read):
                return reason
        return REAL_PERSON if self.people and _names_one_of(self.people, read) else None


@cache
def _default(people: Path | None) -> Gate:
    return Gate.read(TERMS, people)


def _name_key(words: list[str]) -> str:
    return "".join(words)


def read_names(path: Path) -> frozenset[str]:
    """Names from a UTF-8 file, one a line (`#` begins a comment), as keys: folded, without spaces, in both orders for two words.

    Raises `InputError` when the file can't be read or holds no name: a list that silently refuses nobody helps
    nobody.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the list of names can't be read from {path.name} ({error}); give a UTF-8 file with one name a line"
        ) from error
    names = [words for line in lines if (words := _WORD.findall(fold(line.partition("#")[0])))]
    if not names:
        raise InputError(f"the list of names {path.name} holds no name; give one name a line, or leave the list out")
    return frozenset(_name_key(words) for name in names for words in (name, name[::-1]))


def _names_one_of(people: frozenset[str], read: str) -> bool:
    """Whether one to four words in a row are a listed name, also with its letters spaced."""
    words = _WORD.findall(read)
    spaced = [_name_key(_WORD.findall(run[0])) for run in _SPACED_LETTERS.finditer(read)]
    pairs = [_name_key([a, b]) for a, b in pairwise(words)]
    if not people.isdisjoint(words) or not people.isdisjoint(pairs) or not people.isdisjoint(spaced):
        return True
    longer = (words[at : at + size] for size in (3, 4) for at in range(len(words) - size + 1))
    return any(_name_key(run) in people for run in longer)
