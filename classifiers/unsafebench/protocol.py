"""The benchmark as steps over one folder; what is there already is not made again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch

from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.dataset.annotation import by_labeller
from classifiers.unsafebench.dataset.clip_index import picture_vectors
from classifiers.unsafebench.dataset.construction import ExternalPools, Size, of_shards, of_the_world
from classifiers.unsafebench.dataset.external_sets import external as outside
from classifiers.unsafebench.dataset.images import SHOWN, Picture, read_set, squeezed, tensor_of, write_set
from classifiers.unsafebench.judges.predictions import VERDICTS, agreeing, judge
from classifiers.unsafebench.judges.published_zoo import digest
from classifiers.unsafebench.judges.remote_judges import ChatJudge
from classifiers.unsafebench.report import figures, queries, tables
from classifiers.unsafebench.report.case_study import FIGURE_7, judged, originals, variations
from classifiers.unsafebench.report.distribution_shift import quality_in_decibels, separation
from classifiers.unsafebench.report.tables import Rows, write
from classifiers.unsafebench.robustness.attack_subset import DRAWN, draws
from classifiers.unsafebench.robustness.attacks import ATTACKED, EPSILON, PROTOCOLS, attack_rows
from classifiers.zoo.vlm import Vlm
from pipeline.catalogue.duck import quoted, scratch_database
from schemas.errors import InputError
from schemas.protocols import Differentiable, Scorer
from stages.label.tagger_truth import TaggerTruth

ROWS, TABLES, FIGURES = "rows", "tables", "figures"
MARK = b"hazmat.depends_on"


@dataclass(frozen=True, eq=False)
class Bench:
    """`out` is the run's folder. `blur`: the set is not the embedded world's, so no picture may be made out."""

    out: Path
    encoder: ClipEncoder
    pictures: Sequence[Picture]
    side: int
    blur: bool

    @property
    def rows(self) -> Path:
        """Where the rows lie."""
        return self.out / ROWS

    def ask(self, sql: str, *names: str) -> list[dict[str, Any]]:
        """A question to some of the row files, each a view by its name."""
        with scratch_database() as con:
            con.execute(queries.MACROS)
            for name in names:
                con.execute(f"CREATE VIEW {name} AS FROM read_parquet({quoted(f'{self.rows}/{name}*.parquet')})")
            rows: list[dict[str, Any]] = con.sql(sql).to_arrow_table().to_pylist()
        return rows

    def table(self, name: str, rows: Rows, text: str) -> str:
        """Parquet and Markdown."""
        write(self.out / TABLES, name, rows)
        (self.out / TABLES / f"{name}.md").write_text(text)
        return text

    def vectors(self) -> dict[str, npt.NDArray[np.float32]]:
        """CLIP's unit vectors by key."""
        vectors = picture_vectors(self.encoder, tensor_of(self.pictures, self.side))
        return {picture.key: vector for picture, vector in zip(self.pictures, vectors, strict=True)}


def own_set(out: Path, encoder: ClipEncoder, size: Size, pools: ExternalPools | None = None) -> list[Picture]:
    """Built once, from the embedded world or from shards, then read back from the layout of the published set. Raises InputError
    where another one lies there.
    """
    settings = asdict(size) | ({} if pools is None else asdict(pools))
    file, fingerprint = out / "set.parquet", json.dumps({**settings, "clip": digest(encoder)})
    if file.is_file() and (out / "set.json").read_text() != fingerprint:
        raise InputError(f"{file} was built with other settings or another CLIP; choose another folder, or remove it")
    if not file.is_file():
        built = of_the_world(encoder, size) if pools is None else of_shards(encoder, pools, size)
        write(out / ROWS, "counts", built.counts)
        (out / "keywords.json").write_text(json.dumps({k: list(v) for k, v in built.keywords.items()}, indent=1))
        (out / "set.json").write_text(fingerprint)
        write_set(file, built.pictures)  # last: a killed run builds anew
    return read_set(file)


def construction(bench: Bench, keywords: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Tables 2 (of a set that was built here), 8 and 9, figures 11 and 13; the shift as numbers."""
    own = [{"key": p.key, "source": p.source, "category": p.category, "unsafe": p.unsafe} for p in bench.pictures]
    write(bench.rows, "pictures", own)
    if (bench.rows / "counts.parquet").is_file():
        rows = bench.ask(queries.TABLE_2, "counts")
        bench.table("table_2", rows, tables.table_2(rows))
    bench.table(
        "table_8", [{"category": k, "keywords": list(v)} for k, v in keywords.items()], tables.table_8(keywords)
    )
    rows = bench.ask(queries.TABLE_9, "pictures")
    bench.table("table_9", rows, tables.table_9(rows))
    measured = [{"key": p.key, "source": p.source, **quality_in_decibels(p.pixels)} for p in bench.pictures]
    write(bench.rows, "quality", measured)
    figures.figure_13(bench.out / FIGURES, measured)
    vectors = bench.vectors()
    write(bench.rows, "map", figures.figure_11(bench.out / FIGURES, bench.pictures, vectors))
    stacked, sources = np.stack(list(vectors.values())), [picture.source for picture in bench.pictures]
    told = separation(stacked, sources) if min(sources.count(source) for source in SHOWN) >= 5 else None
    medians = bench.ask(
        "SELECT source, median(snr_db) AS snr_db, median(edge_density) AS edge_density, median(entropy) AS entropy "
        "FROM quality GROUP BY source ORDER BY source",
        "quality",
    )
    return {"source_told_from_clip": told, "median_quality": medians}


def effectiveness(bench: Bench, scorers: Sequence[Scorer]) -> dict[str, Any]:
    """Verdicts, table 4, figures 3, 4, 5, 14, and what judging costs."""
    verdicts, costs = [], []
    for scorer in scorers:
        rows, cost = _judged_once(bench, scorer) if isinstance(scorer, ChatJudge) else _judged(bench, scorer)
        verdicts += rows
        costs.append(cost)
    write(bench.rows, "verdicts", verdicts, VERDICTS)
    order = [scorer.name for scorer in scorers]
    cells = bench.ask(queries.TABLE_4, "verdicts")
    print(bench.table("table_4", cells, tables.table_4(cells, order)))
    figures.figure_3(bench.out / FIGURES, bench.ask(queries.FIGURE_3, "verdicts"))
    figures.figure_4(bench.out / FIGURES, bench.ask(queries.FIGURE_4, "verdicts"), order)
    figures.misjudged(bench.out / FIGURES, verdicts, bench.pictures, bench.vectors(), blur=bench.blur)
    header = ("classifier", "pictures", "seconds", "minutes_a_thousand", "dollars")
    text = tables.markdown(header, [[cost[name] for name in header] for cost in costs])
    bench.table("cost", costs, text)
    return {"cost": costs}


def _judged(bench: Bench, scorer: Scorer) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    rows, cost = judge(scorer, bench.pictures, bench.side)
    return rows, {**asdict(cost), "minutes_a_thousand": cost.minutes_a_thousand}


def _judged_once(bench: Bench, scorer: Scorer) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What a service was paid for is kept over restarts."""
    file = bench.rows / f"asked-{scorer.name}.parquet"
    mark = digest(scorer, json.dumps([picture.key for picture in bench.pictures]).encode())
    if not _holds(file, mark):
        rows, cost = _judged(bench, scorer)
        write(
            bench.rows,
            file.stem,
            rows,
            VERDICTS.with_metadata({MARK: mark.encode(), b"cost": json.dumps(cost).encode()}),
        )
    return pq.read_table(file).to_pylist(), json.loads(pq.read_schema(file).metadata[b"cost"])


def external(bench: Bench, scorers: Sequence[Scorer], sets: str) -> dict[str, Any]:
    """Every classifier on other people's sets (`--external`): a row a picture and classifier, a table like the paper's sixth."""
    rows: list[dict[str, Any]] = []
    for text in (each.strip() for each in sets.split(",") if each.strip()):
        name, labelled = outside(text)
        if any(row["dataset"] == name for row in rows):
            raise InputError(f"--external {text}: two sets are called {name}; rename the file")
        pictures = [Picture(each.name, squeezed(each.pixels, bench.side), name, "", each.unsafe) for each in labelled]
        for scorer in scorers if pictures else ():
            answers, _ = judge(scorer, pictures, bench.side)
            kept = ("key", "classifier", "unsafe", "score", "flagged")
            rows += [{"dataset": name, **{column: row[column] for column in kept}} for row in answers]
    if not rows:
        raise InputError(f"--external {sets}: no pictures in it")
    write(bench.rows, "external", rows)
    answer = bench.ask(queries.TABLE_EXTERNAL, "external")
    print(bench.table("table_external", answer, tables.table_external(answer)))
    return {"external": {row["dataset"]: row["pictures"] for row in answer}}


def robustness(
    bench: Bench, targets: Sequence[Differentiable], counts: tuple[int, int], iterations: int
) -> dict[str, Any]:
    """Attacked rows (a file a classifier and protocol, kept over restarts), table 5, figures 8 and 15. `counts`: pictures a draw,
    of conventional classifiers and of language models.
    """
    verdicts = pq.read_table(bench.rows / "verdicts.parquet").to_pylist()
    by_key, seconds = {picture.key: picture for picture in bench.pictures}, {}
    names, drawn = [target.name for target in targets], []
    for target in targets:
        own = [row for row in verdicts if row["classifier"] == target.name]
        if isinstance(target, Vlm):
            own = agreeing(target, own, by_key, bench.side)
        drawn += draws(own, counts[isinstance(target, Vlm)])
    write(bench.rows, "draws", drawn, DRAWN)
    for target in targets:
        keys = sorted({row["key"] for row in drawn if row["classifier"] == target.name})
        chosen = [by_key[key] for key in keys]
        for protocol in PROTOCOLS if keys else ():
            name = f"attacked-{target.name}-{protocol}"
            mark = digest(target, json.dumps([protocol, EPSILON, iterations, bench.side, keys]).encode())
            if not _holds(bench.rows / f"{name}.parquet", mark):
                rows, took = attack_rows(target, chosen, protocol, bench.side, iterations)
                seconds[name] = round(took, 1)
                write(bench.rows, name, rows, ATTACKED.with_metadata({MARK: mark.encode()}))
                print(f"  {name}: {len(keys)} pictures, {took:.0f} s", flush=True)
    cells = bench.ask(queries.TABLE_5, "draws", "attacked")
    print(bench.table("table_5", cells, tables.table_5(cells, names)))
    figures.figure_8(bench.out / FIGURES, bench.ask(queries.FIGURE_8, "attacked"))
    figures.figure_15(bench.out / FIGURES, bench.ask(queries.FIGURE_15, "attacked"))
    return {"seconds": seconds, "epsilon": EPSILON, "iterations": iterations}


def _holds(file: Path, mark: str) -> bool:
    """Whether these very rows are there; a file that a kill tore is none."""
    try:
        return (pq.read_schema(file).metadata or {}).get(MARK) == mark.encode()
    except (OSError, ValueError):
        return False


def case_study(bench: Bench, scorers: Sequence[Scorer]) -> dict[str, Any]:
    """Figures 6 and 7: in the embedded world only, whose tagger says what was preserved."""
    verdicts = pq.read_table(bench.rows / "verdicts.parquet").to_pylist()
    chosen = originals(verdicts, bench.pictures)
    variants = variations(chosen, by_labeller(TaggerTruth())) if chosen else []
    rows = judged(variants, {scorer.name: scorer for scorer in scorers})
    if not rows:
        return {"originals": len(chosen), "variations": 0}
    write(bench.rows, "variations", rows)
    figures.figure_6(bench.out / FIGURES, variants, blur=bench.blur)
    shares = bench.ask(FIGURE_7, "variations")
    figures.figure_7(bench.out / FIGURES, shares)
    header = ("classifier", "kind", "degree", "correct", "pictures")
    bench.table("figure_7", shares, tables.markdown(header, [[row[name] for name in header] for row in shares]))
    changed = [each for each in variants if each.kind != "original"]
    preserved = sum(each.preserved for each in changed)
    return {"originals": len({each.original for each in variants}), "variations": len(changed), "preserved": preserved}


def settle() -> None:
    """One thread, so that the same command gives the same rows (DESIGN 3.3)."""
    torch.set_num_threads(1)
