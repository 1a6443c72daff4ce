"""PerspectiveVision itself: a LLaVA-class model, tuned by LoRA to say whether a picture is unsafe by the user's own taxonomy.

On disk it is what peft stores (the adapter) and a config.json that names the base model by its place and digest.
"""

import json
import shutil
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor

from classifiers.classifier import Features
from classifiers.families.perspective import Perspective
from classifiers.vlm.answer_likelihood import Answers
from classifiers.vlm.answer_likelihood import Path as Tokens
from classifiers.vlm.llava import Llava
from classifiers.vlm.moderation_prompt import answer, question
from pipeline.storage.weights import base_folder, digest
from schemas.errors import InputError
from schemas.protocols import Inputs
from schemas.taxonomy import Category, Taxonomy

ADAPTER = ("adapter_model.safetensors", "adapter_config.json")


class VisionLanguage(Perspective):
    """`policies` spells the categories out in the question. P(unsafe) is that of the answers which say so, out of those allowed."""

    kind: ClassVar[str] = "vision_language"
    trained_apart: ClassVar[bool] = True  # by `jobs/perspective.py tune`, from a language model

    def __init__(self, llava: Llava, taxonomy: Taxonomy, name: str, *, policies: bool) -> None:
        super().__init__(llava, taxonomy.ids, name)
        self.taxonomy, self.policies = taxonomy, policies
        self.taxonomy_label = taxonomy.label
        self.origin: tuple[Path, str] | None = None  # the adapter's folder, and what config.json calls the base

    @property
    def llava(self) -> Llava:
        """Encoder and language model in one."""
        return cast(Llava, self.encoder)

    def under(self, taxonomy: Taxonomy) -> Self:
        """The same weights asked by another taxonomy: its names, and its policy texts where the model was taught to read some.

        Raises InputError for names that the model's vocabulary does not tell apart.
        """
        answers = [tuple(self.llava.answered("", answer(category))[0]) for category in taxonomy.categories]
        if len(set(answers)) < len(answers):
            raise InputError(
                f"{self.name} has no words that tell all categories of {taxonomy.label} apart "
                f"({', '.join(category.name for category in taxonomy.categories)}): other names, or a larger language model"
            )
        other = copy(self)  # shares every weight
        other.taxonomy, other.taxonomy_label = taxonomy, taxonomy.label
        other.known = other.categories = taxonomy.ids
        return other

    def categories_of(self, ids: tuple[str, ...]) -> list[Category]:
        """In the order given."""
        return [self.taxonomy[id_] for id_ in ids]

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """The pictures at the model's size. The tower is run with the words, so nothing more can be kept."""
        del embeddings  # the prompt is not read
        return {"pixels": self.encoder.resized(self.pictures(inputs))}

    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """Logits of unsafe and of each category in scope, from the likelihoods of the answers (`Answers`)."""
        categories = self.categories_of(self.categories)
        chat = self.llava.chat(question(categories, policies=self.policies))
        chats = [self.llava.answered(chat, answer(category)) for category in (None, *categories)]
        start = min(place for _, place in chats)
        head, answers = chats[0][0][:start], Answers.of([ids[start:] for ids, _ in chats])
        logits: dict[Tokens, Tensor] = {}
        for path in answers.passes:
            out = self.llava.logits(features["pixels"], [[*head, *path]] * len(features["pixels"]))
            for branch in answers.branches:
                if path[: len(branch)] == branch:
                    logits[branch] = out[:, len(head) + len(branch) - 1]
        log_probabilities = answers.log_probabilities(logits)
        margin = log_probabilities[:, 1:].logsumexp(dim=1) - log_probabilities[:, 0]
        each = log_probabilities[:, 1:] - torch.log1p(-log_probabilities[:, 1:].exp().clamp(max=1 - 1e-6))
        return {"image": torch.cat([margin[:, None], each], dim=1)}

    def save(self, folder: Path) -> None:
        """The adapter as peft stores it, and config.json last. Raises InputError for a model that was never tuned."""
        if self.origin is None:
            raise InputError(f"{self.name} has no adapter; tune one with jobs/perspective.py tune")
        place, base = self.origin
        folder.mkdir(parents=True, exist_ok=True)
        for name in ADAPTER:
            if (place / name).resolve() != (folder / name).resolve():
                shutil.copyfile(place / name, folder / name)
        about = {
            "kind": self.kind,
            "base": base,
            "base_digest": digest(base_folder(base)),
            "adapter_digest": digest(folder, ADAPTER),
            "policies": self.policies,
            "threshold": self.threshold,
            "taxonomy": [self.taxonomy.name, self.taxonomy.version],
            "categories": [[each.id, each.name, each.policy] for each in self.taxonomy.categories],
        }
        (folder / "config.json").write_text(json.dumps(about, indent=1) + "\n")

    @classmethod
    def restore(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """What `save` wrote, the adapter merged into its base. Raises InputError where either is not what it was."""
        from peft import PeftModel

        base = base_folder(config["base"])
        for what, actual in (("base", digest(base)), ("adapter", digest(folder, ADAPTER))):
            if actual != config[f"{what}_digest"]:
                raise InputError(f"{folder}: the {what} is not the one that was tuned (digest {actual}); tune it again")
        llava = Llava.from_directory(base)
        llava.model = PeftModel.from_pretrained(llava.model, str(folder)).merge_and_unload()
        name, version = config["taxonomy"]
        taxonomy = Taxonomy(name, version, tuple(Category(*each) for each in config["categories"]))
        model = cls(llava, taxonomy, folder.name, policies=config["policies"])
        model.threshold, model.origin = config["threshold"], (folder, config["base"])
        return model.eval()
