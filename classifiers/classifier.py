"""What every classifier trained here shares: the contract, losses, a threshold, `predict`, and a directory it is saved in."""

import json
import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from classifiers.layers.calibration import cut_of_safe
from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.encoders.by_directory import encoder_from_config
from classifiers.layers.known_encoder import beside, stands_alone
from classifiers.layers.losses import label_losses
from schemas.errors import InputError
from schemas.protocols import Coverage, Inputs, Scores, Targets
from schemas.taxonomy import UNSAFEBENCH

if TYPE_CHECKING:  # pictures from outside need PIL, training does not
    from classifiers.prediction import Picture, Prediction

Features = Mapping[str, Tensor]
"""What the encoders make of `n` rows, by name, each [n, …]. While they are frozen it may be kept: it is a function of the row
alone, and its shapes are the same for all rows, so that rows may be stacked, picked and shuffled."""

WIDEST = ("pair", "image", "prompt")


class Classifier(nn.Module):
    """Encoders → features → a logit of unsafe and of each category, for each scope.

    `kind` is the file's name; `reads` and `scopes` are as in `Coverage`. `threshold` in (0, 1) is set by `calibrate`. The encoder
    is frozen until the trainer says otherwise (`encoder.requires_grad_`).
    """

    kind: ClassVar[str]
    reads: ClassVar[frozenset[str]]
    scopes: ClassVar[tuple[str, ...]]
    trained_apart: ClassVar[bool] = False  # whether a run's rows are not what it learns from
    canonical: ClassVar[bool] = False  # whether prompts are brought to a plain spelling before they are read

    def __init__(self, encoder: ClipEncoder, categories: Sequence[str], name: str) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.name, self.categories, self.threshold = name, tuple(categories), 0.5
        self.taxonomy_label = UNSAFEBENCH.label

    @abstractmethod
    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """Everything that the encoders do. Raises InputError for rows without what `reads` names."""

    @abstractmethod
    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """By scope, float32 [n, 1 + categories]: logits of unsafe and of each category. Everything that heads do."""

    @property
    def coverage(self) -> Coverage:
        return Coverage(self.reads, self.scopes, self.categories)

    @property
    def scope(self) -> str:
        """The widest scope: the one that decides."""
        return next(scope for scope in WIDEST if scope in self.scopes)

    @property
    def cut(self) -> float:
        """The threshold as a logit."""
        return math.log(self.threshold) - math.log1p(-self.threshold)

    @cut.setter
    def cut(self, logit: float) -> None:
        self.threshold = 1 / (1 + math.exp(-logit))

    def forward(self, inputs: Inputs, embeddings: Tensor | None = None) -> dict[str, Tensor]:
        """`verdicts` of rows."""
        return self.verdicts(self.features(inputs, embeddings))

    def told(self, features: Features) -> dict[str, Tensor]:
        """By scope, float32 [n, 1 + categories]: the logits that `scores_of` gives out; of stages, of the one that decided."""
        return {scope: out for scope, out in self.verdicts(features).items() if scope in self.scopes}

    def scores_of(self, features: Features) -> Scores:
        """P(unsafe) and P(category) by scope."""
        probabilities = {scope: out.sigmoid() for scope, out in self.told(features).items()}
        return Scores(
            {s: out[:, 0] for s, out in probabilities.items()}, {s: out[:, 1:] for s, out in probabilities.items()}
        )

    def margin_of(self, features: Features) -> Tensor:
        """float32 [n]: above 0 is flagged."""
        return self.verdicts(features)[self.scope][:, 0] - self.cut

    def decided_by(self, features: Features) -> tuple[str, ...]:
        """For each row the stage whose word was last: of one model, that."""
        return (self.kind,) * len(next(iter(features.values())))

    def losses_of(self, features: Features, targets: Targets) -> dict[str, Tensor]:
        """As `losses`, of features that were kept."""
        return label_losses(self.verdicts(features), targets)

    def losses(self, inputs: Inputs, targets: Targets, embeddings: Tensor | None = None) -> dict[str, Tensor]:
        return self.losses_of(self.features(inputs, embeddings), targets)

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """The threshold is inside."""
        margin = self.margin_of(self.features(inputs, embeddings))
        return torch.stack([torch.zeros_like(margin), margin], dim=1)

    @torch.no_grad()
    def score(self, inputs: Inputs) -> Scores:
        return self.scores_of(self.features(inputs))

    def calibrate(self, inputs: Iterable[tuple[Inputs, Targets]], false_positive_rate: float) -> None:
        self.calibrate_of(((self.features(rows), targets) for rows, targets in inputs), false_positive_rate)

    @torch.no_grad()
    def calibrate_of(self, features: Iterable[tuple[Features, Targets]], false_positive_rate: float) -> None:
        """As `calibrate`, of features that were kept. Raises InputError without safe rows."""
        kept = [(self.verdicts(each)[self.scope][:, 0], targets.unsafe[self.scope]) for each, targets in features]
        logits, unsafe = (torch.cat(column) for column in zip(*kept, strict=True)) if kept else (torch.zeros(0),) * 2
        self.cut = cut_of_safe(logits, unsafe, false_positive_rate)

    def predict(self, prompts: "Sequence[str] | None", images: "Sequence[Picture] | None" = None) -> "Prediction":
        """Judge pairs from anywhere: pictures as paths, files' bytes, PIL images or uint8 [height, width, 3]."""
        from classifiers.prediction import predict

        return predict(self, prompts, images)

    def encode(self, prompts: Sequence[str]) -> Tensor:
        return self.encoder.encode([self.plain(prompt) for prompt in prompts])

    def decode(self, ids: Tensor) -> str:
        return self.encoder.decode(ids)

    def embedding_table(self) -> Tensor:
        return self.encoder.embedding_table()

    def editable(self, ids: Tensor) -> Tensor:
        return self.encoder.editable(ids)

    def overruns(self, prompt: str) -> bool:
        return self.encoder.overruns(self.plain(prompt))

    def plain(self, prompt: str) -> str:
        """The prompt as it is read."""
        return self.encoder.lexicon(prompt) if self.canonical else prompt

    def settings(self) -> dict[str, Any]:
        """What `from_settings` needs besides categories and the encoder's own."""
        own = {} if self.taxonomy_label == UNSAFEBENCH.label else {"taxonomy_label": self.taxonomy_label}
        return {"threshold": self.threshold, **own}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], encoder: ClipEncoder, name: str) -> Self:
        """The shape that `settings` says, its weights still to be loaded."""
        model = cls(encoder, settings["categories"], name)
        model.threshold = settings["threshold"]
        return model

    def pictures(self, inputs: Inputs) -> Tensor:
        """float32 [n, 3, h, w]. Raises InputError for rows without."""
        if inputs.pixels is None:
            raise InputError(f"{self.name} judges pictures, and these rows have none")
        return inputs.pixels

    def save(self, folder: Path) -> None:
        """model.safetensors (CLIP and heads, float32), the tokenizer, and config.json last."""
        self.encoder.encode(
            [""]
        )  # the tokenizer's file tells how it was last called: the same, whether it ever was or not
        self.encoder.tokenizer.save_pretrained(_made(folder))
        self._write(folder, self.state_dict(), self.encoder.settings())

    def save_heads(self, folder: Path, clip: str) -> None:
        """As `save`, without the encoder: it still is the CLIP called `clip` (as `local_directory` finds it), whose digest is
        written instead. Raises ValueError where the encoder was tuned.
        """
        heads = {name: value for name, value in self.state_dict().items() if not name.startswith("encoder.")}
        self._write(_made(folder), heads, {"around": {"clip": clip, "digest": stands_alone(self.encoder, clip)}})

    def _write(self, folder: Path, weights: Mapping[str, Tensor], more: Mapping[str, Any]) -> None:
        from safetensors.torch import save_file

        there = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
        save_file(there, folder / "model.safetensors")
        about = {"kind": self.kind, "categories": self.categories, **self.settings(), **more}
        (folder / "config.json").write_text(json.dumps(about, indent=1, default=str))

    @classmethod
    def encoder_from(cls, config: Mapping[str, Any], folder: Path) -> ClipEncoder:
        """The encoder of a saved classifier, its weights still to be loaded."""
        return encoder_from_config(config, folder)

    @classmethod
    def restore(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """What `save` wrote, in eval mode."""
        from safetensors.torch import load_file

        around = config.get("around")
        encoder = cls.encoder_from(config, folder) if around is None else beside(folder, around)
        model = cls.from_settings(config, encoder, folder.name)
        model.taxonomy_label = config.get("taxonomy_label", model.taxonomy_label)
        weights = load_file(folder / "model.safetensors")
        if around is not None:
            weights |= {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
        model.load_state_dict(weights)
        return model.eval()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
