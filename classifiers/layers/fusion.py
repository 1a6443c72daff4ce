"""The network in which words and patches meet: towers, layers of cross-attention both ways, and heads.

Every word attends to every patch and every patch to every word, as in co-attentional transformers (Lu et al. 2019, ViLBERT, section
2.1; Tan and Bansal 2019, LXMERT, section 2). With one token on the other side attention would be 1 whatever is asked, and one of
the modalities without effect.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, cat, nn, zeros


@dataclass(frozen=True)
class Shape:
    """Of the network: `width` of a token, `heads` of an attention, `layers` of cross-attention, `dropout` while training."""

    width: int
    heads: int = 4
    layers: int = 2
    dropout: float = 0.1


class Read(NamedTuple):
    """One modality: `tokens` float32 [n, length, width], `hidden` bool [n, length] (padding), and `pooled` float32 [n, width]."""

    tokens: Tensor
    hidden: Tensor
    pooled: Tensor


class Layer(nn.Module):
    """Attention and a feed-forward step, each normed before and added to what was there (pre-norm)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.norm, self.norm_other, self.norm_step = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, shape.heads, batch_first=True)
        self.step = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(shape.dropout)

    def forward(
        self, tokens: Tensor, others: Tensor, hidden: Tensor, maps: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """`tokens` [n, a, width] ask, `others` [n, b, width] answer but where `hidden` [n, b]; weights [n, a, b] if `maps`."""
        seen = self.norm_other(others)
        met, weights = self.attention(self.norm(tokens), seen, seen, key_padding_mask=hidden, need_weights=maps)
        tokens = tokens + self.dropout(met)
        return tokens + self.dropout(self.step(self.norm_step(tokens))), weights


class AttentionPool(nn.Module):
    """One learnt question to all tokens (Lee et al. 2019, Set Transformer, section 3.2): [n, length, width] → [n, width]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.question = nn.Parameter(zeros(1, 1, shape.width))
        self.norm = nn.LayerNorm(shape.width)
        self.attention = nn.MultiheadAttention(shape.width, shape.heads, batch_first=True)

    def forward(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        seen = self.norm(tokens)
        pooled: Tensor = self.attention(
            self.question.expand(tokens.shape[0], -1, -1), seen, seen, key_padding_mask=hidden, need_weights=False
        )[0]
        return pooled[:, 0]


class Tower(nn.Module):
    """What an encoder says of one modality, brought to the network's width, related within, and pooled."""

    def __init__(self, width: int, shape: Shape) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, shape.width))
        self.within, self.pool = Layer(shape), AttentionPool(shape)

    def forward(self, tokens: Tensor, hidden: Tensor) -> Read:
        entered = self.enter(tokens)
        related, _ = self.within(entered, entered, hidden)
        return Read(related, hidden, self.pool(related, hidden))


class Fusion(nn.Module):
    """Layers of cross-attention both ways, then one vector: words and patches before and after they met, and their product.

    The product of two projections (Kim et al. 2017, "Hadamard Product for Low-rank Bilinear Pooling", section 3) makes "this
    object with that purpose" one step for the head.
    """

    parts = 5  # of the vector, each as wide as the network

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.to_words = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.to_patches = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.pool_words, self.pool_patches = AttentionPool(shape), AttentionPool(shape)
        self.asked, self.shown = nn.Linear(2 * shape.width, shape.width), nn.Linear(2 * shape.width, shape.width)

    def forward(self, words: Read, patches: Read) -> Tensor:
        """float32 [n, parts x width]."""
        queries, shown = words.tokens, patches.tokens
        for to_words, to_patches in zip(self.to_words, self.to_patches, strict=True):
            (queries, _), (shown, _) = (
                to_words(queries, shown, patches.hidden),
                to_patches(shown, queries, words.hidden),
            )
        about_words = cat([words.pooled, self.pool_words(queries, words.hidden)], dim=1)
        about_patches = cat([patches.pooled, self.pool_patches(shown, patches.hidden)], dim=1)
        return cat([about_words, about_patches, self.asked(about_words) * self.shown(about_patches)], dim=1)

    def maps(self, words: Read, patches: Read) -> Tensor:
        """float32 [n, layers, words, patches]: how much each word looks at each patch, over the heads' mean; sums to 1."""
        maps = []
        queries, shown = words.tokens, patches.tokens
        for to_words, to_patches in zip(self.to_words, self.to_patches, strict=True):
            (queries, weights), (shown, _) = (
                to_words(queries, shown, patches.hidden, maps=True),
                to_patches(shown, queries, words.hidden),
            )
            maps.append(weights[:, None])
        return cat(maps, dim=1)


def head(width: int, outputs: int) -> nn.Sequential:
    """LayerNorm and one hidden layer."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, outputs))
