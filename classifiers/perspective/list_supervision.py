"""Marks: yes or no at each name that a question lists, read one layer before the language model's last.

The last layer can then answer by looking for a yes. Without that 550 steps of pre-training, 120 of them about taxonomies, had
learnt to tick lists (AUROC .98) and not to answer from them (.63; docs/log.md).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from classifiers.perspective.pretraining.tasks import NO, YES
from classifiers.vlm.llava import IGNORED


def marks(ids: Sequence[int], listed: Sequence[tuple[str, bool]], tokenizer: Any) -> Tensor:
    """int64 [length]: yes or no at the last token of each listed name, in the order in which they stand in `ids`.

    Nothing elsewhere. Raises StopIteration for a name that is not there.
    """
    labels, place = torch.full((len(ids),), IGNORED), 0
    for name, shown in listed:
        tokens = tokenizer(name, add_special_tokens=False)["input_ids"]
        place = next(at for at in range(place, len(ids)) if list(ids[at : at + len(tokens)]) == tokens) + len(tokens)
        labels[place - 1] = tokenizer.convert_tokens_to_ids(YES if shown else NO)
    return labels


@contextmanager
def before_last(language: Any) -> Iterator[list[Tensor]]:
    """What the layer before the last gives, [n x length x width] a pass, while this is open."""
    seen: list[Tensor] = []
    hook = language.layers[-2].register_forward_hook(lambda *called: seen.append(called[-1]))
    try:
        yield seen
    finally:
        hook.remove()


def cross_entropy(logits: Tensor, labels: Sequence[Tensor]) -> Tensor:
    """Of [n x length x words] and rows of labels of any length up to it, padded here; 0 where nothing is labelled."""
    wanted = pad_sequence(list(labels), True, IGNORED).to(logits.device)
    summed = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return summed / (wanted != IGNORED).sum().clamp(min=1)
