"""Other words for the same thing, from a lexicon that the user gives."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from schemas.errors import InputError
from stages.attack.letters import chosen, kept_case
from stages.attack.text_attack import Rewritten, TextAttack
from stages.world.language import COLOUR_WORDS, GROUND_WORDS, STYLE_WORDS
from stages.world.vocabulary import VOCABULARY

_WORD = re.compile(r"[^\W\d_]+")
Groups = tuple[tuple[str, ...], ...]
WORLD: Groups = (
    *(concept.words for concept in VOCABULARY if len(concept.words) > 1),
    *(words for table in (COLOUR_WORDS, GROUND_WORDS, STYLE_WORDS) for words in table.values() if len(words) > 1),
)
"""The embedded world's own synonyms, which its reader understands."""


def read_groups(path: Path) -> Groups:
    """A UTF-8 file with one group of synonyms a line, separated by tabs or commas. Raises InputError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the lexicon {path.name} can't be read ({error}); give a UTF-8 file, a group a line"
        ) from error
    groups = (tuple(word.strip() for word in re.split(r"[\t,]", line) if word.strip()) for line in lines)
    return tuple(group for group in groups if len(group) > 1)


@dataclass(frozen=True, kw_only=True)
class Synonyms(TextAttack):
    """Replace up to `edit_budget` words by another of their group. A judge or reader says whether the truth held."""

    preserves: ClassVar[bool] = False
    groups: Groups = WORLD

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(len(group) > 1 for group in self.groups):
            raise InputError("synonyms: the lexicon has no group of two words or more; see read_groups")

    @cached_property
    def _others(self) -> dict[str, tuple[str, ...]]:
        return {word.casefold(): tuple(w for w in group if w != word) for group in self.groups for word in group}

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Whole words, in their case."""
        draw = np.random.default_rng(seed)
        words = [match for match in _WORD.finditer(text) if self._others.get(match[0].casefold())]
        picked = chosen(list(range(len(words))), self.edit_budget, draw)
        for index in reversed(picked):
            start, end = words[index].span()
            others = self._others[text[start:end].casefold()]
            text = text[:start] + kept_case(others[int(draw.integers(len(others)))], text[start:end]) + text[end:]
        return Rewritten(text, len(picked))
