"""What an attacker would write in a row's place, searched as attackers search: an exchange or a word more at a time,
whichever moves the judge most while words and pair stay as safe or unsafe as they are. Only tables are asked, so that is quick.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from classifiers.layers.monotone_text import EvidenceTerms
from classifiers.training.guards.rows import HELD_OUT_PAIRINGS, PromptRows, truths
from classifiers.training.guards.seen import SeenPictures
from classifiers.training.guards.tables import TURNED, SaidWords
from stages.world.reader import read

EDITS = 4  # as many as the evaluation's attacks may make
LOOKED_AT = 64  # moves whose truth is asked, best first
SIDES = ("words", "both")

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WordSearch:
    """Terms as sums of exponentials: `alone` [words], `pairs` [words, words] of both orders together, `beside` [words, turned]."""

    said: SaidWords
    alone: Values
    pairs: Values
    beside: Values

    @classmethod
    def of(cls, said: SaidWords, terms: EvidenceTerms) -> "WordSearch":
        """As the judge is now."""
        alone, pairs, beside = (each.detach().double().numpy() for each in terms[:3])
        return cls(said, np.exp(alone), np.exp(pairs) + np.exp(pairs).T, beside[:, TURNED])

    def searched(
        self,
        row: list[int],
        seen: Values,
        side: str,
        rises: bool,
        keeps: Callable[[str], bool],
        rng: np.random.Generator,
    ) -> list[int]:
        """The row after at most EDITS moves. `side` is the score that is to rise or fall; `seen` [turned] are concepts' logits."""
        alone = self.alone if side == "words" else np.exp(-np.logaddexp(-self.beside, -seen)).sum(1)
        for _ in range(EDITS):
            better = next(self._better(row, alone, side == "words", rises, keeps, rng), None)
            if better is None:
                break
            row = better
        return row

    def _better(
        self,
        row: list[int],
        alone: Values,
        pairs: bool,
        rises: bool,
        keeps: Callable[[str], bool],
        rng: np.random.Generator,
    ) -> Iterator[list[int]]:
        """Rows a move away whose score is better for the attacker and whose truth stays, best first."""
        beside = self.pairs[:, row] if pairs else np.zeros((len(alone), len(row)))
        gained = alone + beside.sum(1)  # of a word put in
        lost = gained[row] - np.diagonal(beside[row])
        changes = np.concatenate([gained[None], gained[None] - beside.T - lost[:, None]])
        changes = changes.flatten() if rises else -changes.flatten()
        best = np.argpartition(-changes, LOOKED_AT)[:LOOKED_AT]
        for move in best[np.argsort(-changes[best])]:
            at, word = divmod(int(move), len(alone))
            if changes[move] <= 1e-9:
                return
            where = int(rng.integers(len(row) + 1)) if at == 0 else at - 1
            other = [*row[:where], word, *row[where + (at > 0) :]]
            if keeps(self.said.text(other)):
                yield other


def searched_rows(
    search: WordSearch,
    rows: PromptRows,
    shown: SeenPictures,
    chosen: Tensor,
    rng: np.random.Generator,
    side: str = "",
) -> PromptRows:
    """Each of the `chosen` rows (placed words) as an attacker would have it: unsafe ones made to pass, safe ones to be flagged, by
    the words alone or beside a picture in which what counts is hidden or feigned. Safe ones on `side`, or on either in turn.
    """
    found = []
    for row in chosen.tolist():
        scene = int(rows.scene[row])
        concepts = shown.scenes[scene].concepts
        places = [place for place in rows.ids[row, 0].tolist() if place >= 0]
        confounded, by_words = float(rows.by_both[row]) == 1, float(rows.by_words[row]) == 1
        aimed = "both" if confounded else "words" if by_words else side or SIDES[int(rng.integers(2))]
        seen = (shown.hidden if confounded else shown.feigned)[scene, TURNED].double().numpy()
        keeps = _keeps(search.said.text(places), concepts)
        found.append(
            search.searched(places, seen, aimed, not (confounded or by_words), keeps, rng) if keeps else places
        )
    longest = max(len(row) for row in found)
    ids = torch.tensor([row + [-1] * (longest - len(row)) for row in found])[:, None].expand(-1, rows.ids.shape[1], -1)
    columns: dict[str, Any] = {
        name: getattr(rows, name)[chosen] for name in ("scene", "by_words", "by_both", "categories")
    }
    return replace(rows, ids=ids, **columns)


def _keeps(text: str, concepts: Sequence[str]) -> Callable[[str], bool] | None:
    """Whether another text tells the same and joins nothing that is held out. None where already the first tells nothing clear."""
    before = truths(text, concepts)
    if before is None:
        return None

    def keeps(other: str) -> bool:
        if truths(other, concepts) != before:
            return False
        request = read(other)
        hidden = set(concepts) - set(request.concepts)
        return not any(name in hidden and request.purpose == purpose for name, purpose in HELD_OUT_PAIRINGS)

    return keeps
