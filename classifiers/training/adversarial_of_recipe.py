"""What hardening needs to know of a run's recipe: whether two prompts mean the same, and which attacks it may use."""

from classifiers.training.adversarial import BatchHardening
from classifiers.training.config import Settings
from pipeline.recipe import Recipe, Without
from schemas.errors import InputError
from schemas.wording import PromptMeaning
from stages.attack.by_name import attack_classes
from stages.attack.text_attack import TextAttack

WITHOUT_A_MODEL = "paraphrase"  # asks a language model: seconds a prompt


def harden_of(settings: Settings, recipe: Recipe) -> BatchHardening:
    """The attack on training rows. Raises InputError where words are to be exchanged and nobody can read the run's prompts."""
    wording = recipe.wording
    if isinstance(wording, Without):
        if settings.token_budget:
            raise InputError(
                f"--token-budget {settings.token_budget}: the run's recipe is {recipe.name}, and {wording.why}; "
                "train on stored variants instead (jobs/attack.py, jobs/label.py)"
            )
        return BatchHardening(settings.epsilon, settings.attack_steps, 0, (), _unreadable, _unknown)
    rewrites = tuple(kind(edit_budget=settings.token_budget) for kind in non_adaptive_rewrites(recipe))
    return BatchHardening(
        settings.epsilon, settings.attack_steps, settings.token_budget, rewrites, wording.same_meaning, wording.asked_by
    )


def non_adaptive_rewrites(recipe: Recipe) -> list[type[TextAttack]]:
    """Attacks on words that keep the meaning, ask no classifier, and are not held out of training."""
    return [
        kind
        for name, kind in attack_classes().items()
        if issubclass(kind, TextAttack) and kind.knowledge == "non_adaptive" and kind.preserves
        if name not in recipe.held_out_attacks and name != WITHOUT_A_MODEL
    ]


def _unreadable(one: str, other: str) -> bool:
    """Prompts that nobody can read mean the same where they are the same."""
    return one == other


def _unknown(prompt: str) -> PromptMeaning:
    return PromptMeaning(None)
