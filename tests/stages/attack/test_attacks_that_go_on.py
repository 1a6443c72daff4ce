"""Attacks that stop too early look like a defence: PGD starts again, APGD halves its step, the joint attack goes round."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from schemas.protocols import Coverage, Inputs
from stages.attack.joint import Joint
from stages.attack.pixels.apgd import Apgd
from stages.attack.pixels.pgd import Pgd, PGDConfig
from tests.stages.attack.test_token_search import START, WORDS, Whole

EPSILON = 0.1
ROWS = 12
PIXELS = torch.full((ROWS, 3, 1, 1), 0.5)
KEYS = tuple(f"key {row}" for row in range(ROWS))


class Along(nn.Module):
    """Of one pixel: the margin is a function of how far the first channel has moved, in units of EPSILON."""

    name = "along"
    threshold = 0.5
    coverage = Coverage(frozenset({"image"}), ("image",), ())

    def __init__(self, margin: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.margin = margin

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        assert inputs.pixels is not None
        margin = self.margin((inputs.pixels[:, 0, 0, 0] - 0.5) / EPSILON)
        return torch.stack([0 * margin, margin], dim=1)


def passed(attack: Pgd | Apgd | Joint, model: nn.Module) -> int:
    """Of the rows, all flagged at first."""
    made = attack.attack(
        model,  # type: ignore[arg-type]
        Inputs((START,) * ROWS, PIXELS),
        torch.ones(ROWS).long(),
        KEYS,
    )
    return sum(bool(record.achieved) for record in made.records)


# Up hill from the clean picture the margin ends at 0.5; beyond a ridge on the other side it falls below zero.
TRAP = Along(lambda u: torch.where(u > -0.2, 1 - 0.5 * u, 1.1 + 3 * (u + 0.2)))
# Passes only within a five-hundredth of the budget, off the centre: steps of one size jump over it for ever.
NEEDLE = Along(lambda u: (u - 0.37).abs() - 0.002)


def test_pgd_that_starts_again_leaves_a_trap_and_one_try_does_not() -> None:
    climb = PGDConfig(steps=10, restarts=1, random_start=False)
    assert passed(Pgd(epsilon=EPSILON, climb=climb), TRAP) == 0
    assert passed(Pgd(epsilon=EPSILON, climb=replace(climb, restarts=19, random_start=True)), TRAP) == ROWS


def test_apgd_that_starts_again_leaves_the_same_trap() -> None:
    once = Apgd(epsilon=EPSILON, steps=20)
    assert passed(once, TRAP) == 0
    assert passed(replace(once, restarts=19), TRAP) == ROWS


def test_apgd_halves_its_step_until_it_hits_what_a_full_step_jumps_over() -> None:
    assert passed(Apgd(epsilon=EPSILON, steps=60, as_stored=False), NEEDLE) == ROWS


class ByTurns(Along, Whole):
    """Passes by a word, then pixels that gain only under it, then another word that gains only over those pixels."""

    coverage = Coverage(frozenset({"prompt", "image"}), ("pair",), ())

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        assert inputs.pixels is not None
        words = self.embedding_table()[self.encode(list(inputs.prompts))] if embeddings is None else embeddings
        first, second = (words[:, :, WORDS.index(word)].amax(dim=1) for word in ("x", "y"))
        moved = ((inputs.pixels[:, 0, 0, 0] - 0.5) / EPSILON).clamp(-1, 1)
        margin = 1.5 - 0.5 * first - 0.5 * first * moved - 0.7 * first * second * (moved > 0.9)
        return torch.stack([0 * margin, margin], dim=1)

    def overruns(self, prompt: str) -> bool:
        return False


def test_the_joint_attack_goes_round_until_words_gain_what_pixels_opened() -> None:
    attack = Joint(epsilon=EPSILON, edit_budget=2, rounds=1, climber="apgd", steps=20)
    model = ByTurns(lambda moved: moved)
    assert passed(attack, model) == 0
    assert passed(replace(attack, rounds=3), model) == ROWS


def test_the_joint_attack_starts_again_from_elsewhere() -> None:
    attack = Joint(epsilon=EPSILON, rounds=1, climber="apgd", steps=20)
    assert passed(attack, TRAP) == 0
    assert passed(replace(attack, restarts=19), TRAP) == ROWS
