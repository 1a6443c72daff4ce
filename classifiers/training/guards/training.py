"""The judge of words, trained on the worst wording of each row, on wordings that a search makes of rows, and on what a reader under
attack would tell it."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from classifiers.layers.calibration import lowest_cut
from classifiers.layers.monotone_text import EvidenceTerms
from classifiers.layers.word_table import WordTable
from classifiers.models.concept_reader import ConceptReader
from classifiers.models.guards import UNNAMED, Guards
from classifiers.training.guards.rows import TOLD, bare_rows, one_after_the_other, rows_of, spellings
from classifiers.training.guards.search import SIDES, WordSearch, searched_rows
from classifiers.training.guards.seen import SeenPictures, seen
from classifiers.training.guards.tables import SaidWords, rules_of, scores
from schemas.taxonomy import UNSAFEBENCH

PICTURES, ROWS = 600, 8_000
CALIBRATION_PICTURES, CALIBRATION_ROWS = 250, 2_000
STEPS, RATE = 1_500, 2e-3
SENTENCES, BARE, SEARCHED = (
    256,
    160,
    160,
)  # rows of a batch: said anew, of telling words and no others, found by a search
SEARCHES, SEARCHED_ROWS = (
    6,
    1_500,
)  # how often rows are searched for anew, against the judge of then, and how many each time
ANY = 0.7  # of the steps: until then any wording, in turn; then the one that is judged worst
BY_WORDS, BY_BOTH = 0.02, 0.05  # of searched safe rows, pictures attacked: what each stage may flag
LEAST_CUT = -3.0  # what says less than P = .05 is no evidence, whatever safe rows leave room for
BATCH = 256
LONGEST = 1.0  # norm of a gradient: a batch of newly searched rows may have a steep one
QUIETED = 128  # words a step whose silent terms are looked at
SAID = 5  # times that a token comes up; rarer ones are evidence of nothing
CATEGORIES = 0.2  # weight of a loss
QUIET = -12.0  # logit of a silent term: louder, thousands of them would speak together


def trained(reader: ConceptReader, clip: Path, seed: int, rows: int = ROWS, pictures: int = PICTURES) -> Guards:
    """Around a reader that is trained already; its cuts are still to be set."""
    torch.manual_seed(seed)
    model = around(reader, WordTable.of_clip(clip), "guards")
    training = GuardsTraining(model, seen(reader.network, seed, pictures), seed, rows)
    parameters = [*model.evidence.parameters(), *model.named.parameters()]
    optimiser = torch.optim.AdamW(parameters, RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS, pct_start=0.05)
    for step in range(STEPS):
        if step and step % (STEPS // (SEARCHES + 1)) == 0:
            training.search()
        optimiser.zero_grad()
        loss = training.loss(training.batch(), every_wording=step >= ANY * STEPS)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, LONGEST)
        optimiser.step()
        schedule.step()
    return model.eval()


def around(reader: ConceptReader, table: WordTable, name: str) -> Guards:
    """Untrained guards of the reader's network and the words of `table`."""
    return Guards(table, reader.network, UNSAFEBENCH.ids, name)


class GuardsTraining:
    """Rows of one training, and what searches add to them. Rows hold places of words (`SaidWords`)."""

    def __init__(self, model: Guards, shown: SeenPictures, seed: int, count: int) -> None:
        self.model, self.shown, table = model, shown, model.words
        sentences, bare = rows_of(shown.scenes, table, seed, count), bare_rows(table)
        rows = one_after_the_other(sentences, bare)
        model.said = torch.bincount(rows.ids.flatten(), minlength=len(model.said)) >= SAID
        told = table.encode([word for name in TOLD for word in spellings(name)])
        model.said[told[table.read(told) & table.editable(told)]] = True
        self.said = SaidWords.of(table, model.said)
        self.rows, self.ends = self.said.placed(rows, table), (len(sentences), len(rows))
        bare_, unsafe = torch.arange(*self.ends), self.rows.by_words[self.ends[0] :] == 1
        self.bare = (bare_[unsafe], bare_[~unsafe])
        self.vectors, self.rules = model.embedding_table()[self.said.tokens].float(), rules_of(self.said)
        self.generator, self.rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)

    def batch(self) -> Tensor:
        """Some sentences, some rows of bare words, half of them unsafe, and some that searches found so far."""
        found = torch.arange(self.ends[1], len(self.rows))
        parts = ((torch.arange(self.ends[0]), SENTENCES), *((each, BARE // 2) for each in self.bare), (found, SEARCHED))
        return torch.cat(
            [rows[torch.randint(len(rows), (size,), generator=self.generator)] for rows, size in parts if len(rows)]
        )

    def search(self) -> None:
        """More rows: sentences as the judge of now would be attacked."""
        chosen = torch.randperm(self.ends[0], generator=self.generator)[:SEARCHED_ROWS]
        search = WordSearch.of(self.said, self.model.evidence.terms(self.vectors))
        found = searched_rows(search, self.rows, self.shown, chosen, self.rng)
        self.rows = one_after_the_other(self.rows, found, padding=-1)

    def loss(self, rows: Tensor, *, every_wording: bool) -> Tensor:
        """Binary cross-entropy of both stages where they are taught, and of categories; of silent terms, how loud they are."""
        terms, seen = self.model.evidence.terms(self.vectors), self.reading(rows)
        labels = torch.stack([self.rows.by_words[rows], self.rows.by_both[rows]], dim=1)
        places = self.worst(terms, rows, seen, labels) if every_wording else self.one_wording(rows)
        known, told = labels.isfinite(), scores(terms, places, seen)
        losses = F.binary_cross_entropy_with_logits(told, labels.nan_to_num(), reduction="none") * known
        named = self.model.named(terms.hidden)[places.clamp(min=0)].masked_fill(places[..., None] < 0, UNNAMED).amax(1)
        categories = F.binary_cross_entropy_with_logits(named, self.rows.categories[rows])
        some = torch.randint(len(self.vectors), (QUIETED,), generator=self.generator)
        rules = self.rules.loss(terms, QUIET, some)
        return (losses.sum(0) / known.sum(0).clamp(min=1)).sum() + rules + CATEGORIES * categories

    def reading(self, rows: Tensor) -> Tensor:
        """What a reader tells of their pictures, float32 [n, concepts]: half of them as they are; else what words turn is hidden,
        and what they would turn feigned.
        """
        scene, confounded = self.rows.scene[rows], self.rows.by_both[rows] == 1
        attacked = torch.where(confounded[:, None], self.shown.hidden[scene], self.shown.feigned[scene])
        clean = torch.rand(len(rows), generator=self.generator) < 0.5
        return torch.where(clean[:, None], self.shown.clean[scene], attacked)

    def one_wording(self, rows: Tensor) -> Tensor:
        """Places of words, the same wording of all."""
        wordings = self.rows.ids.shape[1]
        return _cut(self.rows.ids[rows, int(torch.randint(wordings, (1,), generator=self.generator))])

    @torch.no_grad()
    def worst(self, terms: EvidenceTerms, rows: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        """Of each row the wording that is judged worst now."""
        each = [scores(terms, _cut(self.rows.ids[rows, number]), seen) for number in range(self.rows.ids.shape[1])]
        told = torch.stack(each, dim=1)
        gains = F.binary_cross_entropy_with_logits(told, labels.nan_to_num()[:, None].expand_as(told), reduction="none")
        worst = (gains * labels.isfinite()[:, None]).sum(2).argmax(1)
        return _cut(self.rows.ids[rows, worst])


def _cut(places: Tensor) -> Tensor:
    """After the longest row."""
    return places[:, : int((places >= 0).any(dim=0).nonzero().max()) + 1]


@torch.no_grad()
def calibrated(model: Guards, reader_cut: float, seed: int) -> Guards:
    """Cuts of words and of both on fresh safe rows, as an attacker of either has them, what their pictures lack being feigned."""
    shown = seen(model.reader, seed, CALIBRATION_PICTURES)
    prompts = SaidWords.of(model.words, model.said)
    rows = prompts.placed(rows_of(shown.scenes, model.words, seed, CALIBRATION_ROWS), model.words)
    safe = ((rows.by_words == 0) & (rows.by_both == 0)).nonzero().flatten()
    terms = model.evidence.terms(model.embedding_table()[prompts.tokens].float())
    search, rng = WordSearch.of(prompts, terms), np.random.default_rng(seed)
    cuts = []
    for number, (side, allowed) in enumerate(zip(SIDES, (BY_WORDS, BY_BOTH), strict=True)):
        found = searched_rows(search, rows, shown, safe, rng, side=side)
        told = torch.cat(
            [
                scores(terms, _cut(found.ids[part, 0]), shown.feigned[found.scene[part]])[:, number]
                for part in torch.split(torch.arange(len(found)), BATCH)
            ]
        )
        cuts.append(max(LEAST_CUT, lowest_cut(told, torch.zeros(len(told)), allowed)))
    model.cuts = (cuts[0], reader_cut, cuts[1])
    return model
