"""When a judge of the embedded world has no ground for an answer: nothing recognisable in the picture, or unknown words."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from classifiers.classifier import Classifier
from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.recognition import Recognition
from classifiers.saved import load
from pipeline.storage.weights import model_directory, weights_digest
from schemas.protocols import Inputs
from stages.world.reader import PUNCTUATION, read

CLIP, RECOGNITION = "assets/world/clip", "assets/world/recognition"
GUARDS = "assets/world/defence/guards"
NOTHING = "nothing recognisable in the picture"
SHOWN = 4  # unknown words in a reason


@dataclass(frozen=True, eq=False)
class Doubt:
    """The embedded CLIP, and what was taught to tell its pictures from pictures of nothing."""

    clip: ClipEncoder
    recognition: Recognition
    guards: Classifier
    """Whose evidence is of single words and proven concepts: what they flag has a ground."""

    @classmethod
    def of(cls, model: Classifier) -> "Doubt | None":
        """For a classifier on an embedded CLIP; None for all others, whose pictures and words this knows nothing about."""
        folder = model_directory(CLIP)
        clip = ClipEncoder.from_directory(folder)
        if not isinstance(model.encoder, ClipEncoder) or model.encoder.settings()["clip"] != clip.settings()["clip"]:
            return None
        device = model.embedding_table().device
        recognition = Recognition.load(model_directory(RECOGNITION)).to(device)
        return cls(clip.to(device).eval(), recognition, load(model_directory(GUARDS)).to(device))

    def digest(self) -> str:
        """Of what decides: other weights or words make another question."""
        return " ".join(weights_digest(model_directory(name)) for name in (RECOGNITION, GUARDS))

    @torch.no_grad()
    def recognised(self, pixels: Tensor) -> list[bool]:
        """Of float32 [n, 3, height, width] in [0, 1]."""
        recognised = self.recognition.nothing(self.clip.image(self.clip.resized(pixels))) <= self.recognition.cut
        return [bool(each) for each in recognised]

    def unknown_words(self, prompt: str | None) -> Sequence[str]:
        """Of a pair's prompt that the embedded world does not know; of a picture alone none."""
        return () if prompt is None else read(prompt).unknown

    @torch.no_grad()
    def grounded(self, prompts: Sequence[str], pixels: Tensor) -> list[bool]:
        """Whether the guards flag what is known of each prompt, and its picture (as in `recognised`)."""
        scores = self.guards.score(Inputs(tuple(map(known_part, prompts)), pixels)).unsafe[self.guards.scope]
        return [bool(score > self.guards.threshold) for score in scores]


def known_part(prompt: str) -> str:
    """The prompt without the words that the embedded world does not know."""
    unknown = set(read(prompt).unknown)
    return " ".join(word for word in prompt.split() if word.casefold().strip(PUNCTUATION) not in unknown)


def words_reason(words: Sequence[str]) -> str:
    """Why an answer about a prompt is unsure."""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return f"words that the classifier does not know: {', '.join(map(repr, words[:SHOWN]))}{more}"
