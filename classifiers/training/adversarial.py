"""Rows attacked while training: the inner maximum of adversarial training (Madry et al. 2018, equation 2.1), pictures and words.

What is raised is the part of the training loss that is about safe and unsafe, over all scopes, by the weights as they are at this
step. Pictures move within a ball of L-infinity. Words are exchanged where the first-order estimate says it hurts most (HotFlip,
Ebrahimi et al. 2018, equation 10), or written otherwise by the non-adaptive attacks of stages/attack: there the labels stay, so
a wording counts only if the reader of the run's prompts finds the same things asked for. Or the words become others, and labels
go with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from classifiers.classifier import Classifier
from classifiers.training.batches import TrainingBatch, rows_of
from classifiers.training.classifier_training import half
from classifiers.training.prompt_augmentation import Reader, Rewording, SameMeaning, copied
from schemas.identity import seed_of
from schemas.protocols import Inputs, Targets
from stages.attack.pixels.pgd import PGDConfig
from stages.attack.text.token_substitution import plain_words_of
from stages.attack.text_attack import TextAttack
from stages.attack.victim import at_rest, within

SHARE = 0.5  # of a batch; the other half stays clean, or accuracy on clean rows pays for it
EXCHANGED, REWRITTEN = (
    0.25,
    0.25,
)  # of the attacked rows: by gradient, by non-adaptive rewriting; the others get words with another truth


@dataclass(frozen=True, eq=False)
class BatchHardening:
    """Attacks the first rows of a shuffled batch. `epsilon` in [0, 1] pixel units, in `steps`; up to `edits` tokens or letters.

    `rewrites` are non-adaptive attacks that keep the meaning; `same_meaning` says whether two prompts ask for the same.
    """

    epsilon: float
    steps: int
    edits: int
    rewrites: tuple[TextAttack, ...]
    same_meaning: SameMeaning
    read: Reader

    def __call__(self, model: Classifier, batch: TrainingBatch, seed: int) -> TrainingBatch:
        """The batch with its attacked rows in place, under their keys; labels change where the words ask for something else."""
        inputs, count = batch.inputs, round(len(batch) * SHARE)
        if inputs is None or not count:
            return batch
        prompts, targets = self._written(model, batch, count, seed)
        inputs = replace(inputs, prompts=prompts)
        chosen = range(count)
        attacked = TrainingBatch(batch.keys[:count], rows_of(targets, torch.tensor(chosen)), inputs.rows(chosen))
        with at_rest(model):
            attacked_batch = self._raised(model, attacked, seed)
        prompts = (*attacked_batch.prompts, *prompts[count:])
        pixels = inputs.pixels
        if pixels is not None and attacked_batch.pixels is not None:
            pixels = torch.cat([attacked_batch.pixels, pixels[count:]])
        return replace(batch, inputs=replace(inputs, prompts=prompts, pixels=pixels), targets=targets)

    def _written(
        self, model: Classifier, batch: TrainingBatch, count: int, seed: int
    ) -> tuple[tuple[str, ...], Targets]:
        """All prompts and labels; of the first `count` rows those behind the exchanged ones have other words."""
        prompts, targets = batch.seen.prompts, batch.targets
        if not self.edits or "prompt" not in model.coverage.reads:
            return prompts, targets
        first, second = (round(count * share) for share in (EXCHANGED, EXCHANGED + REWRITTEN))
        rewritten, targets = list(prompts), copied(targets)
        for row in range(first, second) if self.rewrites else ():
            draw = seed_of(str(seed), f"row {row}")
            other = self.rewrites[draw % len(self.rewrites)].rewrite(prompts[row], draw).text
            rewritten[row] = other if self.same_meaning(prompts[row], other) else prompts[row]
        rewording = Rewording(_plain_texts(model), self.edits, self.read, self.same_meaning, model.coverage.categories)
        return rewording(range(second, count), rewritten, targets, seed), targets

    def _raised(self, model: Classifier, batch: TrainingBatch, seed: int) -> Inputs:
        """Steps up the loss; words are exchanged at the first of them."""
        inputs = batch.inputs
        assert inputs is not None
        clean, reads = inputs.pixels, model.coverage.reads
        moves = self.epsilon > 0 and clean is not None and "image" in reads
        exchanges = self.edits > 0 and "prompt" in reads
        if moves and clean is not None:
            inputs = replace(inputs, pixels=_somewhere(clean, self.epsilon, seed))
        for step in range(self.steps if moves else int(exchanges)):
            words = exchanges and step == 0
            slopes = _slopes(model, replace(batch, inputs=inputs), moves, words)
            if moves and clean is not None and inputs.pixels is not None:
                size = PGDConfig(steps=self.steps).step_size(self.epsilon)
                moved = within(inputs.pixels + size * slopes[0].sign(), clean, self.epsilon)
                inputs = replace(inputs, pixels=moved)
            if words:
                count = max(1, round(len(batch) * EXCHANGED))
                first = exchanged(model, inputs.prompts[:count], slopes[-1], self.edits, self.same_meaning)
                inputs = replace(inputs, prompts=(*first, *inputs.prompts[count:]))
        return inputs


def _somewhere(clean: Tensor, epsilon: float, seed: int) -> Tensor:
    """Anywhere in the ball, so that a single step does not always land in the same corner (Wong et al. 2020)."""
    noise = torch.rand(clean.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return within(clean + epsilon * noise.to(clean.device), clean, epsilon)


def _slopes(model: Classifier, batch: TrainingBatch, pixels: bool, words: bool) -> tuple[Tensor, ...]:
    """Gradients of the loss by the pictures and by the embeddings of the words, as asked for."""
    inputs = batch.inputs
    assert inputs is not None
    wanted, embeddings = [], None
    with torch.enable_grad():
        if pixels:
            assert inputs.pixels is not None
            inputs = replace(inputs, pixels=inputs.pixels.detach().requires_grad_(True))
            wanted.append(inputs.pixels)
        if words:
            embeddings = model.embedding_table()[model.encode(inputs.prompts)].clone().requires_grad_(True)
            wanted.append(embeddings)
        with half(batch.targets.weights.device):
            losses = model.losses(inputs, batch.targets, embeddings)
        loss = torch.stack([value.float() for name, value in losses.items() if _decides(name)]).sum()
        return torch.autograd.grad(loss, wanted, materialize_grads=True)  # type: ignore[arg-type]


def _decides(name: str) -> bool:
    """Whether a loss is about safe or unsafe; the others would draw the attack away from the decision."""
    return not name.endswith("categories") and name not in ("loss", "alignment")


def exchanged(
    model: Classifier, prompts: Sequence[str], slopes: Tensor, edits: int, same_meaning: SameMeaning
) -> tuple[str, ...]:
    """Each prompt with up to `edits` tokens exchanged for those of the greatest (e_new - e_old) · slope, the meaning kept.

    `slopes` float32 [at least n, length, width]. A prompt that does not survive being decoded stays as it is.
    """
    table, ids = model.embedding_table(), model.encode(prompts)
    allowed = _meaningless(model, same_meaning)
    places = model.editable(ids)
    rewritten = []
    for row, prompt in enumerate(prompts):
        where = places[row].nonzero().flatten()
        slope = slopes[row, where].to(table.dtype)
        gains = slope @ table.T - (slope * table[ids[row, where]]).sum(dim=1, keepdim=True)
        gain, token = gains.masked_fill(~allowed, float("-inf")).max(dim=1)
        order = [place for place in gain.argsort(descending=True).tolist() if gain[place] > 0]
        candidates = [(int(where[place]), int(token[place])) for place in order]
        rewritten.append(_best(model, prompt, ids[row], candidates, edits=edits, same_meaning=same_meaning))
    return tuple(rewritten)


def _best(
    model: Classifier,
    prompt: str,
    ids: Tensor,
    candidates: list[tuple[int, int]],
    edits: int,
    same_meaning: SameMeaning,
) -> str:
    """Exchange one after the other what leaves the meaning as it is, until the budget is used up."""
    text, left = prompt, edits
    for place, token in candidates:
        changed = ids.clone()
        changed[place] = token
        written = model.decode(changed)
        if torch.equal(model.encode([written])[0], changed) and same_meaning(prompt, written):
            text, ids, left = written, changed, left - 1
        if not left:
            break
    return text


_ALLOWED: dict[int, tuple[object, Tensor]] = {}
_TEXTS: dict[int, tuple[object, tuple[str, ...]]] = {}


def _plain_texts(model: Classifier) -> tuple[str, ...]:
    """The whole words of its vocabulary, once a model."""
    known = _TEXTS.get(id(model))
    if known is None or known[0] is not model:
        tokens = plain_words_of(model).nonzero().flatten()
        known = _TEXTS[id(model)] = (model, tuple(model.decode(token[None]) for token in tokens))
    return known[1]


def _meaningless(model: Classifier, same_meaning: SameMeaning) -> Tensor:
    """bool [vocabulary]: whole words that by themselves ask for nothing; once a model."""
    known = _ALLOWED.get(id(model))
    if known is None or known[0] is not model:
        words = plain_words_of(model)
        fit = [
            bool(words[token]) and same_meaning("", model.decode(torch.tensor([token]))) for token in range(len(words))
        ]
        known = _ALLOWED[id(model)] = (model, torch.tensor(fit, device=model.embedding_table().device))
    return known[1]
