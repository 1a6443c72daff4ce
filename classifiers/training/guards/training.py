"""The judge of words, trained on the worst wording of each row and on what a reader under attack would tell it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from classifiers.classifier import Features
from classifiers.layers.calibration import lowest_cut
from classifiers.layers.word_table import WordTable
from classifiers.models.concept_reader import ConceptReader
from classifiers.models.guards import Guards
from classifiers.training.guards.rows import PromptRows, bare_rows, one_after_the_other, rows_of
from classifiers.training.guards.seen import SeenPictures, seen
from schemas.taxonomy import UNSAFEBENCH

PICTURES, ROWS = 700, 14_000
CALIBRATION_PICTURES, CALIBRATION_ROWS = 300, 3_000
EPOCHS, BATCH, RATE = 24, 256, 1.5e-3
ANY = 0.85  # of the epochs: until then any wording, in turn; then the one that is judged worst, four times as dear
BY_WORDS, BY_BOTH = 0.08, 0.06  # of safe rows in their worst wording, pictures attacked: what each stage may flag
BARE = 128  # further rows of a batch, of telling words and no others
SAID = 5  # times that a token comes up; rarer ones are evidence of nothing
CATEGORIES = 0.2  # weight of the loss of categories


class WordingBatch(NamedTuple):
    """One wording of some rows: features, and their targets."""

    features: Features
    by_words: Tensor
    by_both: Tensor
    categories: Tensor


def trained(reader: ConceptReader, clip: Path, seed: int, rows: int = ROWS, pictures: int = PICTURES) -> Guards:
    """Around a reader that is trained already; its cuts are still to be set."""
    torch.manual_seed(seed)
    table = WordTable.of_clip(clip)
    model = around(reader, table, "guards")
    shown = seen(reader.network, seed, pictures)
    sentences, bare = rows_of(shown.scenes, table, seed, rows), bare_rows(table)
    prompts = one_after_the_other(sentences, bare)
    model.said = torch.bincount(prompts.ids.flatten(), minlength=len(model.said)) >= SAID
    parameters = [*model.evidence.parameters(), *model.named.parameters()]
    optimiser = torch.optim.AdamW(parameters, RATE, weight_decay=1e-3)
    steps = EPOCHS * (len(sentences) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.05)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(EPOCHS):
        for some in _batches(len(sentences), generator):
            more = len(sentences) + torch.randint(len(bare), (BARE,), generator=generator)
            chosen = torch.cat([some, more])
            wordings = prompts.ids.shape[1] if epoch >= ANY * EPOCHS else 1
            part = worst(model, prompts, shown, chosen, generator, wordings)
            optimiser.zero_grad()
            loss_of(model, part).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return model.eval()


def around(reader: ConceptReader, table: WordTable, name: str) -> Guards:
    """Untrained guards of the reader's network and the words of `table`."""
    return Guards(table, reader.network, UNSAFEBENCH.ids, name)


def _batches(count: int, generator: torch.Generator) -> Iterator[Tensor]:
    return iter(torch.split(torch.randperm(count, generator=generator), BATCH)[: count // BATCH])


def worst(
    model: Guards, prompts: PromptRows, shown: SeenPictures, rows: Tensor, generator: torch.Generator, wordings: int
) -> WordingBatch:
    """Of each row the one of some wordings that the model judges worst now, beside a reading of its picture out of three.

    What words turn may be hidden, what they would turn feigned; half of the rows stay as they are.
    """
    first = int(torch.randint(prompts.ids.shape[1], (1,), generator=generator))
    ids = prompts.ids[rows].roll(-first, 1)[:, :wordings]
    positive = prompts.by_both[rows] == 1
    reading = torch.where(positive[:, None], shown.hidden[prompts.scene[rows]], shown.feigned[prompts.scene[rows]])
    clean = torch.rand(len(rows), generator=generator) < 0.5
    concepts = torch.where(clean[:, None], shown.clean[prompts.scene[rows]], reading)
    with torch.no_grad():
        each = [model.stages(_features(model, ids[:, number], concepts)) for number in range(ids.shape[1])]
        stages = torch.stack(each, dim=1)[:, :, (0, 2)]
        labels = torch.stack([prompts.by_words[rows], prompts.by_both[rows]], dim=1)[:, None]
        gains = F.binary_cross_entropy_with_logits(stages, labels.nan_to_num().expand_as(stages), reduction="none")
        number = (gains * labels.isfinite()).sum(2).argmax(1)
    chosen = ids[torch.arange(len(rows)), number]
    return WordingBatch(
        _features(model, chosen, concepts), prompts.by_words[rows], prompts.by_both[rows], prompts.categories[rows]
    )  # fmt: skip


def loss_of(model: Guards, part: WordingBatch) -> Tensor:
    """Binary cross-entropy of both stages where they are taught, and of the categories that words touch."""
    stages = model.stages(part.features)
    told = [(stages[:, 0], part.by_words), (stages[:, 2], part.by_both)]
    losses = [
        F.binary_cross_entropy_with_logits(logits[known], label[known])
        for logits, label in told
        if bool((known := label.isfinite()).any())
    ]
    tokens, spoken = part.features["tokens"], part.features["spoken"]
    named = model.named(model.evidence.words(tokens)).masked_fill(~spoken[..., None], -30.0).amax(dim=1)
    return torch.stack(losses).sum() + CATEGORIES * F.binary_cross_entropy_with_logits(named, part.categories)


@torch.no_grad()
def calibrated(model: Guards, reader_cut: float, seed: int) -> Guards:
    """Cuts of words and of both on fresh safe rows: in their worst wording, what their pictures lack feigned."""
    shown = seen(model.reader, seed, CALIBRATION_PICTURES)
    prompts = rows_of(shown.scenes, model.words, seed, CALIBRATION_ROWS)
    logits = []
    for chosen in torch.split(torch.arange(len(prompts)), BATCH):
        each = [
            model.stages(_features(model, prompts.ids[chosen][:, number], shown.feigned[prompts.scene[chosen]]))
            for number in range(prompts.ids.shape[1])
        ]
        logits.append(torch.stack(each).amax(0))
    words, _, both = torch.cat(logits).unbind(1)
    model.cuts = (
        lowest_cut(words, prompts.by_words, BY_WORDS),
        reader_cut,
        lowest_cut(both, prompts.by_both, BY_BOTH),
    )
    return model


def _features(model: Guards, ids: Tensor, concepts: Tensor) -> Features:
    spoken = model.spoken(ids)
    longest = int(spoken.any(dim=0).nonzero().max()) + 1
    ids, spoken = ids[:, :longest], spoken[:, :longest]
    return {"tokens": model.embedding_table()[ids], "spoken": spoken, "concepts": concepts}
