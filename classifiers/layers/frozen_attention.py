"""A denoiser's own attention to words, copied and frozen: how its places ask, and what its words answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from schemas.capture import BLOCKS, block_name
from schemas.errors import InputError

EMBEDDED = Path(__file__).parents[2] / "assets" / "world" / "t2i" / "unet"


@dataclass(frozen=True, slots=True)
class Form:
    """One attention: its `path`, the `channels` of a place, the width of a word and of its own inside, and if it has biases."""

    path: str
    channels: int
    words: int
    inner: int
    heads: int
    bias: bool

    @property
    def name(self) -> str:
        """Of the capture that its places are in."""
        return block_name(self.path)


class FrozenAttention(nn.Module):
    """The projections W_Q, W_K, W_V of one attention. They have no gradient and stay as the denoiser has them."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self.to_q = nn.Linear(form.channels, form.inner, bias=form.bias)
        self.to_k = nn.Linear(form.words, form.inner, bias=form.bias)
        self.to_v = nn.Linear(form.words, form.inner, bias=form.bias)
        self.requires_grad_(False)

    def forward(self, places: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [n, places, inner] of [n, channels, h, w] and [n, tokens, width].

        A place's key is what it asks for; its value that and what the words answer it. Words have no say of their own.
        """
        query = self.to_q(places.flatten(2).transpose(1, 2))
        keys, values = self.to_k(words), self.to_v(words)
        heads = self.form.heads
        answered = merged(scaled_dot_product_attention(split(query, heads), split(keys, heads), split(values, heads)))
        return query, query + answered


def split(rows: Tensor, heads: int) -> Tensor:
    """[n, m, width] → [n, heads, m, width / heads]."""
    return rows.reshape(*rows.shape[:2], heads, -1).transpose(1, 2)


def merged(rows: Tensor) -> Tensor:
    """Inverse of `split`."""
    return rows.transpose(1, 2).flatten(2)


def attentions_of(denoiser: Any, blocks: Sequence[str] = BLOCKS) -> list[FrozenAttention]:
    """Copies of the attentions at `blocks` of a U-Net or transformer. Raises InputError where there is none such."""
    return [_copy(denoiser, path) for path in blocks]


def _copy(denoiser: Any, path: str) -> FrozenAttention:
    module: Any = dict(denoiser.named_modules()).get(path)
    if module is None or getattr(module, "to_k", None) is None:
        raise InputError(f"{type(denoiser).__name__} has no attention to words at {path}")
    q, k = module.to_q.weight, module.to_k.weight
    copy = FrozenAttention(Form(path, q.shape[1], k.shape[1], q.shape[0], module.heads, module.to_q.bias is not None))
    named = {name: getattr(module, name).state_dict() for name in ("to_q", "to_k", "to_v")}
    for name, state in named.items():
        getattr(copy, name).load_state_dict({key: value.float() for key, value in state.items()})
    return copy


def embedded() -> list[FrozenAttention]:
    """Those of the embedded world's U-Net."""
    from diffusers import UNet2DConditionModel

    return attentions_of(UNet2DConditionModel.from_pretrained(EMBEDDED, local_files_only=True, use_safetensors=True))


def from_forms(forms: Sequence[Mapping[str, Any]]) -> list[FrozenAttention]:
    """Of these forms, their weights still to be loaded."""
    return [FrozenAttention(Form(**form)) for form in forms]
