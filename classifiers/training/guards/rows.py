"""Prompts beside pictures, each in several wordings of one truth, as the world's own rules tell it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from classifiers.layers.word_table import WordTable
from classifiers.training.concept_reader.scenes import CONCEPTS, HELD_OUT_CONCEPTS
from classifiers.training.guards.seen import AMBIVALENT
from stages.world import truth
from stages.world.captions import asked
from stages.world.language import Request, plural, say, words
from stages.world.purposes import HARMFUL, PURPOSES
from stages.world.reader import read
from stages.world.scene import Scene
from stages.world.vocabulary import BY_NAME, UNSAFE_CATEGORIES

HELD_OUT_PAIRINGS = (("pill", "give_up"), ("pill", "trick"))  # of the shard recipe; a test compares
WORDINGS = 4  # of each row: as it was said, and with words exchanged or put in
JOINED = 0.3  # of the rows, words that join an object with a purpose or with another object
EDITS = 5  # of a wording, at most
LENGTH = 48  # tokens of a row

TOLD = tuple(name for name in HELD_OUT_CONCEPTS if BY_NAME[name].kind == "unsafe")
"""Concepts that are never shown nor joined, but whose words the judge is told are unsafe, as a policy lists them."""
_TELLING = frozenset(word for purpose in HARMFUL for phrase in purpose.phrases for word in phrase.split())
_NEVER = frozenset(said for name in HELD_OUT_CONCEPTS for word in BY_NAME[name].words for said in (word, plural(word)))
"""Put into no wording: what is told of TOLD is told bare."""


@dataclass(frozen=True, eq=False)
class PromptRows:
    """`ids` int64 [n, wordings, LENGTH]; `scene` int64 [n], places in `SeenPictures`; `by_words` and `by_both` float32 [n]
    (NaN: teaches nothing there); `categories` float32 [n, categories].
    """

    ids: Tensor
    scene: Tensor
    by_words: Tensor
    by_both: Tensor
    categories: Tensor

    def __len__(self) -> int:
        return len(self.scene)


def rows_of(scenes: Sequence[Scene], table: WordTable, seed: int, count: int) -> PromptRows:
    """`count` rows over the scenes. Nothing that is held out is said or joined."""
    rng = np.random.default_rng(seed)
    fillers = _fillers(table)
    ids: list[list[str]] = []
    places: list[int] = []
    by_words, by_both, named = [], [], []
    while len(places) < count:
        place = int(rng.integers(len(scenes)))
        shown = scenes[place].concepts
        request = _request(rng, scenes, scenes[place])
        if _held_out(request, shown):
            continue
        told, pair, seen = truth.of_prompt(request), truth.of_pair(request, shown), truth.of_picture(shown)
        confounded = pair.unsafe and not told.unsafe and not seen.unsafe
        sentence = say(request, lambda n: int(rng.integers(n)))
        ids.append([sentence, *(_reworded(rng, sentence, shown, fillers) for _ in range(WORDINGS - 1))])
        places.append(place)
        by_words.append(float(told.unsafe))
        by_both.append(1.0 if confounded else 0.0 if not pair.unsafe or not request.purpose else float("nan"))
        touched = told.categories or (pair.categories if confounded else ())
        named.append([float(name in touched) for name in UNSAFE_CATEGORIES])
    encoded = table.encode([table.lexicon(text) for row in ids for text in row])[:, :LENGTH]
    return PromptRows(
        encoded.view(count, WORDINGS, -1), torch.tensor(places), torch.tensor(by_words), torch.tensor(by_both),
        torch.tensor(named),
    )  # fmt: skip


def spellings(name: str) -> tuple[str, ...]:
    """All words of a concept, with their plurals where they have one."""
    return tuple(said for noun in BY_NAME[name].words for said in (noun, plural(noun)) if read(said).concepts)


def bare_rows(table: WordTable) -> PromptRows:
    """The telling words and no others, each once: every noun, nouns with harmful purposes, and objects that anything turns with
    any purpose or with one another, turned or not.

    A judge that meets them only in sentences may hang what it knows on the words around, which an attacker exchanges.
    """
    nouns = [(name, word) for name in CONCEPTS for word in spellings(name)]
    prompts = [word for _, word in nouns] + [word for name in TOLD for word in spellings(name)]
    turning = {name for purpose in HARMFUL for name in purpose.turns} | set(AMBIVALENT)
    for name, word in nouns:
        if name in turning:
            prompts += [f"{word} {phrase}" for purpose in PURPOSES for phrase in purpose.phrases]
            beside = turning | set(BY_NAME[name].partners)
            prompts += [f"{word} {BY_NAME[other].words[0]}" for other in sorted(beside) if other in CONCEPTS]
        elif BY_NAME[name].kind == "safe":
            prompts += [f"{word} {phrase}" for purpose in HARMFUL for phrase in purpose.phrases]
    told = [truth.of_prompt(read(text)) for text in prompts]
    count, unsafe = len(prompts), torch.tensor([float(each.unsafe) for each in told])
    named = torch.tensor([[float(name in each.categories) for name in UNSAFE_CATEGORIES] for each in told])
    encoded = table.encode(prompts)[:, None, :LENGTH].expand(-1, WORDINGS, -1)
    nothing = torch.full((count,), torch.nan)
    return PromptRows(encoded, torch.zeros(count, dtype=torch.int64), unsafe, nothing, named)


def one_after_the_other(first: PromptRows, second: PromptRows, padding: int | None = None) -> PromptRows:
    """All rows of both; the shorter prompts are padded with `padding`, or as their last tokens are, which are padding."""
    length = max(first.ids.shape[2], second.ids.shape[2])

    def filled(ids: Tensor) -> Tensor:
        last = ids[:, :, -1:] if padding is None else torch.full_like(ids[:, :, -1:], padding)
        return torch.cat([ids, last.expand(-1, -1, length - ids.shape[2])], dim=2)

    return PromptRows(
        torch.cat([filled(first.ids), filled(second.ids)]),
        torch.cat([first.scene, second.scene]),
        torch.cat([first.by_words, second.by_words]),
        torch.cat([first.by_both, second.by_both]),
        torch.cat([first.categories, second.categories]),
    )


def _request(rng: np.random.Generator, scenes: Sequence[Scene], scene: Scene) -> Request:
    """Of the picture itself, of another one, or words that name nothing; with a purpose or without."""
    if rng.random() < JOINED:
        return _joined(rng, asked(scene, rng))
    die = rng.random()
    other = scenes[int(rng.integers(len(scenes)))] if die > 0.85 else scene
    request = replace(asked(other, rng), purpose=None)
    if die < 0.35:
        return request
    purpose = _purpose(rng, scene.concepts)
    if die < 0.6 or die > 0.92:
        return replace(request, purpose=purpose)
    return request if die > 0.85 else replace(request, concepts=(), stacked=False, purpose=purpose)


def _joined(rng: np.random.Generator, surroundings: Request) -> Request:
    """Words that say all by themselves: an object and what it is for, or two objects; mostly such as turn each other."""
    turned = rng.random() < 0.65
    if rng.random() < 0.7:
        purpose = HARMFUL[int(rng.integers(len(HARMFUL)))]
        named = (str(rng.choice(purpose.turns if turned else AMBIVALENT)),)
        return replace(surroundings, concepts=named, purpose=purpose.name, stacked=False)
    first = str(rng.choice([name for name in AMBIVALENT if BY_NAME[name].partners]))
    second = str(rng.choice(sorted(BY_NAME[first].partners) if turned else CONCEPTS))
    pair = (first, second) if rng.random() < 0.5 else (second, first)
    return replace(surroundings, concepts=pair, purpose=None, stacked=False)


def _purpose(rng: np.random.Generator, shown: Sequence[str]) -> str:
    """Now and then one that turns what is shown."""
    turning = [p.name for p in HARMFUL if set(p.turns) & set(shown)]
    if turning and rng.random() < 0.4:
        return str(rng.choice(turning))
    return PURPOSES[int(rng.integers(len(PURPOSES)))].name


def _held_out(request: Request, shown: Sequence[str]) -> bool:
    """As the shards hold it out: shown, not named, and turned by words."""
    seen = set(shown) - set(request.concepts)
    return any(name in seen and request.purpose == purpose for name, purpose in HELD_OUT_PAIRINGS)


def _fillers(table: WordTable) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words of the language, and what else the table has a token for and tells nothing."""
    known = tuple(word for word in words() if word not in _NEVER)
    spoken = set(known)
    rest = sorted(word for word in table.lexicon.words if word not in spoken | _NEVER | _TELLING and len(word) > 1)
    return known, tuple(rest)


def _reworded(
    rng: np.random.Generator, sentence: str, shown: Sequence[str], fillers: tuple[Sequence[str], Sequence[str]]
) -> str:
    """Some words exchanged or put in, each time only if words and pair stay as safe or unsafe as they are."""
    before = truths(sentence, shown)
    text = sentence
    for _ in range(int(rng.integers(1, EDITS + 1))):
        words_ = text.split()
        words_of = fillers[int(rng.random() < 0.35)]
        new = words_of[int(rng.integers(len(words_of)))]
        at = int(rng.integers(len(words_) + 1))
        put_in = at == len(words_) or rng.random() < 0.4
        other = " ".join([*words_[:at], new, *words_[at + (not put_in) :]])
        if truths(other, shown) == before and not _held_out(read(other), shown):
            text = other
    return text


def truths(text: str, shown: Sequence[str]) -> tuple[bool, bool] | None:
    """Whether words and pair are unsafe. None where the words tell nothing unsafe and hold a piece of a harmful purpose: the reader
    takes "a knife, fight" for harmless, since it knows whole phrases only, and that is nothing to learn.
    """
    request = read(text)
    words_, pair = truth.of_prompt(request).unsafe, truth.of_pair(request, shown).unsafe
    return None if not words_ and _TELLING.intersection(request.unknown) else (words_, pair)
