"""Greedy search over tokens led by gradients (HotFlip, Ebrahimi et al. 2018, equation 10; GCG, Zou et al. 2023, algorithm 1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Reader(Protocol):
    """The tokens of a model, as in `schemas.protocols.Differentiable`."""

    def encode(self, prompts: list[str]) -> Tensor:
        """int64 [n, length]."""

    def decode(self, ids: Tensor) -> str:
        """The text of one row."""

    def editable(self, ids: Tensor) -> Tensor:
        """bool like `ids`."""

    def embedding_table(self) -> Tensor:
        """float32 [vocabulary, width]."""


@dataclass(frozen=True, eq=False)
class Aim:
    """What is to become large: `values` of texts [m], its `slope` by the embeddings of ids [1, length] → [length, width], and when
    it is `reached`.
    """

    values: Callable[[list[str]], Tensor]
    slope: Callable[[str, Tensor], Tensor]
    reached: Callable[[float], bool]


@dataclass(frozen=True, eq=False)
class Found:
    """The best text, its value, and what it took."""

    text: str
    value: float
    edits: int
    queries: int


def search(reader: Reader, text: str, aim: Aim, allowed: Tensor, limits: "Limits") -> Found:
    """Exchange one token after the other, each time for the best of the candidates by exact score, until `aim` is reached.

    The gradient only proposes: candidates are the greatest of (e_v - e_i) · ∇ over places and `allowed` tokens (bool
    [vocabulary]); each is decoded, and dropped unless encoding it again gives the same tokens: else what was scored would not
    be what is sent. No place counts twice against the budget.
    """
    ids = reader.encode([text])
    value = float(aim.values([text])[0])
    start, asked = ids.clone(), 1
    while not aim.reached(value) and asked < limits.queries:
        proposed = _candidates(reader, ids, start, aim.slope(text, ids), allowed, limits)
        asked += 1
        if not proposed:
            break
        values = aim.values([written for written, _ in proposed])
        asked += len(proposed)
        best = int(values.argmax())
        if float(values[best]) <= value:
            break
        text, ids = proposed[best]
        value = float(values[best])
    return Found(text, value, int((ids != start).sum()), asked)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`tokens` that may differ from the start, `top` candidates scored exactly a step, `queries` in all."""

    tokens: int = 3
    top: int = 24
    queries: int = 400


def _candidates(
    reader: Reader, ids: Tensor, start: Tensor, slope: Tensor, allowed: Tensor, limits: Limits
) -> list[tuple[str, Tensor]]:
    """Texts with their ids [1, length], best by first order first."""
    table = reader.embedding_table()
    places = reader.editable(ids)[0]
    if int((ids != start).sum()) >= limits.tokens:  # only places that were changed already may change again
        places = places & (ids != start)[0]
    where = places.nonzero().flatten()
    if not len(where):
        return []
    gains = slope[where] @ table.T - (slope[where] * table[ids[0, where]]).sum(dim=1, keepdim=True)
    gains = gains.masked_fill(~allowed.to(gains.device), float("-inf"))
    order = gains.flatten().topk(min(4 * limits.top, gains.numel())).indices.tolist()
    found: list[tuple[str, Tensor]] = []
    for flat in order:
        place, token = where[flat // len(table)], flat % len(table)
        if not bool(allowed[token]) or int(ids[0, place]) == token:
            continue
        changed = ids.clone()
        changed[0, place] = token
        written = reader.decode(changed[0])
        if torch.equal(reader.encode([written]), changed):
            found.append((written, changed))
        if len(found) == limits.top:
            break
    return found


def plain_words(reader: Reader, banned: frozenset[str] = frozenset()) -> Tensor:
    """bool [vocabulary]: tokens that are whole words of ASCII letters, encode back to themselves, and hold no banned word."""
    size = len(reader.embedding_table())
    texts = [reader.decode(torch.tensor([token])) for token in range(size)]
    fit = torch.zeros(size, dtype=torch.bool)
    for token, text in enumerate(texts):
        word = text.strip().casefold()
        if word.isascii() and word.isalpha() and not any(held in word for held in banned):
            ids = reader.encode([word])
            inside = ids[0][reader.editable(ids)[0]].tolist()
            fit[token] = inside == [token]
    return fit
