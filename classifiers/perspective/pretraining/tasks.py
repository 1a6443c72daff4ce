"""What the small model is asked before it is asked to moderate: to describe, to tick a list, and to hold a taxonomy of mere things.

A LLaVA that is tuned to moderate can look up what a question lists. A small one that only ever described pictures cannot, and
4,000 pictures of moderation did not teach it (narrowing .000; docs/log.md). So it learns that here, on names of things: the
list to tick gives a label a name, and the last form is the moderation question itself, with things for categories.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from classifiers.vlm.moderation_prompt import answer, question
from schemas.taxonomy import Category
from stages.world.captions import caption
from stages.world.scene import Scene
from stages.world.vocabulary import BY_NAME, VOCABULARY

DESCRIBE = ("Describe the picture.", "What does the picture show?", "Say what is in this image.")
TICK = "Say of each thing whether the picture shows it."
YES, NO = "yes", "no"
TICKS_ALONE = 0.25  # of the budget: 60 steps of lists alone teach the look-up, 550 of the mixture did not (docs/log.md)
SHARES = (0.4, 0.15, 0.45)  # of descriptions, ticked lists, taxonomies of things; afterwards
DROPPED = 0.6  # chance of each attribute to go unsaid: names matter more here than grounds
TICKED = 24  # names in a list to tick at most: each is a label
CATEGORIES = 11  # names in a taxonomy at most: as many as UnsafeBench has
SHOWN_ASKED = 0.6  # chance of each thing that is shown to be asked about
TOUCHED = 0.75  # of the taxonomies may hold what is shown; the others are answered with safe


@dataclass(frozen=True, slots=True)
class InstructionPair:
    """`taught` are the words of the answer that are to be learnt, all of them if it is empty. `marks`: a listed name, and
    whether the picture shows it, to be known where the name stands in the question.
    """

    question: str
    answer: str
    taught: tuple[str, ...] = ()
    marks: tuple[tuple[str, bool], ...] = ()


Form = Callable[[Scene, np.random.Generator], InstructionPair]


def lesson(scene: Scene, rng: np.random.Generator, fraction: float) -> InstructionPair:
    """Lists alone at first, then one of the three forms; `fraction` is the used part of the budget."""
    forms: tuple[Form, ...] = (description, ticks, taxonomy)
    form = ticks if fraction < TICKS_ALONE else forms[int(rng.choice(len(SHARES), p=SHARES))]
    return form(scene, rng)


def description(scene: Scene, rng: np.random.Generator) -> InstructionPair:
    """A caption."""
    question = DESCRIBE[int(rng.integers(len(DESCRIBE)))]
    return InstructionPair(question, caption(scene, rng, typos=0.0, drop=DROPPED))


def ticks(scene: Scene, rng: np.random.Generator) -> InstructionPair:
    """Names of things with yes or no; only those two are learnt, since nothing tells which names come."""
    ticked = [
        f"{_noun(name, rng)} {YES if name in scene.concepts else NO}"
        for name in _asked(scene, rng, TICKED, SHOWN_ASKED)
    ]
    return InstructionPair(TICK, ", ".join(ticked), (YES, NO))


def taxonomy(scene: Scene, rng: np.random.Generator) -> InstructionPair:
    """The moderation question where things are the categories; of several that are shown any may be named."""
    names = _asked(scene, rng, CATEGORIES, SHOWN_ASKED if rng.random() < TOUCHED else 0.0)
    categories = [Category(name, noun, noun) for name in names for noun in [_noun(name, rng)]]
    touched = [category for category in categories if category.id in scene.concepts]
    named = touched[int(rng.integers(len(touched)))] if touched else None
    marks = tuple((category.name, category.id in scene.concepts) for category in categories)
    return InstructionPair(question(categories, policies=False), answer(named), marks=marks)


def _asked(scene: Scene, rng: np.random.Generator, at_most: int, chance: float) -> list[str]:
    """1 to `at_most` concepts in any order, each that is shown with this chance."""
    shown = [name for name in dict.fromkeys(scene.concepts) if rng.random() < chance]
    others = [concept.name for concept in VOCABULARY if concept.name not in scene.concepts]
    count = max(1, int(rng.integers(len(shown), at_most + 1)))
    picked = [*shown, *(str(name) for name in rng.choice(others, count - len(shown), replace=False))]
    return [picked[int(place)] for place in rng.permutation(len(picked))]


def _noun(concept: str, rng: np.random.Generator) -> str:
    words = BY_NAME[concept].words
    return words[int(rng.integers(len(words)))]
