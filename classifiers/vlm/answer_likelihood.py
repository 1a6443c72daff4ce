"""How likely a language model is to give each of a few possible answers and no other, whatever tokens they are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

Path = tuple[int, ...]


@dataclass(frozen=True)
class Answers:
    """The answers' tokens as a tree. A model that may only say one of them chooses at the branches, and nowhere else.

    `branches` gives, for each beginning after which there is a choice, the tokens to choose from.
    """

    tokens: tuple[Path, ...]
    branches: Mapping[Path, Path]

    @classmethod
    def of(cls, tokens: Sequence[Sequence[int]]) -> Self:
        """Of answers none of which is the beginning of another. Raises ValueError otherwise."""
        answers = tuple(tuple(each) for each in tokens)
        follow: dict[Path, dict[int, None]] = {}
        for answer in answers:
            for place, token in enumerate(answer):
                follow.setdefault(answer[:place], {})[token] = None
        if len(set(answers)) < len(answers) or any(answer in follow for answer in answers):
            raise ValueError("one answer is another one's beginning, so they can't be told apart")
        return cls(answers, {start: tuple(choice) for start, choice in follow.items() if len(choice) > 1})

    @property
    def passes(self) -> tuple[Path, ...]:
        """The beginnings that the model has to be given: every branch lies on one of them."""
        return tuple(
            start
            for start in self.branches
            if not any(other != start and other[: len(start)] == start for other in self.branches)
        )

    def log_probabilities(self, logits: Mapping[Path, Tensor]) -> Tensor:
        """float32 [n, answers], each row's exponentials summing to 1, of logits [n, vocabulary] after every branch."""
        steps = {
            (start, token): column
            for start, choice in self.branches.items()
            for token, column in zip(choice, logits[start][:, list(choice)].log_softmax(dim=1).T, strict=True)
        }
        zero = next(iter(logits.values())).new_zeros(len(next(iter(logits.values()))))
        return torch.stack(
            [
                sum((steps.get((answer[:place], token), zero) for place, token in enumerate(answer)), zero)
                for answer in self.tokens
            ],
            dim=1,
        )
