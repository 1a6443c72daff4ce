"""Scores of many rows of few words: what each word and pair of words brings is computed once and looked up for every row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from classifiers.layers.monotone_text import SHARPNESS, SILENT, EvidenceTerms
from classifiers.layers.word_table import WordTable
from classifiers.training.concept_reader.scenes import CONCEPTS
from classifiers.training.guards.rows import TOLD, PromptRows, spellings
from classifiers.training.guards.seen import AMBIVALENT
from stages.world import truth
from stages.world.language import Request
from stages.world.purposes import HARMFUL, PURPOSES, Purpose
from stages.world.reader import read
from stages.world.vocabulary import BY_NAME

TURNED = tuple(CONCEPTS.index(name) for name in AMBIVALENT)
"""Columns of the concepts that words can turn: no other concept makes anything of words (`rules_of`), so no other is looked up."""
SLOPE = 4.0  # logits above which a square is dearer than a distance


@dataclass(frozen=True, eq=False)
class SaidWords:
    """The words that training says. `tokens` int64 [words]; `words` their texts; `place_of` int64 [vocabulary], -1: never said."""

    tokens: Tensor
    words: tuple[str, ...]
    place_of: Tensor

    @classmethod
    def of(cls, table: WordTable, said: Tensor) -> "SaidWords":
        """`said` bool [vocabulary]."""
        tokens = (said & table.editable(torch.arange(len(said)))).nonzero().flatten()
        place_of = torch.full((len(said),), -1)
        place_of[tokens] = torch.arange(len(tokens))
        return cls(tokens, tuple(table.decode(token[None]) for token in tokens), place_of)

    def placed(self, rows: PromptRows, table: WordTable) -> PromptRows:
        """The rows with places of words for their `ids`, -1 where there is none, cut after the longest."""
        places = self.place_of[rows.ids].masked_fill(~table.read(rows.ids.flatten(0, 1)).view_as(rows.ids), -1)
        longest = int((places >= 0).any(dim=0).any(dim=0).nonzero().max()) + 1
        return replace(rows, ids=places[..., :longest])

    def text(self, places: Sequence[int]) -> str:
        """Of the words there."""
        return " ".join(self.words[place] for place in places if place >= 0)


def scores(terms: EvidenceTerms, places: Tensor, seen: Tensor) -> Tensor:
    """float32 [n, 2] of rows `places` int64 [n, length] beside logits `seen` [n, concepts]: words, and words beside what is seen,
    as `MonotoneText.apart` computes them.
    """
    known, at = places >= 0, places.clamp(min=0)
    least = terms.alone.new_full((len(places), 1), 2 * SILENT)
    together = known[:, :, None] & known[:, None, :] & ~torch.eye(places.shape[1], dtype=torch.bool)
    flat = (at[:, :, None] * len(terms.alone) + at[:, None, :]).flatten()
    pairs = terms.pairs.flatten().index_select(0, flat).view(together.shape).masked_fill(~together, -torch.inf)
    alone = terms.alone[at].masked_fill(~known, -torch.inf)
    bound = -torch.logaddexp(-terms.beside[:, TURNED][at], -seen[:, None, TURNED])
    bound = bound.masked_fill(~known[..., None], -torch.inf)
    words, both = (torch.cat([alone, pairs.flatten(1), least], 1), torch.cat([bound.flatten(1), least], 1))
    return torch.stack([torch.logsumexp(SHARPNESS * each, 1) / SHARPNESS for each in (words, both)], dim=1)


@dataclass(frozen=True, eq=False)
class TermRules:
    """What the world's rules say of terms, bool as these, twice: which have to tell, and which may; all others are silent."""

    have_to: Sequence[Tensor]
    may: Sequence[Tensor]

    def loss(self, terms: EvidenceTerms, quiet: float, words: Tensor) -> Tensor:
        """Binary cross-entropy of terms that have to tell, whatever their kind; of the silent ones of `words` (int64, places) the
        distance from `quiet`, above and below: what is pushed down without end is a common part of all, which drowns the rest.
        """
        losses = []
        for term, must, may in zip(terms[:3], self.have_to, self.may, strict=True):
            away = (term[words] - quiet).abs() * ~may[words]
            losses += [F.softplus(-term[must]).mean(), (away + away.square() / SLOPE).mean()]
        return torch.stack(losses).sum()


def rules_of(said: SaidWords) -> TermRules:
    """An unsafe object's word; objects that turn one another, and an object with a word of what turns it, in either order; a word
    of a harmful purpose beside a concept that it turns. A word has to tell where nothing else is said with it (`_keys`).
    """
    count, place = len(said.words), {word: at for at, word in enumerate(said.words)}
    have_to, may = ([torch.zeros(n).bool() for n in ((count,), (count, count), (count, len(CONCEPTS)))] for _ in "12")
    named = {name: [place[w] for w in spellings(name) if w in place] for name in (*CONCEPTS, *TOLD)}
    for name, places in named.items():
        have_to[0][places] = truth.of_prompt(Request(concepts=(name,))).unsafe
        for partner in BY_NAME[name].partners:
            _join(have_to[1], places, named.get(partner, []))
    for purpose in HARMFUL:
        for name in purpose.turns:
            for marks, words in ((may, _words(purpose)), (have_to, _keys(purpose, name))):
                places = [place[word] for word in sorted(words) if word in place]
                _join(marks[1], named[name], places)
                marks[2][places, CONCEPTS.index(name)] = True
    return TermRules(have_to, [some | must for some, must in zip(may, have_to, strict=True)])


def _words(purpose: Purpose) -> set[str]:
    """All words of its phrases but names of objects."""
    return {word for phrase in purpose.phrases for word in phrase.split() if not read(word).concepts}


def _keys(purpose: Purpose, name: str) -> set[str]:
    """Those that tell the purpose by themselves: words of no other sentence, but of purposes that turn the same object."""
    others = {word for other in PURPOSES if name not in other.turns for word in _words(other)}
    return {word for word in _words(purpose) - others if read(word).unknown}


def _join(pairs: Tensor, some: list[int], others: list[int]) -> None:
    for place in some:
        pairs[place, others] = True
        pairs[others, place] = True
