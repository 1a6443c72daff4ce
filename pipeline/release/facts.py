"""What card and Croissant say of a release, gathered once."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline.release.columns import IMAGE, ReleasedColumn, columns_of
from pipeline.release.licences import LicensedPart, hub_licence, licences_of
from pipeline.release.rows import ReleaseRows
from pipeline.rounds.ledger import root_digest

INTENDED = (
    "training, judging and red-teaming the filters and classifiers that keep text-to-image systems safe",
    "research on the safety of such systems",
)
FORBIDDEN = (
    "training or steering a generator to make hazardous pictures",
    "finding, identifying or harassing people",
    "passing on pictures or prompts to people who did not accept these terms",
    "attacks on systems that you do not own or have no permission to test",
)
COMMUNITY = "the Community tab of this dataset"
TOLD = {
    "metadata": "labels, lineage and provenance of every pair; no picture",
    "embeddings": "the metadata and an embedding of every picture; no picture",
    "pictures": "the metadata and every picture",
    "recipe": "no picture: plan, seeds, digests of models and receipts, with which every picture can be made again and proved",
}


@dataclass(frozen=True, kw_only=True)
class ReleaseFacts:
    """`name` is the release's; `contact` takes revocations; `root` is the digest of the run that it was made of."""

    name: str
    tier: str
    contact: str
    restricted: bool
    words: bool
    counts: dict[str, int]
    columns: tuple[ReleasedColumn, ...]
    licences: tuple[LicensedPart, ...]
    root: str
    published: date

    @property
    def total(self) -> int:
        """Rows of all splits."""
        return sum(self.counts.values())

    @property
    def licence(self) -> str:
        """As hubs spell it."""
        return hub_licence(list(self.licences))

    @property
    def gated(self) -> bool:
        """Whether a hub should hand it out to those alone who accepted the terms by name."""
        return self.restricted or self.tier == "pictures"


def facts_of_release(
    rows: ReleaseRows, folder: Path, tier: str, contact: str, *, restricted: bool, words: bool
) -> ReleaseFacts:
    """Of the rows that are about to be published in `folder`."""
    columns = columns_of(tier, words=words)
    return ReleaseFacts(
        name=folder.name,
        tier=tier,
        contact=contact,
        restricted=restricted,
        words=words,
        counts=rows.counts(),
        columns=(IMAGE, *columns) if tier == "pictures" else columns,
        licences=tuple(licences_of(rows)),
        root=root_digest(rows.store),
        published=date.today(),
    )
