"""A prompt on its way in: what every source yields, before it becomes the root of a lineage."""

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
