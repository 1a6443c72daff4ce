"""What hardening needs to know of a run: whether two of its prompts mean the same, and which non-adaptive attacks it may use."""

from classifiers.training.adversarial import Harden
from classifiers.training.config import Settings
from classifiers.training.prompt_augmentation import Asked
from jobs.recipes.sharding import SHARDING, pictogram, recipe_of
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.run import RunConfig
from stages.attack.by_name import attack_classes
from stages.attack.text_attack import TextAttack
from stages.label.pictogram_words import understood
from stages.world import truth

WITHOUT_A_MODEL = "paraphrase"  # asks a language model: seconds a prompt


def harden_of(settings: Settings, store: Store, config: RunConfig) -> Harden:
    """The attack on training rows. Raises InputError where words are to be exchanged and nobody can read the run's prompts."""
    if settings.token_budget and SHARDING.get(config.recipe) is not pictogram:
        raise InputError(
            f"--token-budget {settings.token_budget}: whether a prompt still means the same can only be read in the embedded "
            f"world, and this run's recipe is {config.recipe}; train on stored variants instead (jobs/attack.py, jobs/label.py)"
        )
    rewrites = tuple(kind(edit_budget=settings.token_budget) for kind in non_adaptive_rewrites(store, config))
    return Harden(settings.epsilon, settings.attack_steps, settings.token_budget, rewrites, same_meaning, asked_by)


def non_adaptive_rewrites(store: Store, config: RunConfig) -> list[type[TextAttack]]:
    """Attacks on words that keep the meaning, ask no classifier, and are not held out of training."""
    held_out = {one.name.partition(":")[2] for one in recipe_of(config, store.url).rules.splits.held_out}
    return [
        kind
        for name, kind in attack_classes().items()
        if issubclass(kind, TextAttack) and kind.knowledge == "non_adaptive" and kind.preserves
        if name not in held_out and name != WITHOUT_A_MODEL
    ]


def same_meaning(one: str, other: str) -> bool:
    """Whether two prompts of the pictogram world ask for the same objects and the same purpose: all that its truth depends on."""
    first, second = understood(one), understood(other)
    return set(first.concepts) == set(second.concepts) and first.purpose == second.purpose


def asked_by(prompt: str) -> Asked:
    """What a prompt of the pictogram world asks for; nobody can tell where some of its words are none of the world's.

    A purpose without an object is open: what the picture shows may turn it.
    """
    request = understood(prompt)
    found = truth.of_prompt(request)
    unsafe = True if found.unsafe else None if request.unknown else False
    return Asked(unsafe, found.categories, request.purpose is not None and not request.concepts)
