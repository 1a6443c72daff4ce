"""Remember what text encoders made of a prompt: several images of one prompt, and the empty prompt that guidance needs.

A row is remembered with the number of rows it was encoded among, and is used again only where all rows of a call are known, in a
call of that many rows: the encoder then saves its work, and every other call is computed whole, as it would be without.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

MOST_BYTES = 256 << 20
"""Kept for each encoder, where its weights are. A prompt takes 120 kB of Stable Diffusion's CLIP and 2 MB of T5-XXL."""
PARTS = ("text_encoder", "text_encoder_2", "text_encoder_3")


class TextCache:
    """Stands for an encoder's `forward`. `hits` and `misses` count calls."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.hits = self.misses = 0
        self._forward = forward
        self._rows: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes: dict[Hashable, int] = {}

    def __call__(self, input_ids: Any = None, *others: Any, **named: Any) -> Any:
        """As the encoder's own; calls with anything but token ids, a mask and plain settings pass through."""
        import torch

        mask = named.get("attention_mask")
        plain = {name: value for name, value in named.items() if not isinstance(value, torch.Tensor)}
        if (
            others
            or not isinstance(input_ids, torch.Tensor)
            or len(plain) + isinstance(mask, torch.Tensor) < len(named)
        ):
            return self._forward(input_ids, *others, **named)
        masks = [()] * len(input_ids) if mask is None else [tuple(row) for row in mask.tolist()]
        how = (len(input_ids), tuple(sorted(plain.items())))
        keys = [(how, tuple(ids), read) for ids, read in zip(input_ids.tolist(), masks, strict=True)]
        if all(key in self._rows for key in keys):
            self.hits += 1
            for key in keys:
                self._rows.move_to_end(key)
            return _joined([self._rows[key] for key in keys])
        self.misses += 1
        made = self._forward(input_ids, **named)
        for row, key in enumerate(keys):
            self._keep(key, _row(made, row))
        return made

    def _keep(self, key: Hashable, row: Any) -> None:
        self._rows[key] = row
        self._rows.move_to_end(key)
        self._bytes[key] = _size(row)
        while sum(self._bytes.values()) > MOST_BYTES and len(self._rows) > 1:
            gone, _ = self._rows.popitem(last=False)
            del self._bytes[gone]


def remember_texts(pipeline: Any) -> None:
    """Put a cache before each of the pipeline's text encoders."""
    for part in PARTS:
        encoder = getattr(pipeline, part, None)
        if encoder is not None and not isinstance(encoder.forward, TextCache):
            encoder.forward = TextCache(encoder.forward)


def _row(made: Any, row: int) -> Any:
    """One row of an answer of transformers: nested tuples and mappings of tensors whose first axis is the batch.

    A language model's cache of keys and values is for going on with its text, which no pipeline does: it is not kept.
    """
    import torch

    if hasattr(made, "items"):
        return type(made)(**{name: _row(value, row) for name, value in made.items()})
    if isinstance(made, tuple | list):
        return type(made)(_row(value, row) for value in made)
    return made[row : row + 1].clone() if isinstance(made, torch.Tensor) else None


def _joined(rows: list[Any]) -> Any:
    first = rows[0]
    if hasattr(first, "items"):
        return type(first)(**{name: _joined([row[name] for row in rows]) for name in first})
    if isinstance(first, tuple | list):
        return type(first)(_joined(list(each)) for each in zip(*rows, strict=True))
    if first is None:
        return None
    import torch

    return torch.cat(rows)


def _size(row: Any) -> int:
    if hasattr(row, "items"):
        return sum(_size(value) for _, value in row.items())
    if isinstance(row, tuple | list):
        return sum(map(_size, row))
    return 0 if row is None else int(row.numel() * row.element_size())
