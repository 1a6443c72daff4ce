"""Two guards and no more: a robust reader of pictures, and a monotone judge of words and of words beside what is seen."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from classifiers.classifier import Classifier, Features
from classifiers.layers.calibration import lowest_cut
from classifiers.layers.concept_reader import ConceptNet, ReaderConfig
from classifiers.layers.monotone_text import HIDDEN, MonotoneText
from classifiers.layers.word_table import WordTable
from classifiers.models.concept_reader import packed
from schemas.protocols import Inputs, Targets

UNNAMED = -30.0  # P = 1e-13
STAGES = ("words", "picture", "both")
SHARES = (0.15, 0.7, 0.15)  # of the false positives allowed, what each stage may spend


class Guards(Classifier):
    """A cascade whose every stage holds by itself, so none needs another: flagged where one of three logits is above its cut.

    `words`: evidence in the prompt alone; `picture`: the reader's unsafe logit; `both`: words beside concepts that are seen. There
    is no fusion, whose attention any exchanged word can turn. All of it is smoothed maxima of evidence: an attacker has to
    silence every term, other words take nothing away (`MonotoneText.certificate`), and the margin has true gradients.
    """

    said: Tensor  # bool [vocabulary]: tokens that training said; what it never said is evidence of nothing
    kind: ClassVar[str] = "guards"
    reads: ClassVar[frozenset[str]] = frozenset({"prompt", "image"})
    scopes: ClassVar[tuple[str, ...]] = ("prompt", "image", "pair")
    trained_apart: ClassVar[bool] = True
    canonical: ClassVar[bool] = True

    def __init__(self, table: WordTable, network: ConceptNet, categories: Sequence[str], name: str) -> None:
        super().__init__(table, categories, name)
        self.words = table
        # A third faster on a CPU; torch's own types know no memory format of a module.
        self.reader = network.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.evidence = MonotoneText(table.embedding_table().shape[1], len(network.config.concepts))
        self.named = nn.Linear(HIDDEN, len(self.categories))
        self.register_buffer("said", torch.ones(len(table.embedding_table()), dtype=torch.bool))
        self.cuts = (0.0, 0.0, 0.0)

    def train(self, mode: bool = True) -> Self:
        """The reader stays in eval mode: its norms keep the statistics of its own training."""
        super().train(mode)
        self.reader.eval()
        return self

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """`tokens` [n, length, width], `spoken` bool [n, length], `concepts` [n, concepts]. Raises InputError without pictures."""
        ids = self.encode(inputs.prompts)
        spoken = self.spoken(ids)
        tokens = self.embedding_table()[ids] if embeddings is None else embeddings
        return {"tokens": tokens, "spoken": spoken, "concepts": self._seen(self.pictures(inputs).to(tokens.device))}

    def spoken(self, ids: Tensor) -> Tensor:
        """bool like `ids`: words that count."""
        return self.words.read(ids) & self.words.editable(ids) & self.said[ids]

    def _seen(self, pixels: Tensor) -> Tensor:
        """Logits of concepts [n, concepts]; one picture under many prompts is read once, whoever searches words has it so."""
        if len(pixels) > 1 and not pixels.requires_grad and bool((pixels == pixels[:1]).all()):
            pixels, count = pixels[:1], len(pixels)
            one: Tensor = self.reader(pixels)
            return one.expand(count, -1)
        scores: Tensor = self.reader(pixels)
        return scores

    def stages(self, features: Features) -> Tensor:
        """float32 [n, 3]: logits of words, picture and both."""
        concepts = features["concepts"].float()
        tokens, spoken = _cut(features)
        words, both = self.evidence.apart(tokens, spoken, concepts)
        return torch.stack([words, self.reader.unsafe(concepts), both], dim=1)

    def margins(self, features: Features) -> Tensor:
        """float32 [n, 3]: above 0 flags."""
        stages = self.stages(features)
        return stages - torch.tensor(self.cuts, device=stages.device)

    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """All three scopes; 0 is the cut of each."""
        margins = self.margins(features)
        tokens, spoken = _cut(features)
        told = self.named(self.evidence.words(tokens)).masked_fill(~spoken[..., None], UNNAMED).amax(dim=1)
        shown = self.reader.by_category(features["concepts"].float(), self.categories)
        return {
            "prompt": torch.cat([margins[:, :1], told], dim=1),
            "image": torch.cat([margins[:, 1:2], shown], dim=1),
            "pair": torch.cat([margins.amax(dim=1, keepdim=True), torch.maximum(told, shown)], dim=1),
        }

    def stage_margins(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, 3], as `margins`. Where none is above 0, the row is let through."""
        return self.margins(self.features(inputs, embeddings))

    @torch.no_grad()
    def settled(self, prompts: Sequence[str]) -> Tensor:
        """bool [n]: flagged by the words alone, whatever the picture is."""
        ids = self.encode(prompts)
        tokens, spoken = _cut({"tokens": self.embedding_table()[ids], "spoken": self.spoken(ids)})
        return self.evidence.apart(tokens, spoken)[0] > self.cuts[0]

    @torch.no_grad()
    def settled_by_picture(self, pixels: Tensor) -> Tensor:
        """bool [n]: flagged by the picture alone, whatever the words are."""
        concepts: Tensor = self.reader(pixels.to(self.reader.head.weight.device))
        unsafe: Tensor = self.reader.unsafe(concepts.float())
        return unsafe > self.cuts[1]

    def decided_by(self, features: Features) -> tuple[str, ...]:
        """Those that flag, with + between; where none does, the nearest to it."""
        margins = self.margins(features)
        nearest = margins.argmax(dim=1).tolist()
        told = [
            "+".join(n for n, flag in zip(STAGES, row, strict=True) if flag) for row in (margins > 0).tolist()
        ]  # fmt: skip
        return tuple(names or STAGES[place] for names, place in zip(told, nearest, strict=True))

    @torch.no_grad()
    def calibrate_of(self, features: Iterable[tuple[Features, Targets]], false_positive_rate: float) -> None:
        """Every stage by its share of the rate, on rows that are safe; rows that were attacked may be among them."""
        kept = [(self.stages(each), targets.unsafe["pair"]) for each, targets in features]
        told, unsafe = (torch.cat(column) for column in zip(*kept, strict=True)) if kept else (torch.zeros(0, 3),) * 2
        words, picture, both = (
            lowest_cut(told[:, place], unsafe, share * false_positive_rate) for place, share in enumerate(SHARES)
        )
        self.cuts = (words, picture, both)

    def settings(self) -> dict[str, Any]:
        """With the cuts and the reader's shape."""
        return {**super().settings(), "cuts": list(self.cuts), "network": self.reader.config.to_json()}

    def save(self, folder: Path) -> None:
        """As `Classifier.save`, but weights that are whole in half precision are stored so."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: packed(value.detach().cpu()) for name, value in self.state_dict().items()}
        save_file(
            {name: value for name, value in weights.items() if not name.startswith("words.")},
            folder / "model.safetensors",
        )
        self.words.tokenizer.save_pretrained(folder)
        about = {"kind": self.kind, "categories": self.categories, **self.settings(), **self.words.settings()}
        (folder / "config.json").write_text(json.dumps(about, indent=1))

    @classmethod
    def restore(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """What `save` wrote, in eval mode."""
        from safetensors.torch import load_file

        network = ConceptNet(ReaderConfig.from_json(config["network"]))
        model = cls(WordTable.from_config(dict(config), folder), network, config["categories"], folder.name)
        model.threshold = config["threshold"]
        words, picture, both = config["cuts"]
        model.cuts = (words, picture, both)
        weights = load_file(folder / "model.safetensors")
        model.load_state_dict({**weights, "words.table": weights["encoder.table"]})
        return model.eval()


def _cut(features: Features) -> tuple[Tensor, Tensor]:
    """Tokens and which are words, cut after the last word of the batch."""
    spoken = features["spoken"]
    longest = int(spoken.any(dim=0).nonzero().max()) + 1 if bool(spoken.any()) else 1
    return features["tokens"][:, :longest].float(), spoken[:, :longest]
