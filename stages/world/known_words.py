"""Every word of the embedded world's language, by what it shows: what a prompt may be made of."""

from stages.world import language
from stages.world.purposes import PURPOSES
from stages.world.vocabulary import SAFE, VOCABULARY


def known_words() -> dict[str, list[str]]:
    """By what they show: pictures ("dagger (violence)"), colours, grounds, styles, arrangements, purposes; last those between."""
    safe_last = sorted(VOCABULARY, key=lambda concept: (concept.category == SAFE, concept.category, concept.name))
    tables = {"colour": language.COLOUR_WORDS, "ground": language.GROUND_WORDS, "style": language.STYLE_WORDS}
    return {
        **{f"{concept.name} ({concept.category})": list(concept.words) for concept in safe_last},
        **{f"{kind} {name}": list(words) for kind, table in tables.items() for name, words in table.items()},
        "two of a kind": sorted(language.DOUBLING_WORDS),
        "clutter": sorted(language.CLUTTER_WORDS),
        "one above the other": sorted({*language.ABOVE, *language.HELD_OUT_ABOVE}),
        **{f"purpose {purpose.name}": list(purpose.phrases) for purpose in PURPOSES},
        "words between": sorted(language.FUNCTION_WORDS),
    }
