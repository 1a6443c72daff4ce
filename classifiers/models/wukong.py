"""Categories that ask an early drawing: a transformer decoder over the denoiser's own attention to words.

After Wukong (Liu, Zhang and Long, KDD 2026, arXiv 2508.00591): queries for categories, the U-Net as encoder, its cross-attention
reused. Which blocks, which step, how deep and how trained is not published; what stands here for that is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from classifiers.classifier import Features
from classifiers.families.in_diffusion import LATENT, CaptureConvolutions, InDiffusion, check_grid
from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.frozen_attention import FrozenAttention, embedded, from_forms, merged, split
from schemas.capture import BLOCKS, WORDS, block_name
from schemas.errors import InputError

WIDTH = 128  # of the decoder
HEADS = 4
DROPOUT = 0.2
GRIDS = ("latent", "noise")  # what the early drawing is, and what the denoiser makes of it
WORDLESS = 0.5  # of the rows are trained on without their words: else what places see is hardly read


class Asking(nn.Module):
    """Every category's query to one block: [n, queries, WIDTH] from the block's frozen keys and values."""

    def __init__(self, frozen: FrozenAttention, queries: int) -> None:
        super().__init__()
        inner = frozen.form.inner
        self.frozen = frozen
        self.queries = nn.Parameter(torch.randn(queries, inner) * inner**-0.5)
        # Places and words come out of the frozen projections in scales of their own; trained queries need one.
        self.key_norm, self.value_norm = nn.LayerNorm(inner), nn.LayerNorm(inner)
        self.out = nn.Linear(inner, WIDTH)

    def forward(self, places: Tensor, words: Tensor) -> Tensor:
        """Of places [n, channels, h, w] and words [n, tokens, width]."""
        keys, values = self.frozen(places, words)
        heads = self.frozen.form.heads
        queries = split(self.queries.expand(len(keys), -1, -1), heads)
        attended = scaled_dot_product_attention(
            queries, split(self.key_norm(keys), heads), split(self.value_norm(values), heads)
        )
        read: Tensor = self.out(merged(attended))
        return read


class Summary(nn.Module):
    """Mean, largest and smallest of a channel over the places of a block, straight to a logit for each query.

    Queries learn where to look from some thousands of pictures; this learns what there is from some hundreds.
    """

    def __init__(self, channels: int, queries: int) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.LayerNorm(3 * channels), nn.Dropout(DROPOUT), nn.Linear(3 * channels, queries))

    def forward(self, rows: Tensor) -> Tensor:
        """[n, channels, places] → [n, queries]."""
        logits: Tensor = self.read(torch.cat([rows.mean(dim=2), rows.amax(dim=2), rows.amin(dim=2)], dim=1))
        return logits


class Wukong(InDiffusion):
    """What early blocks see and words answer them, and the early drawing → a logit for unsafe and for each category.

    Words count only as far as places ask for them: read by themselves they decide, and who rewrites them is let through
    (docs/results/in_diffusion.md).

    `attentions` are those of the denoiser that draws (`frozen_attention.attentions_of`), by default the embedded one's.
    """

    kind: ClassVar[str] = "wukong"
    reads: ClassVar[frozenset[str]] = frozenset({WORDS, *GRIDS, *map(block_name, BLOCKS)})

    def __init__(
        self,
        encoder: ClipEncoder,
        categories: Sequence[str],
        name: str,
        attentions: Sequence[FrozenAttention] | None = None,
        channels: int = LATENT,
    ) -> None:
        super().__init__(encoder, categories, name)
        queries = 1 + len(categories)
        layers = embedded() if attentions is None else attentions
        self.forms = [frozen.form for frozen in layers]
        # Of another denoiser other blocks are read, so it is the instance that knows.
        self.reads = frozenset({WORDS, *GRIDS, *(form.name for form in self.forms)})  # type: ignore[misc]
        self.blocks = nn.ModuleDict({frozen.form.name: Asking(frozen, queries) for frozen in layers})
        self.summaries = nn.ModuleDict({form.name: Summary(form.channels, queries) for form in self.forms})
        self.channels = channels
        self.layout = CaptureConvolutions(
            dict.fromkeys(GRIDS, channels), {form.name: form.channels for form in self.forms}
        )
        self.drawn = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(self.layout.width, queries))
        self.together = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, DROPOUT, "gelu", batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(WIDTH)
        self.weight, self.bias = (
            nn.Parameter(torch.randn(queries, WIDTH) * WIDTH**-0.5),
            nn.Parameter(torch.zeros(queries)),
        )

    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """One scope. Raises InputError for captures of another denoiser."""
        for form in self.forms:
            seen = (features[form.name].shape[1], features[WORDS].shape[2])
            if seen != (form.channels, form.words):
                raise InputError(
                    f"{self.name} was made for {form.channels} channels at {form.path} and words {form.words} wide, "
                    f"not for {seen[0]} and {seen[1]}: these rows were drawn by another model"
                )
        for grid in GRIDS:
            check_grid(self.name, features[grid], grid, self.channels)
        words = features[WORDS]
        if self.training:
            words = words * (torch.rand(len(words), 1, 1, device=words.device) >= WORDLESS)
        read = torch.stack([ask(features[name], words) for name, ask in self.blocks.items()]).sum(dim=0)
        judged = self.norm(self.together(read))
        summed = torch.stack([summary(features[name].flatten(2)) for name, summary in self.summaries.items()]).sum(
            dim=0
        )
        return {"image": (judged * self.weight).sum(dim=2) + self.bias + summed + self.drawn(self.layout(features))}

    def settings(self) -> dict[str, Any]:
        """With the forms of the attentions and the channels of the latent."""
        return {**super().settings(), "attentions": [asdict(form) for form in self.forms], "channels": self.channels}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], encoder: ClipEncoder, name: str) -> Self:
        """As in `Classifier`."""
        model = cls(encoder, settings["categories"], name, from_forms(settings["attentions"]), settings["channels"])
        model.threshold, model.share = settings["threshold"], settings["share"]
        return model
