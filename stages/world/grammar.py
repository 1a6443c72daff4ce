"""Prompts of the pictogram world, balanced over safe and unsafe, over categories and over what makes them hard.

The i-th prompt is a function of the seed and i alone. A prompt is said by `language.say` with the digits of one number
as its choices; numbers of one stream differ, streams ask for different things, so no prompt comes twice.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

from schemas.errors import InputError
from stages.world import truth
from stages.world.confounders import CELLS, Cell
from stages.world.language import COMPOUNDS, Pick, Request, say
from stages.world.purposes import HARMFUL, HARMLESS
from stages.world.vocabulary import BY_NAME, COLOURS, GROUNDS, SAFE, STYLES, UNSAFE_CATEGORIES, VOCABULARY

PromptKind = Literal["plain", "pair", "look_alike", "confounder", "purpose"]

_SAFE = tuple(c.name for c in VOCABULARY if c.kind == "safe")
_UNSAFE = {k: tuple(c.name for c in VOCABULARY if c.kind == "unsafe" and c.category == k) for k in UNSAFE_CATEGORIES}
_AMBIVALENT = {
    k: tuple(c.name for c in VOCABULARY if c.kind == "ambivalent" and c.category == k) for k in UNSAFE_CATEGORIES
}


@dataclass(frozen=True)
class GrammarPrompt:
    """`prompt` is judged, `generation_prompt` is drawn (unlike only for confounders); `concepts` is what the latter names.

    `label` ('safe' or 'unsafe') and `category` are the truth of the pair, were it drawn as asked.
    """

    index: int
    prompt: str
    generation_prompt: str
    category: str
    label: str
    kind: PromptKind
    concepts: tuple[str, ...]


class Digits:
    """Reads a number as mixed-radix digits, each turned by a hash of those before it.

    Unlike numbers below `room` (the product of the radices so far) give unlike choices, and the choices beyond a number's
    own digits vary still.
    """

    def __init__(self, value: int) -> None:
        self.value = value
        self.room = 1
        self._path = 1

    def __call__(self, radix: int) -> int:
        self.room *= radix
        self.value, digit = divmod(self.value, radix)
        digit = (digit + (self._path >> 33)) % radix
        self._path = (self._path + digit + 1) * 6364136223846793005 % 2**64  # Knuth's multiplier
        return digit

    def one_in(self, n: int) -> bool:
        """True for about one in n of the choices so far, on which alone it depends: it tells no numbers apart."""
        return (self._path >> 21) % n == 0


@dataclass(frozen=True)
class _Slot:
    """One place in the cycle. `stream` names what its prompts share; `rank` of `of` such places in a cycle."""

    kind: PromptKind
    stream: str
    category: str
    unsafe: bool
    cell: Cell | None = None
    rank: int = 0
    of: int = 1


def _cycle() -> tuple[_Slot, ...]:
    slots: list[_Slot] = []
    for c in UNSAFE_CATEGORIES:
        turned = any(BY_NAME[name].partners for name in _AMBIVALENT[c])
        slots += [_Slot("plain", f"single {c}", c, True)] * 2
        slots += [_Slot("pair", f"company {c}", c, True)]
        slots += [_Slot("pair", f"turned {c}", c, True) if turned else _Slot("pair", f"company {c}", c, True)]
        slots += [_Slot("purpose", f"joined {c}", c, True)] * 2
        slots += [_Slot("plain", "single safe", SAFE, False)] * 2
        slots += [_Slot("pair", "company safe", SAFE, False)]
        slots += [_Slot("look_alike", f"alike {c}", c, False)] * 2
        slots += [_Slot("purpose", f"mismatched {c}", c, False)]
    slots += [_Slot("confounder", f"confounder {x.purpose}", SAFE, x.unsafe, x) for x in CELLS]
    totals = Counter(slot.stream for slot in slots)
    seen: Counter[str] = Counter()
    ranked = []
    for slot in slots:
        ranked.append(replace(slot, rank=seen[slot.stream], of=totals[slot.stream]))
        seen[slot.stream] += 1
    stride = 67  # coprime to the cycle's length: short runs are mixed too
    return tuple(ranked[i * stride % len(ranked)] for i in range(len(ranked)))


CYCLE = _cycle()
# Numbers a stream has, primes: below what the shortest sentence's choices tell apart (tests/stages/world/test_grammar.py).
_NUMBERS = {"single safe": 240_007, "company safe": 240_007}
_NUMBERS_ELSE = 30_011


def numbers_of(stream: str) -> int:
    return _NUMBERS.get(stream, _NUMBERS_ELSE)


LIMIT = min(numbers_of(slot.stream) // slot.of for slot in CYCLE) * len(CYCLE)


def prompts(seed: int, count: int, *, start: int = 0, held_out: bool = False) -> Iterator[GrammarPrompt]:
    """Prompts `start` … `count` - 1; at most `LIMIT` are different, and more are refused with `InputError`."""
    if count > LIMIT:
        raise InputError(
            f"the grammar has {LIMIT} different prompts, {count} were asked for: take more images a prompt"
        )
    return (prompt_at(seed, i, held_out=held_out) for i in range(start, count))


def prompt_at(seed: int, index: int, *, held_out: bool = False) -> GrammarPrompt:
    """The prompt of one index."""
    return make(seed, index, held_out=held_out)[0]


def make(seed: int, index: int, *, held_out: bool = False) -> tuple[GrammarPrompt, int]:
    """The prompt, and how many different ones its choices had room for."""
    turn, place = divmod(index, len(CYCLE))
    slot = CYCLE[place]
    pick = Digits(_number(seed, slot, turn))
    surroundings = _surroundings(pick)
    request = Request(concepts=(slot.cell.object,)) if slot.cell else _WAYS[slot.stream.split()[0]](slot.category, pick)
    drawn = words = replace(surroundings, concepts=request.concepts, purpose=request.purpose, stacked=request.stacked)
    if slot.cell is not None:
        words = replace(drawn, concepts=(), purpose=slot.cell.purpose)
    prompt = say(words, pick, held_out=held_out)
    room = pick.room
    generation_prompt = prompt if slot.cell is None else say(drawn, pick, held_out=held_out)
    meaning = truth.of_pair(words, drawn.concepts)
    category = (
        (slot.category if slot.category in meaning.categories else meaning.categories[0]) if meaning.unsafe else SAFE
    )
    label = "unsafe" if meaning.unsafe else "safe"
    return GrammarPrompt(index, prompt, generation_prompt, category, label, slot.kind, drawn.concepts), room


def _number(seed: int, slot: _Slot, turn: int) -> int:
    """A permutation of the stream's numbers: multiples of a golden-section step, so that neighbours differ in all."""
    numbers = numbers_of(slot.stream)
    offset = int.from_bytes(blake2b(f"{seed} {slot.stream}".encode(), digest_size=8).digest(), "big")
    return (offset + (turn * slot.of + slot.rank) * round(numbers * 0.618034)) % numbers


def _surroundings(pick: Pick) -> Request:
    """Half plain, half textured; half as they are, half in a style or cluttered."""
    colours = tuple(COLOURS)
    colour = colours[pick(len(colours))]
    request = Request(colour=colour, ground=GROUNDS[0])
    if pick(2):
        request = replace(request, ground=GROUNDS[1 + pick(len(GROUNDS) - 1)])
        if pick(2):
            others = [c for c in colours if c != colour]
            request = replace(request, second_colour=others[pick(len(others))])
    if pick(2):
        choice = pick(len(STYLES))
        request = replace(request, clutter=True) if choice == 0 else replace(request, style=STYLES[choice])
    return request


# What follows asks for concepts and a purpose; each way to ask is one choice of digits.


def _single(category: str, pick: Digits) -> Request:
    names = _SAFE if category == SAFE else _UNSAFE[category]
    name = names[pick(len(names))]
    return Request(concepts=(name, name) if pick.one_in(5) else (name,))


def _company(category: str, pick: Digits) -> Request:
    """An unsafe (or safe) concept with one or two safe ones."""
    names = _SAFE if category == SAFE else _UNSAFE[category]
    name = names[pick(len(names))]
    others = [c for c in _SAFE if c != name]
    companion = others[pick(len(others))]
    way = pick(3 if category == SAFE else 4)  # among safe ones the other order is another choice of names
    if way == 2:
        third = [c for c in others if c != companion]
        return Request(concepts=(name, companion, third[pick(len(third))]))
    return Request(concepts=(companion, name) if way == 3 else (name, companion), stacked=way == 1)


def _turned(category: str, pick: Digits) -> Request:
    """An ambivalent concept beside a partner that turns it."""
    pairs = [(name, partner) for name in _AMBIVALENT[category] for partner in BY_NAME[name].partners]
    name, partner = pairs[pick(len(pairs))]
    way = pick(3)
    return Request(concepts=(partner, name) if way == 1 else (name, partner), stacked=way == 2)


def _joined(category: str, pick: Digits) -> Request:
    """A named object with a purpose that turns it."""
    joins = [(name, p.name) for p in HARMFUL if p.category == category for name in p.turns]
    name, purpose = joins[pick(len(joins))]
    return Request(concepts=(name,), purpose=purpose)


def _mismatched(category: str, pick: Digits) -> Request:
    """A harmful purpose with an object that it does not turn, or an ambivalent object with a harmless purpose."""
    if pick(2):
        purposes = [p.name for p in HARMFUL if p.category == category]
        return Request(concepts=(_SAFE[pick(len(_SAFE))],), purpose=purposes[pick(len(purposes))])
    names = _AMBIVALENT[category]
    return Request(concepts=(names[pick(len(names))],), purpose=HARMLESS[pick(len(HARMLESS))].name)


def _alike(category: str, pick: Digits) -> Request:
    """An ambivalent concept alone, in a harmless compound ("bread knife"), or in safe company."""
    names = _AMBIVALENT[category]
    way = pick(3)
    if way == 0:
        return Request(concepts=(names[pick(len(names))],))
    if way == 1:
        compounds = sorted(pair for pair in COMPOUNDS if pair[1] in names)
        return Request(concepts=compounds[pick(len(compounds))])
    name = names[pick(len(names))]
    company = [c for c in _SAFE if c not in BY_NAME[name].partners and (c, name) not in COMPOUNDS]
    return Request(concepts=(company[pick(len(company))], name))


_WAYS = {
    "single": _single,
    "company": _company,
    "turned": _turned,
    "joined": _joined,
    "mismatched": _mismatched,
    "alike": _alike,
}
