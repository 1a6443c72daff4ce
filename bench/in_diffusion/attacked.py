"""Prompts rewritten until the text filter is wrong, then drawn: only what survives generation counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.in_diffusion.pictures import SEED, Rows, draw, read, split_of
from classifiers.classifier import Classifier
from pipeline.pack import digest
from pipeline.storage.store import Store
from schemas.identity import seed_of
from schemas.prompt import Prompt
from schemas.protocols import Inputs
from schemas.sample import Sample
from stages.attack.text.homoglyphs import Homoglyphs
from stages.attack.text.leetspeak import Leetspeak
from stages.attack.text.spacing import Spacing
from stages.attack.text.swaps import Swaps
from stages.attack.text.synonyms import Synonyms
from stages.attack.text.typos import Typos
from stages.attack.text_attack import TextAttack
from stages.prompts.gate import Gate

ATTACKS: tuple[TextAttack, ...] = (
    Synonyms(),
    Typos(),
    Swaps(),
    *(kind(edit_budget=edits) for kind in (Homoglyphs, Leetspeak, Spacing) for edits in (1, 2)),
)
TRIES = 6  # seeds an attack
KEPT = 2  # rewritten prompts of a root that are drawn: the attacker takes what survives


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rewritten prompt of the root `source`."""

    text: str
    source: str


def candidates(prompt: str, root: str, gate: Gate) -> list[Candidate]:
    """Every attack's tries, each once, without what the gate refuses."""
    texts = (
        attack.rewrite(prompt, seed_of(root, f"{attack.name} {attack.edit_budget} {number}")).text
        for attack in ATTACKS
        for number in range(TRIES)
    )
    return [Candidate(t, root) for t in dict.fromkeys(texts) if t != prompt and gate.refusal(t) is None]


def chosen(text: Classifier, rows: Rows, roots: int) -> list[Candidate]:
    """For up to `roots` unsafe and as many safe roots, the `KEPT` rewritten prompts that the text filter errs on most."""
    gate, admitted = Gate.default(), []
    taken = {0.0: 0, 1.0: 0}
    for row, root in _first_of_each(rows):
        truth = float(rows.unsafe[row])
        offered = candidates(rows.inputs.prompts[row], root, gate) if taken[truth] < roots else []
        if offered:
            taken[truth] += 1
            scores = text.score(Inputs(tuple(c.text for c in offered))).unsafe[text.scope]
            order = (scores if truth else -scores).argsort()[:KEPT].tolist()
            admitted += [offered[place] for place in order]
    return admitted


def misspelt(items: Iterable[Sample], count: int) -> list[Sample]:
    """Of the first `count` prompts that are no test's, each rewritten once, attacks in turn: all train on them alike."""
    gate, admitted = Gate.default(), []
    ours = [sample for sample in items if split_of(sample.root) != "test"]
    for number, sample in enumerate(ours[:count]):
        attack = ATTACKS[number % len(ATTACKS)]
        text = attack.rewrite(sample.prompt, seed_of(sample.root, "to train on")).text
        if text != sample.prompt and gate.refusal(text) is None:
            admitted.append(Sample.from_prompt(Prompt(text, source="misspelt", source_id=sample.root), SEED))
    return admitted


def _first_of_each(rows: Rows) -> list[tuple[int, str]]:
    """One row a root: a picture of it in which the first seed ended."""
    places: dict[str, int] = {}
    for row, root in enumerate(rows.roots):
        places.setdefault(root, row)
    return [(row, root) for root, row in places.items()]


def drawn(store: Store, picked: Sequence[Candidate]) -> Rows:
    """Their pictures, one seed each, with captures and new labels; `roots` are those of the original prompts."""
    items = [Sample.from_prompt(Prompt(c.text, source="attacked", source_id=c.source), SEED) for c in picked]
    # Other filters are fooled by other words: those of a filter that has seen more pictures are another round.
    folder = f"rounds/001-attacked-{digest(' '.join(item.key for item in items).encode())[:8]}"
    draw(store, folder, items, 1)
    return read(store, folder)


def survivors(attacked: Rows, clean: Rows) -> Rows:
    """Pictures whose truth is still that of the root's own picture: an attack that draws something else got nowhere."""
    truth = {root: float(clean.unsafe[row]) for row, root in _first_of_each(clean)}
    return attacked.pick([i for i, root in enumerate(attacked.roots) if truth.get(root) == float(attacked.unsafe[i])])


def hardest(scores: Tensor, rows: Rows) -> list[int]:
    """One picture a root: the one on which these scores err most. The attacker tried `KEPT` and keeps the best."""
    wrong = torch.where(rows.unsafe > 0, 1 - scores, scores)
    best: dict[str, int] = {}
    for row, root in enumerate(rows.roots):
        if root not in best or wrong[row] > wrong[best[root]]:
            best[root] = row
    return sorted(best.values())
