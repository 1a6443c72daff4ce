"""The words' side of the contract, for what reads none."""

from collections.abc import Sequence

import torch
from torch import Tensor


class NoWords:
    """Every prompt is of no tokens."""

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """int64 [n, 0]."""
        return torch.zeros((len(prompts), 0), dtype=torch.int64)

    def decode(self, ids: Tensor) -> str:
        """Nothing."""
        del ids
        return ""

    def embedding_table(self) -> Tensor:
        """float32 [0, 0]."""
        return torch.zeros((0, 0))

    def editable(self, ids: Tensor) -> Tensor:
        """bool [n, 0]."""
        return torch.zeros_like(ids, dtype=torch.bool)

    def overruns(self, prompt: str) -> bool:
        """Never."""
        del prompt
        return False
