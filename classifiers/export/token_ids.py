"""Judge prompts that were brought to token ids elsewhere: exported models are given ids, not words."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from classifiers.classifier import Classifier
from schemas.protocols import Inputs


@contextmanager
def reading(model: Classifier, ids: Tensor | None) -> Iterator[None]:
    """While open, whatever prompts the model is shown, it reads `ids`, int64 [n, length]. Without any, it reads as ever."""
    if ids is None:
        yield
        return
    model.encode = lambda prompts: ids  # type: ignore[method-assign]
    try:
        yield
    finally:
        del model.encode


def told(model: Classifier, ids: Tensor | None, pixels: Tensor | None) -> dict[str, Tensor]:
    """By scope, float32 [n, 1 + categories]: logits of unsafe and of each category, the last word of all stages."""
    with reading(model, ids):
        return model.told(model.features(Inputs((), pixels)))
