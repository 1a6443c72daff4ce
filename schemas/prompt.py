"""What every source of prompts yields: a prompt on its way in, before it becomes the root of a lineage, or a row that is none."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt as a source gave it; everything but the text is carried along unjudged.

    `text` is what a filter will judge, `drawn_text` what the generator sees (None: the same; they differ only in confounders).
    `category` and `label` are the source's claims, never a label of ours. `licence` is an SPDX id or the source's own words.
    """

    text: str
    drawn_text: str | None = None
    language: str | None = None
    source: str = ""
    source_id: str | None = None
    licence: str | None = None
    category: str | None = None
    label: str | None = None
    seed: int | None = None  # that its source fixes with the prompt: what pictures are drawn from
    settings: str | None = None  # JSON of what the row sets of its generator (`schemas.generation`)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row of a source that holds no prompt: counted under `reason`; `where` says which row and why, without its text."""

    reason: str
    where: str
