"""Under which licences a release's parts stand: as rows say of prompts and labellers, and cards of generators."""

import re
from dataclasses import dataclass

from pipeline.release.columns import without_paths
from pipeline.release.rows import ReleaseRows
from pipeline.storage.weights import local_directory

UNKNOWN = "NOASSERTION"
"""SPDX's word for: nobody says."""
DRAWN = {"render/noto": "Apache-2.0", "render/twemoji": "CC-BY-4.0"}
"""Of generators that are no model: of the pictograms that they draw (NOTICE)."""


@dataclass(frozen=True, slots=True)
class LicensedPart:
    """One part: `what` it does here (prompts, generator, labeller), its name, its licence."""

    what: str
    name: str
    licence: str


def licences_of(rows: ReleaseRows) -> list[LicensedPart]:
    """Of everything that the published rows name."""
    prompts = rows.asked("SELECT DISTINCT source, licence FROM published ORDER BY ALL")
    generators = rows.asked(f"""
        SELECT DISTINCT {without_paths("generator")}, generator FROM samples
        WHERE generator IS NOT NULL AND key IN (SELECT key FROM published) ORDER BY ALL
    """)
    judges = rows.asked(f"""
        SELECT DISTINCT {without_paths("annotator")}, licence FROM votes
        WHERE annotator_type <> 'human' AND key IN (SELECT key FROM published) ORDER BY ALL
    """)
    return [
        *(LicensedPart("prompts", str(name or "unnamed"), str(licence or UNKNOWN)) for name, licence in prompts),
        *(LicensedPart("generator", str(name), generator_licence(str(place))) for name, place in generators),
        *(LicensedPart("labeller", str(name), str(licence or UNKNOWN)) for name, licence in judges),
    ]


def generator_licence(name: str) -> str:
    """As the card of the model's directory says it; NOASSERTION where there is no card here."""
    if name in DRAWN:
        return DRAWN[name]
    folder = local_directory(name)
    card = folder / "README.md" if folder else None
    if card is None or not card.is_file():
        return UNKNOWN
    front = card.read_text(encoding="utf-8", errors="replace")[:20_000].split("\n---", 1)[0]
    match = re.search(r"^license: *[\"']?([\w.+-]+)", front, re.MULTILINE)
    return match[1] if match else UNKNOWN


def hub_licence(parts: list[LicensedPart]) -> str:
    """The one licence of prompts and generators as hubs spell it, `other` where they differ or one is not known."""
    licences = {part.licence.lower() for part in parts if part.what != "labeller"}
    return licences.pop() if len(licences) == 1 and UNKNOWN.lower() not in licences else "other"
