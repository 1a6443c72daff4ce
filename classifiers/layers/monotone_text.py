"""Evidence in words that other words cannot take away: a sum of non-negative terms, each of one word, of two, or of a word and
what the picture shows.

The usual reader of prompts attends to all words at once, so exchanging harmless ones can hide a harmful one. Here the score is
monotone in the set of words (cf. monotone classifiers against evasion, Incer et al. 2018, "Adversarially robust malware detection
using monotonic classification"): see `MonotoneText.certificate`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

SHARPNESS = 1.0  # above 1 a silent term has no gradient to learn by; below, thousands of them would speak together
ROLES = 24  # width of a word's two roles in a pair (an object, a purpose)
HIDDEN = 256
SILENT = -8.0  # where every term begins: thousands of them, each silent, must not add up to evidence


class EvidenceTerms(NamedTuple):
    """What single words bring to a score: `alone` float32 [words], `pairs` [words, words] in this order of roles, `beside` [words,
    concepts] (a(t, c) below, not yet bound by what is seen), and `hidden` [words, HIDDEN].
    """

    alone: Tensor
    pairs: Tensor
    beside: Tensor
    hidden: Tensor


class MonotoneText(nn.Module):
    """Token vectors → a logit. With e(t) of a word, p(s, t) of two words and q(t, c) of a word and a concept c seen in the picture,

        score = 1/β · log( Σ exp βe(t) + Σ exp βp(s, t) + Σ exp βq(t, c) ),   q(t, c) = -log(exp(-a(t, c)) + exp(-seen(c))).

    Each term depends on its own words alone: there is no attention, no position and no normalisation over the prompt.
    """

    def __init__(self, width: int, concepts: int) -> None:
        super().__init__()
        self.concepts = concepts
        self.words = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, HIDDEN), nn.GELU())
        self.alone = nn.Linear(HIDDEN, 1)
        self.roles = nn.Linear(HIDDEN, 2 * ROLES)
        self.beside = nn.Linear(HIDDEN, concepts)
        self.together = nn.Parameter(torch.tensor(SILENT))
        with torch.no_grad():
            for part in (self.alone, self.beside):
                part.bias.fill_(SILENT)

    def forward(self, tokens: Tensor, read: Tensor, seen: Tensor | None = None) -> Tensor:
        """float32 [n]. `tokens` [n, length, width] are vectors of single tokens, not of tokens in their context; `read` bool
        [n, length] says which are words; `seen` [n, concepts] are logits of what the picture shows.
        """
        words, both = self.apart(tokens, read, seen)
        score: Tensor = torch.logaddexp(SHARPNESS * words, SHARPNESS * both) / SHARPNESS
        return score

    def apart(self, tokens: Tensor, read: Tensor, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """float32 [n] twice: of the terms of words alone, and of those of words beside what is seen."""
        hidden = self.words(tokens)
        # A row without words has no term: the least that `SILENT` stands for, instead of minus infinity.
        least = hidden.new_full((tokens.shape[0], 1), 2 * SILENT)
        terms = [self.alone(hidden)[..., 0].masked_fill(~read, -torch.inf), self._pairs(hidden, read), least]
        words = torch.logsumexp(SHARPNESS * torch.cat(terms, dim=1), dim=1) / SHARPNESS
        if seen is None:
            return words, least[:, 0]
        bound = -torch.logaddexp(-self.beside(hidden), -seen[:, None, :])
        bound = bound.masked_fill(~read[..., None], -torch.inf).flatten(1)
        return words, torch.logsumexp(SHARPNESS * torch.cat([bound, least], dim=1), dim=1) / SHARPNESS

    def terms(self, vectors: Tensor) -> EvidenceTerms:
        """Of words, float32 [words, width], all at once: whoever scores many rows of few words looks them up."""
        hidden = self.words(vectors)
        first, second = self.roles(hidden).chunk(2, dim=-1)
        return EvidenceTerms(self.alone(hidden)[:, 0], first @ second.T + self.together, self.beside(hidden), hidden)

    def certificate(self, tokens: Tensor, read: Tensor, kept: Tensor, seen: Tensor | None = None) -> Tensor:
        """float32 [n]: what the score stays at or above as long as the words `kept` (bool [n, length]) are read and the picture's
        logits are no lower, whatever becomes of all other words: exchanged, left out, moved, or more of them put in.

        It is the score of the kept words alone: every term is exp of something, so each further one can only add.
        """
        certified: Tensor = self(tokens, read & kept, seen)
        return certified

    def _pairs(self, hidden: Tensor, read: Tensor) -> Tensor:
        """[n, length * length]: of every two places, in this order of roles."""
        first, second = self.roles(hidden).chunk(2, dim=-1)
        pairs = first @ second.transpose(1, 2) + self.together
        apart = ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)
        both = read[:, :, None] & read[:, None, :] & apart
        terms: Tensor = pairs.masked_fill(~both, -torch.inf)
        return terms.flatten(1)
