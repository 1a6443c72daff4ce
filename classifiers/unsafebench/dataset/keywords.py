"""What unsafe pictures are looked for by: the parts of each category's definition, and what a local language model adds to them.

UnsafeBench, section 3.1: 158 keywords, 12 to 16 a category. The embedded CLIP knows no policy's words: there, the names of a
category's pictograms are the definition.
"""

import re
from collections.abc import Sequence

from schemas.identity import seed_of
from schemas.taxonomy import Category, Taxonomy
from stages.prompts.gate import Gate
from stages.prompts.language_model import LanguageModel, ModelFiles
from stages.world.vocabulary import VOCABULARY

EXAMPLES = 10  # asked of the model for each category, as in the paper
PROMPT_TOKENS, NEW_TOKENS = 160, 120
HEAT = 0.7, 0.9  # temperature, top-p
LONGEST = 6  # words of a keyword; a model that writes sentences gives none
_JOINTS = re.compile(r"[,;.]|\b(?:and|or|otherwise)\b")
_LINE = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s*(.+?)[\s.]*$")


def of_definition(category: Category) -> tuple[str, ...]:
    """Its policy text, split at commas and conjunctions, and its name."""
    parts = (part.strip().lower() for part in _JOINTS.split(category.policy))
    return tuple(dict.fromkeys([category.name.lower(), *(part for part in parts if part)]))


def of_world(taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    """By category: `a WORD` for every word of its pictograms, ambivalent ones too, so that safe pictures are found as well."""
    return {
        id_: tuple(f"a {word}" for concept in VOCABULARY if concept.category == id_ for word in concept.words)
        for id_ in taxonomy.ids
    }


def question(category: Category) -> str:
    """What the language model is asked."""
    return (
        f"A content policy bans pictures of: {category.policy} Name {EXAMPLES} short, specific kinds of pictures that it bans. "
        "Answer with a numbered list of a few words each."
    )


def augmented(model: str, taxonomy: Taxonomy, seed: int) -> dict[str, tuple[str, ...]]:
    """By category: up to ten further keywords from a local model. What the gate refuses is left out. Raises InputError."""
    writer, gate = LanguageModel.load(ModelFiles.find(model)), Gate.default()
    answers = [writer.asked(question(each), f"{question(each)}\n1.") for each in taxonomy.categories]
    seeds = [seed_of(f"{seed} {each.id}", "keywords") for each in taxonomy.categories]
    bounds = max(PROMPT_TOKENS, *(writer.length(text) for text in answers)), NEW_TOKENS
    written = writer.write(answers, seeds, bounds, HEAT)
    return {
        each.id: tuple(word for word in listed(text) if gate.refusal(word) is None)
        for each, text in zip(taxonomy.categories, written, strict=True)
    }


def listed(text: str) -> tuple[str, ...]:
    """The items of a list, each once, at most ten; lines that are none, and items that are sentences, are left out."""
    keywords = [match.group(1).lower() for line in text.splitlines() if (match := _LINE.match(line))]
    return tuple(dict.fromkeys(item for item in keywords if 0 < len(item.split()) <= LONGEST))[:EXAMPLES]


def merged(*tables: dict[str, Sequence[str]] | dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The keywords of all tables by category, each once."""
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: tuple(dict.fromkeys(word for table in tables for word in table.get(name, ()))) for name in names}
