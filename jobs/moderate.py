#!/usr/bin/env python
"""Say of every picture, or pair of a prompt and a picture, whether it is safe, in which category it is not, and how surely.

    jobs/moderate.py pictures/                                    a folder: PNG, JPEG, WebP, AVIF, GIF, TIFF, BMP; tars below it too
    jobs/moderate.py runs/mine/shards/test --scope violence,hate  tars; what is unsafe otherwise is safe
    jobs/moderate.py runs/mine --classifier linear_probe --json   a classifier of that run
    jobs/moderate.py pictures/ --classifier runs/mine/models/vision_language --taxonomy own.json    by another policy
    jobs/moderate.py --pairs pairs.csv                            columns prompt and picture (a path); the shipped guards judge
    jobs/moderate.py --pairs pairs.csv --classifier runs/mine/models/cascade      a classifier of a run

IMAGES is a folder of pictures, tar shards (WebDataset), a picture or a run. --pairs takes a table (CSV, JSONL, Parquet), a
folder or tars with NAME.txt beside each picture, or a run; no labels are needed. Answers are Parquet, a row a picture or pair: key,
safety, category, score, scores by category, and of animations and pages the worst frame. What is no picture is counted and listed
in passed_over.parquet. The same command goes on where it was stopped.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Argument, Option

from jobs.command import DONE, QUARANTINED, LocalCommand, report, resolve_out, run_command, say
from jobs.command.flags import TaxonomyFile
from schemas.errors import InputError

if TYPE_CHECKING:
    from classifiers.classifier import Classifier
    from classifiers.moderation.sources import PictureSource

CLASSIFIER = "assets/world/linear_probe"  # the best of the three so far (docs/results/perspective.md)
OF_PAIRS = "embedded:guards"  # the defence that the repository ships (docs/results/defence.md)
SHOWN = 10  # unsafe pictures in the summary for people


@dataclass(frozen=True, kw_only=True)
class Moderate(LocalCommand):
    """Which pictures, judged by whom."""

    exits: ClassVar = {QUARANTINED: "done, but some pictures could not be read (their rows say why)"}
    threads = 1  # same bytes on a busy machine as on an idle one

    images: Annotated[str | None, Argument(metavar="IMAGES", help="a folder of pictures, tar shards, or a run")] = None
    pairs: Annotated[
        str | None,
        Option(metavar="FILE|FOLDER", help="pairs to judge: a table, or pictures with their prompt in NAME.txt"),
    ] = None
    column: Annotated[
        str | None, Option(metavar="NAME", help="with --pairs: the prompts' column (default: prompt, caption or text)")
    ] = None
    picture_column: Annotated[
        str | None,
        Option(metavar="NAME", help="with --pairs: the picture paths' column (default: picture, image, file_name, …)"),
    ] = None
    scope: Annotated[
        str | None,
        Option(metavar="A,B", help="categories that count as unsafe (default: all that the classifier knows)"),
    ] = None
    classifier: Annotated[
        str | None,
        Option(
            metavar="MODEL",
            help="NAME below RUN/models, embedded:NAME, or a folder",
            show_default=f"{CLASSIFIER}; for pairs {OF_PAIRS}",
        ),
    ] = None
    taxonomy: TaxonomyFile = None
    out: Annotated[
        str | None, Option(metavar="DIR", help="for the answers (default: runs/moderation/, a folder each question)")
    ] = None
    always_decide: Annotated[
        bool,
        Option("--always-decide", help="no `unsure`: decide also where nothing is recognised, or words are unknown"),
    ] = False
    batch: Annotated[int, Option(min=1, metavar="N", help="pictures judged at once")] = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.images is None) == (self.pairs is None):
            raise InputError("give IMAGES (pictures alone) or --pairs (prompts and pictures), one of both")
        for flag, value in (("--column", self.column), ("--picture-column", self.picture_column)):
            if value is not None and self.pairs is None:
                raise InputError(f"{flag} names a column of the table that --pairs gives")

    @property
    def asked(self) -> str:
        """What is judged, as it was given."""
        return self.pairs or self.images or ""


def main(config: Moderate) -> int:
    """Judge what is left, then say what was found."""
    from classifiers.moderation.doubt import Doubt
    from classifiers.moderation.predictions import Question, answer, part_name, parts
    from pipeline.engines.stop_signals import note_standing
    from pipeline.storage.local_store import LocalStore
    from pipeline.storage.open_store import open_store

    started = time.monotonic()
    model, digest = judge(classifier_of(config), config.scope, config.pairs is not None, config.taxonomy)
    source, place = source_of_request(config)
    doubt = None if config.always_decide else Doubt.of(model)
    question = Question(
        images=place,
        pictures=len(source.items),
        items=source.digest(),
        classifier=model.name,
        digest=digest,
        scope=model.categories,
        doubt="" if doubt is None else doubt.digest(),
    )
    out = open_store(resolve_out(config.out or f"runs/moderation/{Path(source.store.url).name}-{question.name}"))
    if not isinstance(out, LocalStore):
        raise InputError(f"{out.url}: answers are written to a folder")
    written = 0
    for count in answer(model, source, out, question, config.batch, doubt):
        written += count
        note_standing(f"{written} pictures were judged now, of {len(source.items)}; answers in {out.url}")
        say(f"  {written} judged now, of {len(source.items)}")
    files = [str(out.path(part_name(number))) for number in range(parts(source.items))]
    summary = {"answers": out.url, "judged_now": written, "scope": list(model.categories), **found_in(files)}
    summary["passed_over"] = source.reasons()
    summary["seconds"] = round(time.monotonic() - started, 2)
    tell(summary, source, files)
    report(config, summary)
    return QUARANTINED if summary["unreadable"] else DONE


def source_of_request(config: Moderate) -> "tuple[PictureSource, str]":
    """What is to be judged, and its name in the question."""
    from classifiers.moderation.pairs import Columns, pairs_of
    from classifiers.moderation.sources import source_of

    path = config.asked if "://" in config.asked else str(Path(config.asked).resolve())
    if config.pairs is not None:
        return pairs_of(path, Columns(config.column, config.picture_column)), f"pairs {path}"
    source = source_of(path)
    return source, source.store.url


def classifier_of(config: Moderate) -> str:
    """The folder of the classifier: below the run that holds the pictures, or as it is given."""
    name = config.classifier or (CLASSIFIER if config.pairs is None else OF_PAIRS)
    inside = Path(config.asked) / "models" / name
    return str(inside) if inside.is_dir() else name


def judge(
    folder: str, scope: str | None, pairs: bool = False, taxonomy: Path | None = None
) -> "tuple[Classifier, str]":
    """The classifier, asked about the scope, and its digest. Raises InputError for one that reads more than there is."""
    from classifiers.families.perspective import Perspective
    from classifiers.saved import Saved, embedded
    from pipeline.storage.weights import local_directory

    saved = Saved(str(embedded(folder) or local_directory(folder) or folder))
    model = saved.load().eval()
    reads = ", ".join(sorted(model.reads))
    if pairs and not model.reads <= {"prompt", "image"}:
        raise InputError(f"{folder} reads {reads}: what a generator knew while it drew, which pairs from outside lack")
    if not pairs and model.reads != {"image"}:
        raise InputError(f"{folder} reads {reads}, and these are pictures alone; --pairs FILE|FOLDER judges pairs")
    digest = saved.digest()
    if taxonomy is not None:
        model, digest = by_own_policy(model, taxonomy, digest)
    if scope is not None:
        if not isinstance(model, Perspective):
            raise InputError(
                f"{folder}: a {model.kind} judges all categories at once; --scope needs jobs/perspective.py's"
            )
        model = model.within([name.strip() for name in scope.split(",") if name.strip()])
    return model, digest


def by_own_policy(model: "Classifier", file: Path, digest: str) -> "tuple[Classifier, str]":
    """The model asked by this file's policy, and a digest of both. Raises InputError for one that has learnt its categories."""
    from hashlib import blake2b

    from classifiers.models.vision_language import VisionLanguage
    from schemas.taxonomy import Taxonomy

    own = Taxonomy.read(file)
    if not isinstance(model, VisionLanguage):
        raise InputError(
            f"--taxonomy goes with a vision_language classifier, which is asked by a policy; a {model.kind} judges by the "
            f"categories it was trained on ({', '.join(model.categories)}): train one on a run of that taxonomy "
            "(jobs/label.py RUN --taxonomy FILE)"
        )
    return model.under(own), f"{digest}-{blake2b(repr(own).encode(), digest_size=8).hexdigest()}"


def found_in(files: list[str]) -> dict[str, object]:
    """Counts, by a query over the answers."""
    import duckdb

    rows = duckdb.read_parquet(files, union_by_name=True)  # noqa: F841 (the query's table)
    counts = dict(duckdb.sql("SELECT safety, count(*) FROM rows GROUP BY ALL").fetchall())
    named = duckdb.sql(
        "SELECT category, count(*) n FROM rows WHERE safety = 'unsafe' GROUP BY ALL ORDER BY n DESC, category"
    )
    return {
        "pictures": sum(counts.values()),
        **{safety: counts.get(safety, 0) for safety in ("safe", "unsafe", "unsure", "unreadable")},
        "categories": dict(named.fetchall()),
        "truncated": duckdb.sql("SELECT count(*) FILTER (truncated) FROM rows").fetchall()[0][0],
    }


def tell(summary: dict[str, object], source: "PictureSource", files: list[str]) -> None:
    """For people: the counts, what was passed over, and the surest of the unsafe."""
    import duckdb

    from pipeline.storage.file_names import written_name

    what = "pairs" if any(item.prompt is not None for item in source.items) else "pictures"
    counts = ", ".join(f"{summary[safety]} {safety}" for safety in ("unsure", "unreadable"))
    print(f"{summary['unsafe']} of {summary['pictures']} {what} are unsafe, {counts}")
    if summary["unsure"]:
        print("  unsure: nothing recognisable, or words that the classifier does not know (column reason): for people")
    if summary["truncated"]:
        print(f"  {summary['truncated']} prompts are longer than the classifier reads: judged by their beginning")
    for reason, count in source.reasons().items():
        print(f"  passed over: {count}, {reason}")
    rows = duckdb.read_parquet(files, union_by_name=True)  # noqa: F841 (the query's table)
    order = f"SELECT score, category, key FROM rows WHERE safety = 'unsafe' ORDER BY score DESC, key LIMIT {SHOWN}"
    for score, category, key in duckdb.sql(order).fetchall():
        print(f"  {score:.3f}  {category:<17} {key}")
    say(f"answers: {written_name(str(summary['answers']))}")


if __name__ == "__main__":
    run_command(main)
