"""The cascade and two guards, either of which may flag by itself: a robust reader of pictures, a monotone one of words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from classifiers.classifier import Features
from classifiers.layers.calibration import FARTHEST, lowest_cut
from classifiers.layers.concept_reader import ConceptNet, ReaderConfig
from classifiers.layers.encoder import ClipEncoder, columns
from classifiers.layers.fusion import Shape
from classifiers.layers.losses import label_losses
from classifiers.layers.monotone_text import MonotoneText
from classifiers.models.cascade import Cascade
from classifiers.models.concept_reader import shipped
from schemas.protocols import Inputs, Targets

GUARDS = ("reader", "evidence")
SHARES = (0.4, 0.1)  # of the false positives allowed, what each guard may spend; the cascade has the rest
SILENT_CUT = 1e4  # no logit is so high
LEAST_SHARE = 1e-6  # of what is left to the cascade, where the guards have spent all
EVIDENCE = 2.0  # weight of the loss of words beside those of the cascade


class GuardedCascade(Cascade):
    """`cascade` OR reader OR evidence: the margin is the greatest of theirs, so whoever attacks has to silence all three.

    `reader` is a `ConceptNet` that was trained apart and stays as it is; `evidence` a `MonotoneText` over single tokens and what
    the reader sees. Of the latter: a prompt whose telling words stay is flagged whatever the other words are
    (`MonotoneText.certificate`), so words under a picture that is read right cannot be talked away either.
    """

    kind: ClassVar[str] = "guarded_cascade"

    def __init__(
        self,
        encoder: ClipEncoder,
        categories: Sequence[str],
        name: str,
        shape: Shape | None = None,
        network: ConceptNet | None = None,
    ) -> None:
        """Without a `network` the shipped one is taken, with its cut as the least: it was set on attacked pictures too."""
        super().__init__(encoder, categories, name, shape)
        self.least_cut = -FARTHEST
        if network is None:
            reader = shipped()
            network, self.least_cut = reader.network, reader.cut
        self.reader = network.requires_grad_(False).eval()
        self.evidence = MonotoneText(encoder.embedding_table().shape[1], len(network.config.concepts))
        self.cuts = (SILENT_CUT, SILENT_CUT)  # before `calibrate` neither flags

    def train(self, mode: bool = True) -> Self:
        """The reader stays in eval mode: its norms keep the statistics of its own training."""
        super().train(mode)
        self.reader.eval()
        return self

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """With `tokens` [n, length, width], `spoken` bool [n, length] and `concepts` [n, concepts]."""
        ids = self.encode(inputs.prompts)
        tokens = self.embedding_table()[ids] if embeddings is None else embeddings
        spoken = self.encoder.read(ids) & self.editable(ids)
        concepts = self.reader(self.pictures(inputs))
        return {**super().features(inputs, embeddings), "tokens": tokens, "spoken": spoken, "concepts": concepts}

    def guards(self, features: Features) -> Tensor:
        """float32 [n, 2]: the logits of reader and evidence."""
        concepts = features["concepts"].float()
        longest = columns(features["spoken"])
        tokens, spoken = features["tokens"][:, :longest].float(), features["spoken"][:, :longest]
        return torch.stack([self.reader.unsafe(concepts), self.evidence(tokens, spoken, concepts)], dim=1)

    def guard_margins(self, features: Features) -> Tensor:
        """float32 [n, 2]: above 0 flags."""
        guards = self.guards(features)
        return guards - torch.tensor(self.cuts, device=guards.device)

    def margin_of(self, features: Features) -> Tensor:
        """The greatest margin: continuous, and its gradient is that of the stage that decides."""
        return torch.maximum(super().margin_of(features), self.guard_margins(features).amax(dim=1))

    def stage_margins(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, 5]: of prompt, picture, fusion, reader and evidence."""
        guards = self.guard_margins(self.features(inputs, embeddings))
        return torch.cat([super().stage_margins(inputs, embeddings), guards], dim=1)

    def told(self, features: Features) -> dict[str, Tensor]:
        """The pair's logit of unsafe is margin + cut, those of categories are the greater of the cascade's and the reader's."""
        told = super().told(features)
        unsafe = self.guard_margins(features).amax(dim=1, keepdim=True) + self.cut
        named = self.reader.by_category(features["concepts"].float(), self.categories)
        return {**told, "pair": torch.maximum(told["pair"], torch.cat([unsafe, named], dim=1))}

    def decided_by(self, features: Features) -> tuple[str, ...]:
        """`reader`, `evidence`, or both where they flag; else who decided in the cascade."""
        flags = (self.guard_margins(features) > 0).tolist()
        names = ["+".join(name for name, flag in zip(GUARDS, row, strict=True) if flag) for row in flags]
        return tuple(mine or theirs for mine, theirs in zip(names, super().decided_by(features), strict=True))

    def losses_of(self, features: Features, targets: Targets) -> dict[str, Tensor]:
        """Those of the cascade, and that of evidence for the label of the pair, but where only the picture makes it unsafe."""
        found = super().losses_of(features, targets)
        pair, image, prompt = (targets.unsafe[scope] for scope in ("pair", "image", "prompt"))
        words_may_tell = (pair == 0) | (prompt == 1) | (image == 0)
        label = torch.where(words_may_tell, pair, torch.nan)
        told = self.guards(features)[:, 1:]
        named = {"pair": targets.categories["pair"]}
        found["pair_by_evidence"] = label_losses({"pair": told}, Targets({"pair": label}, named, targets.weights))[
            "loss"
        ]
        return {**found, "loss": found["loss"] + EVIDENCE * found["pair_by_evidence"]}

    @torch.no_grad()
    def calibrate_of(self, features: Iterable[tuple[Features, Targets]], false_positive_rate: float) -> None:
        """First the guards by their `SHARES`, the reader's cut no lower than `least_cut`; then the cascade on the rows that neither
        flags, at what is left of the rate.
        """
        kept = list(features)
        told = torch.cat([self.guards(each) for each, _ in kept]) if kept else torch.zeros(0, 2)
        unsafe = torch.cat([targets.unsafe["pair"] for _, targets in kept]) if kept else torch.zeros(0)
        reader, evidence = (
            lowest_cut(told[:, place], unsafe, share * false_positive_rate) for place, share in enumerate(SHARES)
        )
        self.cuts = (max(reader, self.least_cut), evidence)
        flagged = (told > torch.tensor(self.cuts, device=told.device)).any(dim=1)
        safe, spent = int((unsafe == 0).sum()), int((flagged & (unsafe == 0)).sum())
        left = (false_positive_rate * safe - spent) / max(1, safe - spent)
        super().calibrate_of(_without(kept, flagged), max(left, LEAST_SHARE))

    def settings(self) -> dict[str, Any]:
        """With the guards' cuts and the reader's shape."""
        guards = {"cuts": list(self.cuts), "least_cut": self.least_cut, "network": self.reader.config.to_json()}
        return {**super().settings(), **guards}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], encoder: ClipEncoder, name: str) -> Self:
        """As saved."""
        network = ConceptNet(ReaderConfig.from_json(settings["network"]))
        model = cls(encoder, settings["categories"], name, Shape(**settings["shape"]), network)
        model.threshold, model.least_cut = settings["threshold"], settings["least_cut"]
        model.obvious_unsafe, model.obvious_safe = settings["obvious_unsafe"], settings["obvious_safe"]
        reader, evidence = settings["cuts"]
        model.cuts = (reader, evidence)
        return model


def _without(kept: Sequence[tuple[Features, Targets]], flagged: Tensor) -> Iterable[tuple[Features, Targets]]:
    """The batches without their flagged rows; `flagged` is bool over all rows in order."""
    first = 0
    for features, targets in kept:
        rows = ~flagged[first : first + len(targets)]
        first += len(targets)
        if rows.any():
            yield (
                {name: value[rows] for name, value in features.items()},
                Targets(
                    {scope: value[rows] for scope, value in targets.unsafe.items()},
                    {scope: value[rows] for scope, value in targets.categories.items()},
                    targets.weights[rows],
                ),
            )
