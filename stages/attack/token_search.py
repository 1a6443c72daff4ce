"""Search over tokens led by gradients (HotFlip, Ebrahimi et al. 2018, equation 10; GCG, Zou et al. 2023, algorithm 1).

A beam of texts; tokens are exchanged and put in; restarts begin at random places; only texts whose truth stays are tried.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from schemas.identity import seed_of
from stages.attack.text_attack import KeepsTruth

CONSIDERED = (
    16  # times `top`: moves that are looked at, best by first order first, until `top` of them are fit to be scored
)
AT_ONCE = 16  # moves that are encoded together: a tokenizer takes as long for one text as for ten


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


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`tokens` that may differ from the start or be put in, `queries` in all, `top` candidates scored exactly a step.

    `beam` texts are followed at once and share the candidates. A try ends after `patience` steps without gain; `restarts` tries,
    all but the first from random exchanges. `insert`: tokens are put in as well. The defaults are plain greedy search.
    """

    tokens: int = 3
    top: int = 24
    queries: int = 400
    beam: int = 1
    restarts: int = 1
    patience: int = 1
    insert: bool = False


@dataclass(frozen=True, eq=False)
class Found:
    """The best text, its value, and what it took. `touched` bool [length]: the places that are not as they were."""

    text: str
    value: float
    edits: int
    queries: int
    touched: Tensor


@dataclass(frozen=True, eq=False)
class _SearchState:
    """`ids` [1, length]; `touched` bool [length]."""

    text: str
    ids: Tensor
    touched: Tensor
    value: float = float("-inf")


def search(
    reader: Reader,
    text: str,
    aim: Aim,
    allowed: Tensor,
    limits: Limits,
    *,
    keeps_truth: KeepsTruth | None = None,
    touched: Tensor | None = None,
    seed: int = 0,
) -> Found:
    """Change one token after the other until `aim` is reached or the queries are used up; the best text that was seen.

    The gradient only proposes: exchanges are the greatest of (e_v - e_i) · ∇ over places and `allowed` tokens (bool [vocabulary]),
    insertions the greatest of e_v · ∇ of the place they push on. Each is decoded, and dropped unless encoding it again gives the
    same tokens (else what was scored would not be what is sent) and `keeps_truth` holds. No place counts twice against the budget;
    `touched` ones, of an earlier search, count already.
    """
    ids = reader.encode([text])
    start = _SearchState(text, ids, torch.zeros(ids.shape[1], dtype=torch.bool) if touched is None else touched)
    hunt = _Hunt(reader, aim, allowed, limits, keeps_truth)
    first = hunt.scored([start])[0]
    for restart in range(limits.restarts):
        if hunt.done():
            break
        draw = torch.Generator().manual_seed(seed_of(str(seed), f"restart {restart}"))
        hunt.climb(first if restart == 0 else hunt.scattered(start, draw))
    best = hunt.best
    return Found(best.text, best.value, int(best.touched.sum()), hunt.queries, best.touched)


class _Hunt:
    """One search: what it asked so far, and the best that it saw."""

    def __init__(
        self, reader: Reader, aim: Aim, allowed: Tensor, limits: Limits, keeps_truth: KeepsTruth | None
    ) -> None:
        self.reader, self.aim, self.limits, self.keeps_truth = reader, aim, limits, keeps_truth
        self.allowed = allowed.to(reader.embedding_table().device)
        self.queries = 0
        self.best = _SearchState("", torch.zeros((1, 0), dtype=torch.int64), torch.zeros(0, dtype=torch.bool))

    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.aim.reached(self.best.value) or self.queries >= self.limits.queries

    def scored(self, states: list[_SearchState]) -> list[_SearchState]:
        """With their values; the best of all is kept."""
        values = self.aim.values([state.text for state in states]).tolist()
        self.queries += len(states)
        scored_states = [_SearchState(s.text, s.ids, s.touched, value) for s, value in zip(states, values, strict=True)]
        self.best = max(self.best, *scored_states, key=lambda state: state.value)
        return scored_states

    def climb(self, start: _SearchState) -> None:
        """One try, from `start`, whose value is known."""
        beam, best, stale, seen = [start], start.value, 0, {start.text}
        while stale < self.limits.patience and not self.done():
            proposed: list[_SearchState] = []
            for state in beam:
                if self.queries < self.limits.queries:
                    proposed += self.candidates(state, seen, max(1, self.limits.top // len(beam)))
            proposed = proposed[: self.limits.queries - self.queries]
            if not proposed:
                break
            beam = sorted(self.scored(proposed), key=lambda state: -state.value)[: self.limits.beam]
            stale = 0 if beam[0].value > best else stale + 1
            best = max(best, beam[0].value)

    def candidates(self, state: _SearchState, seen: set[str], count: int) -> list[_SearchState]:
        """At most `count` that were not `seen`, best by first order first; where tokens are put in, a third of them are such."""
        slope = self.aim.slope(state.text, state.ids)
        self.queries += 1
        put_in = count // 3 if self.limits.insert else 0
        insertions = list(islice(self._fit(self._insertions(state, slope, put_in), seen), put_in))
        return insertions + list(islice(self._fit(self._exchanges(state, slope, count), seen), count - len(insertions)))

    def scattered(self, start: _SearchState, draw: torch.Generator) -> _SearchState:
        """`start` with some random exchanges, scored; as it is where none is fit."""
        words = self.allowed.nonzero().flatten()
        state = start
        for _ in range(max(1, self.limits.tokens // 2)):
            places = self._places(state).nonzero().flatten()
            if not len(places) or not len(words):
                break
            moves = (
                self._exchanged(state, int(places[int(at)]), int(words[int(token)]))
                for at, token in zip(
                    torch.randint(len(places), (CONSIDERED,), generator=draw),
                    torch.randint(len(words), (CONSIDERED,), generator=draw),
                    strict=True,
                )
            )
            state = next(self._fit(moves, set()), state)
        return self.scored([state])[0]

    def _fit(self, moves: Iterator[tuple[Tensor, Tensor]], seen: set[str]) -> Iterator[_SearchState]:
        """Those of which decoding and encoding gives the same tokens, whose truth stays, and that were not `seen`."""
        while some := list(islice(moves, AT_ONCE)):
            texts = [self.reader.decode(ids[0]) for ids, _ in some]
            length = (encoded := self.reader.encode(texts)).shape[1]
            for number, ((ids, touched), text) in enumerate(zip(some, texts, strict=True)):
                again = encoded[number : number + 1]
                cut_off = self.reader.editable(ids)[0, length:].any() if ids.shape[1] > length else False
                if text in seen or cut_off or not torch.equal(again, ids[:, :length]):
                    continue
                if self.keeps_truth is None or self.keeps_truth(text):
                    seen.add(text)
                    yield _SearchState(text, again, touched[:length])

    def _places(self, state: _SearchState) -> Tensor:
        """bool [length]: where a token may be exchanged; once the budget is used up only where one was already."""
        places = self.reader.editable(state.ids)[0]
        return places & state.touched if int(state.touched.sum()) >= self.limits.tokens else places

    def _exchanges(self, state: _SearchState, slope: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        where = self._places(state).nonzero().flatten()
        if not len(where):
            return
        table = self.reader.embedding_table()
        gains = slope[where] @ table.T - (slope[where] * table[state.ids[0, where]]).sum(dim=1, keepdim=True)
        for place, token in self._best_of(gains, where, count):
            if int(state.ids[0, place]) != token:
                yield self._exchanged(state, place, token)

    def _exchanged(self, state: _SearchState, place: int, token: int) -> tuple[Tensor, Tensor]:
        ids, touched = state.ids.clone(), state.touched.clone()
        ids[0, place], touched[place] = token, True
        return ids, touched

    def _insertions(self, state: _SearchState, slope: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Before each word, and behind the last."""
        where = self.reader.editable(state.ids)[0].nonzero().flatten()
        if not count or not len(where) or int(state.touched.sum()) >= self.limits.tokens:
            return
        where = torch.cat([where, where[-1:] + 1])
        where = where[where < state.ids.shape[1]]
        gains = slope[where] @ self.reader.embedding_table().T
        for place, token in self._best_of(gains, where, count):
            new = torch.tensor([[token]], device=state.ids.device)
            ids = torch.cat([state.ids[:, :place], new, state.ids[:, place:]], dim=1)
            yield ids, torch.cat([state.touched[:place], torch.tensor([True]), state.touched[place:]])

    def _best_of(self, gains: Tensor, where: Tensor, count: int) -> Iterator[tuple[int, int]]:
        """Places and allowed tokens of the greatest gains [places, vocabulary]."""
        gains = gains.masked_fill(~self.allowed, float("-inf")).flatten()
        order = gains.topk(min(CONSIDERED * count, len(gains))).indices.tolist()
        tokens = len(self.allowed)
        return ((int(where[at // tokens]), at % tokens) for at in order if bool(self.allowed[at % tokens]))


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
