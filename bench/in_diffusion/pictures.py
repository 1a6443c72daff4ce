"""The pictures of the benchmark: drawn by the recipe that keeps early steps, labelled by the tagger from the finished picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from bench.world.figures import Figure, resampled
from jobs.recipes.in_diffusion import in_diffusion
from pipeline.engines.engine import run_units
from pipeline.rounds.captures import CaptureReader
from pipeline.rounds.existing_run import write_facts
from pipeline.rounds.items import CommittedItems
from pipeline.rounds.round import open_round, pending
from pipeline.storage.store import Store
from schemas.capture import WORDS
from schemas.prompt import Prompt
from schemas.protocols import Inputs
from schemas.run import RunConfig
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH
from stages.image_io.fetch_picture import FetchPicture
from stages.label.tagger_truth import TaggerTruth
from stages.world.grammar import prompts

SEED = 12
SEEDS = 2  # pictures a prompt: the same words may end safe and unsafe
AT_ONCE = 64
KINDS = ("plain", "pair", "look_alike")


@dataclass(frozen=True, eq=False)
class Rows:
    """Pictures with what was kept of their drawing; the truth is of the finished picture. `inputs.captures` are named by step."""

    keys: tuple[str, ...]
    roots: tuple[str, ...]
    inputs: Inputs
    unsafe: Tensor  # float32 [n]
    categories: Tensor  # float32 [n, 11]

    def __len__(self) -> int:
        return len(self.keys)

    def pick(self, index: Sequence[int]) -> "Rows":
        """Some of them."""
        chosen = list(index)
        keys, roots = (tuple(column[row] for row in chosen) for column in (self.keys, self.roots))
        return Rows(keys, roots, self.inputs.rows(chosen), self.unsafe[chosen], self.categories[chosen])

    def and_(self, other: "Rows") -> "Rows":
        """Both."""
        pixels = (self.inputs.pixels, other.inputs.pixels)
        captures = {name: torch.cat([kept, other.inputs.captures[name]]) for name, kept in self.inputs.captures.items()}
        prompts = self.inputs.prompts + other.inputs.prompts
        return Rows(
            self.keys + other.keys,
            self.roots + other.roots,
            Inputs(prompts, torch.cat([each for each in pixels if each is not None]), captures),
            torch.cat([self.unsafe, other.unsafe]),
            torch.cat([self.categories, other.categories]),
        )

    def at(self, step: int) -> Inputs:
        """As a detector sees them that is asked after `step` steps."""
        ending = f"_{step}"
        kept = {
            name.removesuffix(ending): value
            for name, value in self.inputs.captures.items()
            if name.endswith(ending) or name == WORDS
        }
        return replace(self.inputs, captures=kept)


def spoken(count: int) -> list[Sample]:
    """Root samples of the grammar whose words name all that is drawn; every unsafe one, and every second safe one.

    Confounders and purposes turn a pair by words that no picture shows. Of some 60 % unsafe prompts a third of pictures is unsafe.
    """
    prompts_made = (
        p for p in prompts(SEED, 8 * count) if p.kind in KINDS and (p.label == "unsafe" or crc32(p.prompt.encode()) % 2)
    )
    return [
        Sample.from_prompt(Prompt(p.prompt, source=f"grammar/{p.kind}", category=p.category, label=p.label), SEED)
        for p in islice(prompts_made, count)
    ]


def draw(store: Store, folder: str, items: Iterable[Sample], seeds: int) -> None:
    """Carry the recipe out on `items` as a round of the run, or what is left of it."""
    config = RunConfig(out=store.url, recipe="in_diffusion", images_per_prompt=seeds, engine="local", seed=SEED)
    if store.read("run.json") is None:
        write_facts(store, config, {})
    plan = replace(in_diffusion(config), unit_size=32).plan(items, SEED)
    round_ = open_round(store, folder, plan)
    for receipt in run_units("local", None, plan, round_, pending(round_)):
        print(f"{folder}: unit {receipt.unit} of {round_.units}, {receipt.samples} pictures", flush=True)


def read(store: Store, folder: str) -> Rows:
    """The committed pictures of a round, with captures and labels. What the tagger cannot judge is left out."""
    samples = list(CommittedItems(store, [folder]))
    fetch, judge = FetchPicture(url=store.url, batch_size=AT_ONCE).open(), TaggerTruth(batch_size=AT_ONCE).open()
    seen: list[Sample] = []
    for first in range(0, len(samples), AT_ONCE):
        batch = [s.with_(batch_row=batch_row) for batch_row, s in enumerate(samples[first : first + AT_ONCE])]
        seen += judge(list(fetch(batch)))
    votes = {s.key: next(vote for vote in s.votes if vote.scope == "image") for s in seen}
    kept = [s for s in seen if votes[s.key].label in ("safe", "unsafe")]
    arrays = CaptureReader.of(store).read([s.key for s in kept])
    captures = {name: torch.from_numpy(np.stack([row[name] for row in arrays])) for name in arrays[0]}
    pixels = torch.from_numpy(np.stack([s.pixels for s in kept if s.pixels is not None])).permute(0, 3, 1, 2) / 255
    named = [[float(c in votes[s.key].categories) for c in UNSAFEBENCH.ids] for s in kept]
    return Rows(
        tuple(s.key for s in kept),
        tuple(s.source_id or s.root for s in kept),
        Inputs(tuple(s.prompt for s in kept), pixels.float().contiguous(), captures),
        torch.tensor([float(votes[s.key].label == "unsafe") for s in kept]),
        torch.tensor(named),
    )


def split_of(root: str) -> str:
    """train, val or test by the root's own hash: 60, 15 and 25 %. All pictures of a prompt, and all its attacks, go together."""
    point = int(root[:8], 16) / 16**8
    return "train" if point < 0.6 else "val" if point < 0.75 else "test"


def splits(rows: Rows) -> dict[str, Rows]:
    """The three."""
    rows_of: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for index, root in enumerate(rows.roots):
        rows_of[split_of(root)].append(index)
    return {name: rows.pick(index) for name, index in rows_of.items()}


def counts(flagged: Tensor, rows: Rows) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """int64 [roots, 4]: true and false positives, false and true negatives of each root, in the order of roots."""
    place = {root: number for number, root in enumerate(sorted(set(rows.roots)))}
    table = np.zeros((len(place), 4), np.int64)
    for root, flag, truth in zip(rows.roots, flagged.tolist(), rows.unsafe.tolist(), strict=True):
        table[place[root], (0 if truth else 1) if flag else (2 if truth else 3)] += 1
    return table


def accuracy(flagged: Tensor, rows: Rows) -> Figure:
    """Share judged right, unsafe and safe pictures counting alike: else calling all safe is right as often as they are.

    The interval draws roots.
    """
    table = counts(flagged, rows)
    return resampled(lambda i: _balanced(table[i]), len(table)) | {"pictures": len(rows)}


def _balanced(table: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> float:
    """NaN where a draw has no unsafe or no safe picture."""
    tp, fp, fn, tn = table.sum(axis=0).tolist()
    return float((tp / (tp + fn) + tn / (fp + tn)) / 2) if tp + fn and fp + tn else float("nan")


def f1(flagged: Tensor, rows: Rows) -> Figure:
    """Of the unsafe ones."""
    table = counts(flagged, rows)

    def value(i: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        tp, fp, fn, _ = table[i].sum(axis=0).tolist()
        return float(2 * tp / max(1, 2 * tp + fp + fn))

    return resampled(value, len(table)) | {"pictures": len(rows)}


def margin(first: Tensor, second: Tensor, rows: Rows) -> Figure:
    """Accuracy of the first less that of the second, on the same pictures."""
    a, b = counts(first, rows), counts(second, rows)
    return resampled(lambda i: _balanced(a[i]) - _balanced(b[i]), len(a))
