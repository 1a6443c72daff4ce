"""Vocabulary × templates as a source of short prompts, for a language model to write out (`Rewrite`) or to draw as they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from schemas.errors import InputError
from schemas.prompt import Prompt
from stages.prompts.files import as_text
from stages.prompts.rows import columns_of, require, rows_of
from stages.world.language import noun_phrase
from stages.world.vocabulary import SAFE, VOCABULARY

TEMPLATES = (
    "{}",
    "a photo of {}",
    "{} on a table",
    "a drawing of {}",
    "{} seen from above",
    "{} on a wall",
    "a poster with {}",
    "{} in the rain",
)


@dataclass(frozen=True, slots=True)
class Word:
    """An entry as a template takes it ("a knife", "some blood"), with its source's claims."""

    text: str
    category: str | None = None
    label: str | None = None


def world_words() -> tuple[Word, ...]:
    """The first noun of each of the pictogram world's concepts. Alone, an ambivalent thing is safe (docs/reference/truth.md)."""
    return tuple(
        Word(
            noun_phrase(concept.words[0], lambda _: 0),
            concept.category if concept.kind == "unsafe" else SAFE,
            "unsafe" if concept.kind == "unsafe" else "safe",
        )
        for concept in VOCABULARY
    )


def read_words(path: Path) -> tuple[Word, ...]:
    """Words from a .csv, .jsonl or .parquet file: column `word`, `category` and `label` where there are. Raises InputError."""
    columns = columns_of(path)
    require(path.name, columns, "word", advice="a vocabulary's words are in the column 'word'")
    words = [
        Word(word, as_text(row["category"]), as_text(row["label"]))
        for row in rows_of(path, ["word", "category", "label"])
        if (word := as_text(row["word"]))
    ]
    if not words:
        raise InputError(f"the vocabulary {path.name} holds no word")
    return tuple(words)


def vocabulary_prompts(
    words: Sequence[Word],
    templates: Sequence[str] = TEMPLATES,
    *,
    name: str = "world",
    licence: str | None = "Apache-2.0",
) -> Iterator[Prompt]:
    """Every word in every template, once: first each word in one template, then each in the next, so that any beginning is even.

    Their gate is the intake's, as for any source.
    """
    for round_ in range(len(templates)):
        for index, word in enumerate(words):
            template = templates[(round_ + index) % len(templates)]
            yield Prompt(
                text=template.format(word.text),
                language="en",
                source=f"vocabulary/{name}",
                source_id=f"{index}.{(round_ + index) % len(templates)}",
                licence=licence,
                category=word.category,
                label=word.label,
            )


@dataclass(frozen=True)
class VocabularyPrompts:
    """The first `count` prompts of the world's vocabulary, of which there are 8 a word; iterating again gives the same ones."""

    count: int

    def __iter__(self) -> Iterator[Prompt]:
        return islice(vocabulary_prompts(world_words()), self.count)
