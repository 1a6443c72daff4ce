"""What prompts of the pictogram world mean: the reader that hardening asks before it exchanges words."""

from dataclasses import dataclass

from schemas.wording import PromptMeaning
from stages.label.pictogram_words import understood
from stages.world import truth


@dataclass(frozen=True)
class PictogramWording:
    """Reads prompts as the world's truth does; a `schemas.wording.Wording`."""

    def same_meaning(self, one: str, other: str) -> bool:
        """Whether both ask for the same objects and the same purpose: all that the truth depends on."""
        first, second = understood(one), understood(other)
        return set(first.concepts) == set(second.concepts) and first.purpose == second.purpose

    def asked_by(self, prompt: str) -> PromptMeaning:
        """What is asked for; nobody can tell where some of the words are none of the world's.

        A purpose without an object is open: what the picture shows may turn it.
        """
        request = understood(prompt)
        meaning = truth.of_prompt(request)
        unsafe = True if meaning.unsafe else None if request.unknown else False
        return PromptMeaning(unsafe, meaning.categories, request.purpose is not None and not request.concepts)
