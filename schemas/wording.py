"""Whether two prompts mean the same, and what one asks for: who can read a run's prompts answers this."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class PromptMeaning:
    """What a prompt asks for: `unsafe` (None: nobody can tell) of `categories`. It is `open` where a safe picture may turn it."""

    unsafe: bool | None
    categories: tuple[str, ...] = ()
    open: bool = False


class Wording(Protocol):
    """A reader of prompts: a value that can be pickled."""

    def same_meaning(self, one: str, other: str) -> bool:
        """Whether two prompts ask for the same, so that the labels of one are the labels of the other."""

    def asked_by(self, prompt: str) -> PromptMeaning:
        """What the prompt asks for."""
