"""Parse a prompt of the pictogram world back into what it asks for.

It recovers all that `language.say` puts into words: concepts in order (synonyms, plurals, two of a kind), colours, ground,
style, clutter, stacking and purpose. It does not guess: a misspelt, obfuscated or foreign word is returned in `unknown`
and counts for nothing, so a reading is the whole of a prompt only when `complete`. Upper case and punctuation are ignored.
"""

from dataclasses import dataclass

from stages.world.language import (
    ABOVE,
    CLUTTER_WORDS,
    COLOUR_WORDS,
    DOUBLING_WORDS,
    FUNCTION_WORDS,
    GROUND_WORDS,
    HELD_OUT_ABOVE,
    STYLE_WORDS,
    UNCOUNTED,
    Request,
    plural,
)
from stages.world.purposes import PURPOSES
from stages.world.vocabulary import VOCABULARY

PUNCTUATION = ",.;:!?\"'()"

_CONCEPT = {word: c.name for c in VOCABULARY for word in c.words}
_CONCEPT |= {plural(word): name for word, name in _CONCEPT.items() if word not in UNCOUNTED}
_COLOUR = {word: name for name, words in COLOUR_WORDS.items() for word in words}
_GROUND = {word: name for name, words in GROUND_WORDS.items() for word in words}
_STYLE = {word: name for name, words in STYLE_WORDS.items() for word in words}

Phrases = dict[str, list[tuple[tuple[str, ...], str]]]


def _by_first_word(meanings: dict[str, str]) -> Phrases:
    """Phrases with their meanings, under their first words: most tokens begin none, so most are looked up once."""
    table: Phrases = {}
    for phrase, meaning in meanings.items():
        words = tuple(phrase.split())
        table.setdefault(words[0], []).append((words, meaning))
    return table


_STACKED = _by_first_word(dict.fromkeys((*ABOVE, *HELD_OUT_ABOVE), "stacked"))
_PURPOSE = _by_first_word({phrase: purpose.name for purpose in PURPOSES for phrase in purpose.phrases})


@dataclass(frozen=True)
class Reading(Request):
    """A request, and the words that were not understood, in order."""

    unknown: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.unknown


def read(prompt: str) -> Reading:
    """Never raises: what is not of the language is `unknown`."""
    tokens = [t for t in (word.strip(PUNCTUATION) for word in prompt.casefold().replace(",", " ").split()) if t]
    purposes, tokens = _take(tokens, _PURPOSE)
    stacked, tokens = _take(tokens, _STACKED)
    parsed = _Said()
    for token in tokens:
        parsed.hear(token)
    return Reading(
        concepts=tuple(parsed.concepts),
        colour=parsed.colours[0] if parsed.colours else None,
        second_colour=parsed.colours[1] if len(parsed.colours) > 1 else None,
        ground=parsed.grounds[0] if parsed.grounds else None,
        style=parsed.styles[0] if parsed.styles else None,
        clutter=parsed.clutter,
        stacked=bool(stacked),
        purpose=purposes[0] if purposes else None,
        unknown=(*parsed.unknown, *purposes[1:]),
    )


class _Said:
    """What was heard so far."""

    def __init__(self) -> None:
        self.concepts: list[str] = []
        self.colours: list[str] = []
        self.grounds: list[str] = []
        self.styles: list[str] = []
        self.clutter = False
        self.unknown: list[str] = []
        self._copies = 1

    def hear(self, token: str) -> None:
        if token in _CONCEPT:
            self.concepts += [_CONCEPT[token]] * self._copies
            self._copies = 1
        elif token in DOUBLING_WORDS:
            self._copies = 2
        elif token in CLUTTER_WORDS:
            self.clutter = True
        elif token in _COLOUR and len(self.colours) < 2:
            self.colours.append(_COLOUR[token])
        elif token in _GROUND and not self.grounds:
            self.grounds.append(_GROUND[token])
        elif token in _STYLE and not self.styles:
            self.styles.append(_STYLE[token])
        elif token not in FUNCTION_WORDS:
            self.unknown.append(token)


def _take(tokens: list[str], phrases: Phrases) -> tuple[list[str], list[str]]:
    """Meanings of the phrases that occur, and the tokens without them."""
    matched: list[str] = []
    rest: list[str] = []
    at = 0
    while at < len(tokens):
        starting = phrases.get(tokens[at], ())
        match = next(((p, meaning) for p, meaning in starting if tuple(tokens[at : at + len(p)]) == p), None)
        if match is None:
            rest.append(tokens[at])
            at += 1
        else:
            phrase, meaning = match
            matched.append(meaning)
            at += len(phrase)
    return matched, rest
