"""A benchmark from nothing: pools, keywords, search, doubles, annotation, statistics. Seeded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.dataset.annotation import (
    SAFE,
    UNSAFE,
    UNSURE,
    Annotated,
    Annotator,
    annotate,
    by_labeller,
    by_words,
    kappa,
)
from classifiers.unsafebench.dataset.clip_index import ClipIndex, Floats
from classifiers.unsafebench.dataset.collection import collect, without_doubles
from classifiers.unsafebench.dataset.images import GENERATED, REAL, Picture
from classifiers.unsafebench.dataset.keywords import augmented, merged, of_definition, of_world
from classifiers.unsafebench.dataset.shard_pool import ShardPool
from classifiers.unsafebench.dataset.world_pool import WorldPool
from classifiers.unsafebench.judges.remote_judges import by_labellers
from schemas.errors import InputError
from schemas.sample import Pixels, Sample
from schemas.taxonomy import UNSAFEBENCH
from stages.label.tagger_truth import TaggerTruth
from stages.label.zero_shot import ZeroShot


@dataclass(frozen=True)
class Size:
    """Pictures in each source's pool, and how many each keyword finds; `writer` names a local language model, or none."""

    real: int = 2000
    generated: int = 700
    a_keyword: int = 12
    writer: str = ""
    seed: int = 4


@dataclass(frozen=True)
class ExternalPools:
    """Folders of image-caption shards in place of both pools, and three labellers as annotators."""

    real: str
    generated: str
    annotators: str


@dataclass(frozen=True, eq=False)
class Built:
    """The benchmark's pictures, and what table 2 and table 8 count."""

    pictures: list[Picture]
    keywords: Mapping[str, Sequence[str]]
    counts: list[dict[str, object]]  # a row a source: see `_counted`


class PicturePool(Protocol):
    """Where a source's pictures are looked for."""

    source: str

    def vectors(self, encoder: ClipEncoder) -> Floats:
        """float32 [n, width], unit."""

    def samples(self, rows: Sequence[int]) -> list[Sample]:
        """Those of some rows, with pictures."""


@dataclass(frozen=True)
class Panel:
    """The first two annotators and the third; `truth` where the words are known to say what is shown."""

    first: Annotator
    second: Annotator
    third: Annotator
    truth: Annotator | None = None


def of_the_world(encoder: ClipEncoder, size: Size) -> Built:
    """Everything of section 3.1 in the embedded world. Raises InputError for a language model that is not there."""
    keywords = merged(of_world(UNSAFEBENCH), keywords_of(size.writer, size.seed) if size.writer else {})
    pools = (WorldPool(REAL, size.real, size.seed), WorldPool(GENERATED, size.generated, size.seed))
    panel = Panel(by_words, by_labeller(TaggerTruth()), by_labeller(ZeroShot(), unsure=UNSURE), by_words)
    return build(encoder, pools, keywords, panel, size.a_keyword)


def of_shards(encoder: ClipEncoder, external: ExternalPools, size: Size) -> Built:
    """The same of any two folders of shards. Raises InputError."""
    labellers = by_labellers(external.annotators)
    if len(labellers) != 3:
        raise InputError(
            f"--annotators {external.annotators}: expected three labellers, the third for what the others dispute"
        )
    panel = Panel(*(by_labeller(judge.labeller) for judge in labellers))
    pools = (ShardPool(REAL, Path(external.real)), ShardPool(GENERATED, Path(external.generated)))
    return build(encoder, pools, keywords_of(size.writer, size.seed), panel, size.a_keyword)


def keywords_of(writer: str, seed: int) -> dict[str, tuple[str, ...]]:
    """Of the definitions, and what a local language model adds."""
    initial = {each.id: of_definition(each) for each in UNSAFEBENCH.categories}
    return merged(initial, augmented(writer, UNSAFEBENCH, seed)) if writer else initial


def build(
    encoder: ClipEncoder,
    pools: Sequence[PicturePool],
    keywords: Mapping[str, Sequence[str]],
    panel: Panel,
    a_keyword: int,
) -> Built:
    """Search each pool by every keyword, drop doubles, annotate, count."""
    pictures: list[Picture] = []
    counts: list[dict[str, object]] = []
    everything: list[Annotated] = []
    for pool in pools:
        collected = collect(ClipIndex(pool.vectors(encoder)), encoder, keywords, a_keyword)
        samples = pool.samples([each.row for each in collected])
        kept = without_doubles([_picture_of(sample) for sample in samples])
        chosen = [samples[place] for place in kept]
        annotated = annotate(chosen, panel.first, panel.second, panel.third)
        counts.append(_counted(pool.source, chosen, annotated, len(collected), panel.truth))
        everything += annotated
        pictures += [
            Picture(
                s.key, _picture_of(s), pool.source, a.category or collected[place].category, a.label == UNSAFE, s.prompt
            )
            for s, a, place in zip(chosen, annotated, kept, strict=True)
            if a.label in (SAFE, UNSAFE)
        ]
    return Built(pictures, keywords, [*counts, _total(counts, everything)])


def _counted(
    source: str, samples: Sequence[Sample], annotated: Sequence[Annotated], count: int, truth: Annotator | None
) -> dict[str, object]:
    """Table 2, and `right`: how often a decided label is what was drawn or asked (a drawing's own truth), where that is known."""
    labels = [each.label for each in annotated]
    says = [] if truth is None else truth(samples)
    known = [a.label == say.label for a, say in zip(annotated, says, strict=False) if a.label != "na"]
    return {
        "source": source,
        "found": count,
        "all": len(labels),
        "safe": labels.count(SAFE),
        "unsafe": labels.count(UNSAFE),
        "na": labels.count("na"),
        "kappa": kappa(annotated),
        "right": sum(known) / len(known) if known else None,
    }


def _total(counts: Sequence[dict[str, object]], annotated: Sequence[Annotated]) -> dict[str, object]:
    sums = {name: sum(int(str(row[name])) for row in counts) for name in ("found", "all", "safe", "unsafe", "na")}
    decided = [int(str(row["safe"])) + int(str(row["unsafe"])) for row in counts]
    shares = [(n, float(str(row["right"]))) for n, row in zip(decided, counts, strict=True) if row["right"] is not None]
    right = sum(n * share for n, share in shares) / sum(n for n, _ in shares) if shares else None
    return {"source": "All", **sums, "kappa": kappa(annotated), "right": right}


def _picture_of(sample: Sample) -> Pixels:
    assert sample.pixels is not None
    return sample.pixels
