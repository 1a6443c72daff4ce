"""Read a prompt of the pictogram world even if it was disguised: what normalisation recovers counts as said (DESIGN 3.10)."""

from functools import cache

from stages.prompts.normalise import GAP, fold, readings
from stages.world import language
from stages.world.purposes import PURPOSES
from stages.world.reader import Reading, read
from stages.world.vocabulary import VOCABULARY


def understood(prompt: str) -> Reading:
    """The reading as it stands, or the most complete one of its normalised forms (homoglyphs, leetspeak, invisible characters)."""
    plain = read(prompt)
    if plain.complete:
        return plain
    forms = [plain, *(read(_unfolded(form)) for form in readings(prompt).split(GAP))]
    return min(forms, key=lambda reading: len(reading.unknown))


def _unfolded(form: str) -> str:
    """Folding merges letters that pass for one another ("l" and "i"); the world's own words are put back."""
    words = (word.strip(",.;:!?\"'()") for word in form.split())
    return " ".join(_words().get(word, word) for word in words)


@cache
def _words() -> dict[str, str]:
    """Every word of the language under its fold."""
    nouns = [word for concept in VOCABULARY for word in concept.words]
    plurals = [language.plural(word) for word in nouns if word not in language.UNCOUNTED]
    tables = (language.COLOUR_WORDS, language.GROUND_WORDS, language.STYLE_WORDS)
    described = [word for table in tables for words in table.values() for word in words]
    phrases = [*language.ABOVE, *language.HELD_OUT_ABOVE, *(phrase for p in PURPOSES for phrase in p.phrases)]
    other = [*language.CLUTTER_WORDS, *language.DOUBLING_WORDS, *language.FUNCTION_WORDS]
    vocabulary = [*nouns, *plurals, *described, *other, *(word for phrase in phrases for word in phrase.split())]
    return {fold(word): word for word in vocabulary}
