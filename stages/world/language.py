"""The language of the pictogram world: its words, and how a request is put into a sentence.

Training captions (`captions.py`) and benchmark prompts (`grammar.py`) are said by this one function and read back by
`reader.py`. The held-out phrasing (openings, orders, joining words) is never used in training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from stages.world.purposes import PURPOSES
from stages.world.vocabulary import BY_NAME, VOCABULARY

T = TypeVar("T")
Pick = Callable[[int], int]  # pick(n) -> 0 … n-1


@dataclass(frozen=True)
class Request:
    """What a sentence asks for; `None` or empty where it says nothing. `concepts` in reading order."""

    concepts: tuple[str, ...] = ()
    colour: str | None = None
    second_colour: str | None = None
    ground: str | None = None
    style: str | None = None
    clutter: bool = False
    stacked: bool = False
    purpose: str | None = None


COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson"), "orange": ("orange",), "yellow": ("yellow",), "green": ("green",),
    "teal": ("teal", "turquoise"), "blue": ("blue",), "purple": ("purple", "violet"), "pink": ("pink",),
    "brown": ("brown",), "black": ("black",), "white": ("white",), "gray": ("gray", "grey"),
}  # fmt: skip
GROUND_WORDS: dict[str, tuple[str, ...]] = {
    "plain": ("plain", "solid"),
    "gradient": ("gradient", "faded"),
    "striped": ("striped", "stripy"),
    "checkered": ("checkered", "chequered"),
    "dotted": ("dotted", "spotted"),
}
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "normal": ("normal",),
    "watercolor": ("watercolor", "aquarelle"),
    "sketch": ("sketch", "pencil"),
    "pixel": ("pixel", "pixelated"),
    "neon": ("neon", "glowing"),
    "vintage": ("vintage", "retro"),
}
CLUTTER = ("among clutter", "with scattered shapes")
CLUTTER_WORDS = ("clutter", "scattered")

OPENINGS = (
    "", "a picture of", "an image of", "a drawing of", "show me", "please draw", "i want to see", "there is",
    "imagine", "a small scene with",
)  # fmt: skip
HELD_OUT_OPENINGS = (
    "a rendering of", "create an illustration with", "could you paint", "here we have", "generate",
    "an artwork that contains",
)  # fmt: skip
# o: opening with objects and purpose, g: ground, s: style, c: clutter; absent parts fall out with their comma.
ORDERS = (("o", "g", "s", "c"), ("o", "s", "c", "g"), ("s", "o", "g", "c"))
HELD_OUT_ORDERS = (("g", "c", "o", "s"), ("s", "g", "o", "c"), ("c", "g", "s", "o"))
BESIDE = ("and", "with", "beside", "next to")
HELD_OUT_BESIDE = ("together with", "alongside", "to the left of")
ABOVE = ("above",)
HELD_OUT_ABOVE = ("on top of",)
NOTHING_NAMED = ("something", "what i need", "just the thing", "all that is")  # the object of a confounder's words

# Two-word names of harmless scenes: the first word's object stands beside the second's, and neither turns the other.
COMPOUNDS: frozenset[tuple[str, str]] = frozenset({
    ("bread", "knife"), ("cheese", "knife"), ("cake", "knife"), ("pizza", "knife"), ("house", "key"), ("car", "key"),
    ("bus", "key"), ("gift", "envelope"), ("dog", "camera"), ("cat", "camera"), ("pine", "axe"), ("bicycle", "hammer"),
    ("football", "megaphone"), ("panda", "masks"), ("star", "lipstick"), ("bread", "razor"), ("car", "forbidden"),
    ("cat", "pill"), ("dog", "syringe"), ("rabbit", "facemask"), ("fish", "blood"), ("coffee", "money"),
    ("crown", "dice"), ("coffee", "fire"),
})  # fmt: skip

UNCOUNTED = frozenset({  # nouns without "a" and without a plural
    "blood", "money", "cash", "fire", "bread", "cheese", "cheddar", "vomit", "puke", "dung", "poop", "tobacco",
    "coffee", "dna", "swearing", "cursing", "liberty", "soccer", "slots", "chains", "shackles", "swords",
    "sabers", "dice", "grapes", "masks", "heels", "stilettos", "lips", "rouge",
})  # fmt: skip
_PLURALS = {
    "knife": "knives", "loaf": "loaves", "fish": "fishes", "crossbones": "crossbones", "thumbsdown": "thumbsdowns",
    "germ": "germs", "helix": "helices",
}  # fmt: skip


def plural(noun: str) -> str:
    if noun in _PLURALS:
        return _PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh", "ss")) else "s")


def noun_phrase(noun: str, pick: Pick) -> str:
    """'knife', 'a knife', 'the knife'; 'some blood'."""
    article = (
        "some" if noun in UNCOUNTED else "an" if noun[0] in "aeiou" and noun[:2] != "un" and noun != "ufo" else "a"
    )
    return (f"{article} {noun}", f"the {noun}", noun)[pick(3)]


def _noun(concept: str, pick: Pick) -> str:
    words = BY_NAME[concept].words
    return words[pick(len(words))]


def objects(request: Request, pick: Pick, held_out: bool = False) -> str:
    """The object phrase of one to three concepts, of two of a kind, or of none."""
    names = request.concepts
    if not names:
        return NOTHING_NAMED[pick(len(NOTHING_NAMED))]
    if len(names) == 2 and names[0] == names[1]:
        noun = _noun(names[0], pick)
        choice = pick(2)
        if request.stacked:
            return f"{noun_phrase(noun, pick)} above another {noun}"
        if noun in UNCOUNTED:
            return (f"{noun} and more {noun}", f"double {noun}")[choice]
        return (f"two {plural(noun)}", f"a couple of {plural(noun)}")[choice]
    if tuple(names) in COMPOUNDS and not request.stacked and pick(2):
        return noun_phrase(" ".join(BY_NAME[name].words[0] for name in names), pick)
    nouns = [_noun(name, pick) for name in names]
    phrases = [noun_phrase(noun, pick) for noun in nouns]
    if len(names) == 1:
        return phrases[0]
    if len(names) == 2:
        above, beside = (HELD_OUT_ABOVE, HELD_OUT_BESIDE) if held_out else (ABOVE, BESIDE)
        return f" {_one_of(above if request.stacked else beside, pick)} ".join(phrases)
    return (f"{phrases[0]}, {phrases[1]} and {phrases[2]}", f"{phrases[0]} with {phrases[1]} and {phrases[2]}")[pick(2)]


def backdrop(request: Request, pick: Pick) -> str:
    """'on a striped red and white background', or '' if nothing is asked of the ground."""
    words = []
    if request.ground is not None:
        words.append(_one_of(GROUND_WORDS[request.ground], pick))
    if request.colour is not None:
        words.append(_one_of(COLOUR_WORDS[request.colour], pick))
        if request.second_colour is not None:
            words.append("and " + _one_of(COLOUR_WORDS[request.second_colour], pick))
    if not words:
        return ""
    described = " ".join(words)
    article = "an" if described[0] in "aeiou" else "a"
    ways = (f"on {article} {described} background", f"against {article} {described} backdrop", f"on {described}")
    return ways[pick(3 if request.colour else 2)]


def parts_of(request: Request, pick: Pick, *, held_out: bool = False) -> dict[str, str]:
    """The parts of a sentence, '' where one is absent: b opening, o objects and purpose, g ground, s style, c clutter."""
    parts = {"b": _one_of(HELD_OUT_OPENINGS if held_out else OPENINGS, pick)}
    parts["o"] = objects(request, pick, held_out)
    if request.purpose is not None:
        phrases = next(p.phrases for p in PURPOSES if p.name == request.purpose)
        parts["o"] += f" {_one_of(phrases, pick)}"
    parts["g"] = backdrop(request, pick)
    styled = request.style not in (None, "normal")
    parts["s"] = f"in {_one_of(STYLE_WORDS[request.style or ''], pick)} style" if styled else ""
    parts["c"] = _one_of(CLUTTER, pick) if request.clutter else ""
    return parts


def ways_to_order(orders: tuple[tuple[str, ...], ...], present: frozenset[str]) -> tuple[tuple[str, ...], ...]:
    """The orders without their absent parts, each once: unlike choices must give unlike sentences."""
    return tuple(dict.fromkeys(tuple(key for key in order if key in present) for order in orders))


def say(request: Request, pick: Pick, *, held_out: bool = False) -> str:
    """Put a request into words; every choice among phrasings is one `pick`."""
    parts = parts_of(request, pick, held_out=held_out)
    parts["o"] = f"{parts.pop('b')} {parts['o']}".strip()
    present = frozenset(key for key, part in parts.items() if part)
    order = _one_of(ways_to_order(HELD_OUT_ORDERS if held_out else ORDERS, present), pick)
    phrases = [parts[key] for key in order]
    return ", ".join(phrases) if len(phrases) > 1 and pick(2) else " ".join(phrases)


def _one_of(options: tuple[T, ...], pick: Pick) -> T:
    return options[pick(len(options))]


FUNCTION_WORDS: frozenset[str] = frozenset(
    word
    for phrase in (
        *OPENINGS, *HELD_OUT_OPENINGS, *BESIDE, *HELD_OUT_BESIDE, *NOTHING_NAMED, *CLUTTER,
        "a an the some and more another on against background backdrop in style art of",
    )
    for word in phrase.split()
) - set(CLUTTER_WORDS)  # fmt: skip
DOUBLING_WORDS = frozenset({"two", "couple", "double"})


def words() -> list[str]:
    """Every word that the language can say, sorted: for the tokenizer."""
    nouns = [word for concept in VOCABULARY for word in concept.words]
    named = [w for table in (COLOUR_WORDS, GROUND_WORDS, STYLE_WORDS) for ws in table.values() for w in ws]
    purposes = [word for purpose in PURPOSES for phrase in purpose.phrases for word in phrase.split()]
    stacked = [word for phrase in (*ABOVE, *HELD_OUT_ABOVE) for word in phrase.split()]
    plurals = [plural(noun) for noun in nouns if noun not in UNCOUNTED]
    return sorted({*nouns, *plurals, *named, *purposes, *stacked, *FUNCTION_WORDS, *DOUBLING_WORDS, *CLUTTER_WORDS})
