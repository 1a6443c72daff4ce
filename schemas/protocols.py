"""What attacks, captures and classifiers say to one another. Any stage may import this; it imports only schemas.

Tensors are torch's; `n` counts rows. Pictures are float32 [n, 3, height, width] in [0, 1]; a model resizes and normalises inside.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from schemas.attack import AttackRecord

if TYPE_CHECKING:  # a generator that only names a capture need not wait for torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Inputs:
    """`n` rows to be judged. What a model does not read may be missing; `captures` are float [n, …] by the capture's name."""

    prompts: tuple[str, ...]
    pixels: "Tensor | None" = None
    captures: "Mapping[str, Tensor]" = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompts)

    def rows(self, index: Sequence[int]) -> Self:
        """Some of the rows, in the order of `index`; a row may come twice."""
        chosen = list(index)
        return replace(
            self,
            prompts=tuple(self.prompts[row] for row in chosen),
            pixels=None if self.pixels is None else self.pixels[chosen],
            captures={name: value[chosen] for name, value in self.captures.items()},
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a model reads (`prompt`, `image`, names of captures), whose labels it predicts, and the categories it claims."""

    reads: frozenset[str]
    scopes: tuple[str, ...]  # of prompt, image, pair
    categories: tuple[str, ...]  # taxonomy ids, in the order of the columns of `Scores.categories`

    @property
    def captures(self) -> frozenset[str]:
        """What it reads during denoising."""
        return self.reads - {"prompt", "image"}


@dataclass(frozen=True, eq=False)
class Scores:
    """Per scope of the coverage: P(unsafe), float32 [n], and P(category), float32 [n, categories]; each in [0, 1]."""

    unsafe: "Mapping[str, Tensor]"
    categories: "Mapping[str, Tensor]"


@dataclass(frozen=True, eq=False)
class Targets:
    """The truth of `n` rows, by scope: `unsafe` float32 [n] (1 unsafe, 0 safe, NaN where nobody knows), `categories` float32
    [n, categories] (all zero where unknown), in the order of the model's coverage; `weights` float32 [n].
    """

    unsafe: "Mapping[str, Tensor]"
    categories: "Mapping[str, Tensor]"
    weights: "Tensor"

    def __len__(self) -> int:
        return len(self.weights)


@runtime_checkable
class Scorer(Protocol):
    """A safety classifier: rows in, scores out.

    It flags a row when P(unsafe) of the widest scope that it predicts (pair, else image, else prompt) is above `threshold`.
    """

    @property
    def name(self) -> str:
        """The directory's name under models/."""

    @property
    def coverage(self) -> Coverage:
        """What it reads and claims."""

    @property
    def threshold(self) -> float:
        """The deployed threshold, chosen on validation rows."""

    def score(self, inputs: Inputs) -> Scores:
        """Judge rows. Batch-invariant: a row scores the same alone as in any batch."""


@runtime_checkable
class Differentiable(Scorer, Protocol):
    """A scorer whose decision has gradients. Nothing with a network address is one (DESIGN section 6)."""

    def logits(self, inputs: Inputs, embeddings: "Tensor | None" = None) -> "Tensor":
        """float32 [n, 2] (let through, flag) of the deployed decision: flagged is logits[:, 1] > logits[:, 0].

        Gradients reach `inputs.pixels`, and `embeddings` (float32 [n, length, width]), which stand for those of `encode(prompts)`
        where given. Never saturated: a margin, not a log-probability.
        """

    def encode(self, prompts: Sequence[str]) -> "Tensor":
        """Token ids, int64 [n, length], padded to one length and cut as the model cuts them."""

    def decode(self, ids: "Tensor") -> str:
        """The text of one row of ids, without padding and marks."""

    def embedding_table(self) -> "Tensor":
        """float32 [vocabulary, width]; row i is what `embeddings` holds for token i. Without gradient."""

    def editable(self, ids: "Tensor") -> "Tensor":
        """bool like `ids`: the places that hold words, not padding or marks."""

    def overruns(self, prompt: str) -> bool:
        """Whether `encode` cuts something of it off."""


@runtime_checkable
class Staged(Differentiable, Protocol):
    """A defence of several deployed stages, for attacks on all of them at once."""

    def stage_margins(self, inputs: Inputs, embeddings: "Tensor | None" = None) -> "Tensor":
        """float32 [n, stages]: where none is above 0, the row is let through. Gradients as in `logits`."""


@runtime_checkable
class SettledByWords(Protocol):
    """A defence of which some prompts are flagged whatever their picture is, by a stage that reads no picture."""

    def settled(self, prompts: Sequence[str]) -> "Tensor":
        """bool [n]. True is a proof, not a guess: an attack on the picture alone may leave the row alone."""


@runtime_checkable
class SettledByPicture(Protocol):
    """A defence of which some pictures are flagged whatever their prompt is, by a stage that reads no words."""

    def settled_by_picture(self, pixels: "Tensor") -> "Tensor":
        """bool [n] of pictures [n, 3, h, w]. True is a proof, as in `SettledByWords`."""


@runtime_checkable
class Trainable(Differentiable, Protocol):
    """What the trainer asks of a classifier; it is a `torch.nn.Module` besides."""

    def losses(self, inputs: Inputs, targets: Targets, embeddings: "Tensor | None" = None) -> "Mapping[str, Tensor]":
        """Scalars by name for one batch; `loss` is the one to minimise. Rows whose label is NaN teach nothing in that scope."""

    def calibrate(self, inputs: "Iterable[tuple[Inputs, Targets]]", false_positive_rate: float) -> None:
        """Choose the threshold (of a cascade: all) on validation rows, so that at most this share of the safe is flagged."""

    def save(self, folder: Path) -> None:
        """model.safetensors, the tokenizer where there is one, and config.json last; `Saved(folder).load()` gives the same back."""


class Target(Protocol):
    """A classifier by reference: a frozen, picklable value that a stage carries into the worker and loads there."""

    def load(self) -> Differentiable:
        """The model, in eval mode, on the accelerator if there is one."""

    def digest(self) -> str:
        """blake2b of its weights and settings."""


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an attack made of rows: one variant and one threat model a row."""

    inputs: Inputs
    records: tuple[AttackRecord, ...]


@runtime_checkable
class Attack(Protocol):
    """An attack on rows, for the trainer and the evaluator; as a stage of a plan it is the same object with a `Target`."""

    @property
    def name(self) -> str:
        """The file in stages/attack."""

    def attack(self, target: Differentiable, inputs: Inputs, labels: "Tensor", keys: Sequence[str]) -> Attacked:
        """Make `target` decide against `labels` (int64 [n]: 1 is unsafe). Randomness comes from `keys` alone.

        The target's mode, gradients and buffers are as before when this returns. Rows that are misjudged already stay as
        they are.
        """


class Capture(Protocol):
    """Takes something from a generator while it draws (say, features of an early step)."""

    @property
    def name(self) -> str:
        """The member's suffix in the tar, and the key in `Inputs.captures`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row, fp16."""

    def attach(self, pipeline: Any) -> None:
        """Hook into a loaded diffusers pipeline."""

    def take(self) -> "Tensor":
        """What the last call of the pipeline left, fp16 [rows, *shape], rows as drawn; empties the capture."""
