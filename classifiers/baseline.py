"""What the three baselines share: a frozen CLIP, a small head, the contract, and a directory they are saved in."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from classifiers.contract import Coverage, Inputs, Scores
from classifiers.encoder import Encoder
from schemas.errors import InputError

HIDDEN = 256  # units of the head


class Baseline(nn.Module):
    """Features of a frozen CLIP → LayerNorm → one hidden layer → the margin and a logit for each category.

    `kind` is the file's name; `reads` and `scope` are as in `Coverage`. `threshold` in (0, 1) is set by the trainer.
    """

    kind: ClassVar[str]
    reads: ClassVar[frozenset[str]]
    scope: ClassVar[str]
    parts: ClassVar[int] = 1  # CLIP vectors that the head sees

    def __init__(self, encoder: Encoder, categories: Sequence[str], name: str, threshold: float = 0.5) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        width = self.parts * encoder.width
        # Unit vectors of a CLIP lie close together; without the norm the head would have to learn their scale first.
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1 + len(categories))
        )
        self.name, self.categories, self.threshold = name, tuple(categories), threshold

    @abstractmethod
    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, parts x width]."""

    @property
    def coverage(self) -> Coverage:
        """One scope."""
        return Coverage(self.reads, (self.scope,), self.categories)

    def forward(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, 1 + categories]: logits of unsafe and of each category."""
        out: Tensor = self.head(self.features(inputs, embeddings))
        return out

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """As in the contract: the threshold is inside."""
        cut = torch.logit(torch.tensor(self.threshold, dtype=torch.float64)).item()
        margin = self(inputs, embeddings)[:, 0] - cut
        return torch.stack([torch.zeros_like(margin), margin], dim=1)

    @torch.no_grad()
    def score(self, inputs: Inputs) -> Scores:
        """As in the contract."""
        out = self(inputs).sigmoid()
        return Scores({self.scope: out[:, 0]}, {self.scope: out[:, 1:]})

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """As in the contract."""
        return self.encoder.encode(prompts)

    def decode(self, ids: Tensor) -> str:
        """As in the contract."""
        return self.encoder.decode(ids)

    def embedding_table(self) -> Tensor:
        """As in the contract."""
        return self.encoder.embedding_table()

    def editable(self, ids: Tensor) -> Tensor:
        """As in the contract."""
        return self.encoder.editable(ids)

    def overruns(self, prompt: str) -> bool:
        """As in the contract."""
        return self.encoder.overruns(prompt)

    def save(self, folder: Path) -> None:
        """model.safetensors (CLIP and head, float32), the tokenizer, and config.json last."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()},
            folder / "model.safetensors",
        )
        self.encoder.tokenizer.save_pretrained(folder)
        about = {"kind": self.kind, "categories": self.categories, "threshold": self.threshold}
        (folder / "config.json").write_text(json.dumps({**about, **self.encoder.settings()}, indent=1, default=str))

    @classmethod
    def restore(cls, folder: Path, config: dict[str, Any]) -> "Baseline":
        """What `save` wrote, in eval mode."""
        from safetensors.torch import load_file

        model = cls(Encoder.from_config(config, folder), config["categories"], folder.name, config["threshold"])
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return model.eval()


@dataclass(frozen=True)
class Saved:
    """The contract's `Target`: a classifier's directory, by its absolute path."""

    folder: str

    def load(self) -> Baseline:
        """Onto the accelerator if there is one. Raises InputError where there is no classifier."""
        config = self._config()
        try:
            kinds = vars(import_module(f"classifiers.{config['kind']}")).values()
        except ModuleNotFoundError as error:
            raise InputError(f"{self.folder}: there is no classifiers/{config['kind']}.py here") from error
        found = next(k for k in kinds if isinstance(k, type) and issubclass(k, Baseline) and k is not Baseline)
        model = found.restore(Path(self.folder), config)
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return model.to(accelerator or "cpu")

    def digest(self) -> str:
        """blake2b over its files' names and bytes."""
        self._config()
        hasher = blake2b(digest_size=16)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            path = Path(self.folder) / name
            if path.is_file():
                hasher.update(name.encode() + b"\0" + path.read_bytes())
        return hasher.hexdigest()

    def _config(self) -> dict[str, Any]:
        path = Path(self.folder) / "config.json"
        try:
            config: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.folder}: no classifier ({error}); train one with jobs/train.py RUN --classifier NAME"
            ) from error
        if not str(config.get("kind", "")).isidentifier():
            raise InputError(f"{path} names no kind of classifier; train one with jobs/train.py RUN --classifier NAME")
        return config
