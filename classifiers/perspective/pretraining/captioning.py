"""The small LLaVA learns to say what a picture shows, from lessons (`lessons.py`) about scenes of the world.

LLaVA's own first stage trains the projector alone beside a language model that can speak already (Liu et al. 2024, section 4);
here the language model learns to speak at the same time, so both move and only the picture tower is frozen. As in the training
of the CLIP, dense labels are a crutch: what the projector makes of a patch is read as a word, which has to name the pictogram
there. That costs a matrix product and gives 64 labels a picture; the language model then has only to copy and to order them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from classifiers.perspective.list_supervision import before_last, cross_entropy, marks
from classifiers.perspective.pretraining.llava import build
from classifiers.perspective.pretraining.tasks import DESCRIBE, NO, YES, Form, InstructionPair, lesson, taxonomy, ticks
from classifiers.perspective.pretraining.tokenizer import ANSWER, BEGIN, END, IMAGE
from classifiers.vlm.moderation_prompt import SAFE, UNSAFE
from stages.world.scene import Scene
from stages.world.training.scene_batches import SceneMixture, as_pixels, cells, render, sample_scene
from stages.world.vocabulary import BY_NAME, VOCABULARY

MIXTURE = SceneMixture(pairs=0.45, triples=0.04, plain=0.3, normal=0.5, core=1.3)
DENSE_ONLY = 0.1  # of the budget: before the patches can be read there is nothing to say
DENSE_WEIGHT = 0.5  # of the labels of patches once captions are trained
MARKS_WEIGHT = 0.5  # of the marks at the things that a taxonomy lists
GROUND = "background"
IGNORED = -100  # label of what teaches nothing
FIXED = 64  # held-out scenes that are described at every measurement


class Captioning:
    """What `stages.world.training.loop.fit` trains: projector and language model."""

    name = "llava-captions"
    batch = 32
    peak_rate = 2e-3
    hold = 0.5

    def __init__(self, clip: Path, words: PreTrainedTokenizerFast) -> None:
        self.words = words
        self.module: LlavaForConditionalGeneration = build(clip, words)
        self.tokens = int(self.module.config.image_seq_length)
        synonyms = [(GROUND,), *(concept.words for concept in VOCABULARY)]
        self.nouns = [words.convert_tokens_to_ids(list(each)) for each in synonyms]
        self.fixed = [sample_scene(np.random.default_rng([17, row]), MIXTURE) for row in range(FIXED)]

    def loss(self, rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        """Cross-entropy of the captions' words, and of the words for the patches."""
        scenes = [sample_scene(rng, MIXTURE) for _ in range(self.batch)]
        with torch.autocast(self.module.device.type, torch.bfloat16):  # 0.53 -> 0.44 s a step with AVX512-BF16
            return self._losses(scenes, rng, fraction)

    def _losses(self, scenes: Sequence[Scene], rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        pixels = self.pixels(scenes)
        if fraction < DENSE_ONLY:
            seen = torch.cat(self.module.model.get_image_features(pixels, return_dict=True).pooler_output)
            dense = self._dense(seen, scenes, rng)
            return {"loss": dense, "dense": dense}
        taught = [lesson(scene, rng, fraction) for scene in scenes]
        ids, labels = (rows.to(self.module.device) for rows in self.rows(taught))
        mask, language = ids != self.words.pad_token_id, self.module.model.language_model
        with before_last(language) as before:
            out = self.module(input_ids=ids, pixel_values=pixels, attention_mask=mask, labels=labels)
        marked = self.module.lm_head(language.norm(before[0])).float()
        told = cross_entropy(
            marked, [marks(row, each.marks, self.words) for each, row in zip(taught, ids.tolist(), strict=True)]
        )
        dense = self._dense(out.image_hidden_states, scenes, rng)
        loss = out.loss + DENSE_WEIGHT * dense + MARKS_WEIGHT * told
        return {"loss": loss, "words": out.loss, "dense": dense, "marks": told}

    def _dense(self, seen: Tensor, scenes: Sequence[Scene], rng: np.random.Generator) -> Tensor:
        """Projected patches, [n x (1 + patches), width] in any shape, against the language model's own vector of a word for what
        each shows, any of its words: what a patch is made into is then what a question's word for it is.
        """
        side = round((self.tokens - 1) ** 0.5)
        wanted = cells(scenes, side).flatten().to(seen.device)
        patches = seen.view(len(scenes), self.tokens, -1)[:, 1:]
        words = [each[int(rng.integers(len(each)))] for each in self.nouns]
        vectors = self.module.get_input_embeddings().weight[words]
        return torch.nn.functional.cross_entropy((patches @ vectors.T).flatten(0, 1).float(), wanted)

    def pixels(self, scenes: Sequence[Scene]) -> Tensor:
        """float32 [n, 3, 64, 64] in [-1, 1]."""
        return as_pixels(render(scenes)).to(self.module.device)

    def rows(self, taught: Sequence[InstructionPair]) -> tuple[Tensor, Tensor]:
        """int64 [n, length] ids and labels, padded on the right."""
        ids, labels = [], []
        for each in taught:
            head, tail = self._ids(self.asked(each.question)), self._ids(f"{each.answer}{END}")
            learnt = set(self.words.convert_tokens_to_ids([*each.taught, END]) if each.taught else tail)
            ids.append(torch.tensor(head + tail))
            labels.append(torch.tensor([IGNORED] * len(head) + [word if word in learnt else IGNORED for word in tail]))
        padding = int(self.words.pad_token_id)
        return pad_sequence(ids, True, padding), pad_sequence(labels, True, IGNORED)

    def asked(self, question: str) -> str:
        """The chat template's form of it (`llava.CHAT`), up to where the answer begins."""
        return f"{BEGIN}{IMAGE * self.tokens} {question} {ANSWER}"

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.words(text, add_special_tokens=False)["input_ids"]
        return ids

    @torch.no_grad()
    def measure(self, module: LlavaForConditionalGeneration) -> dict[str, float]:
        """Of the fixed scenes: share of the shown concepts that greedy captions name, by any of their words; share of names
        that are ticked rightly; share of taxonomies of things that are answered rightly, safe or not.
        """
        head = self._ids(self.asked(DESCRIBE[0]))
        ids = torch.tensor([head] * FIXED, device=module.device)
        pixels = self.pixels(self.fixed)
        out = module.generate(input_ids=ids, pixel_values=pixels, max_new_tokens=24, do_sample=False)
        named = [set(self.words.decode(row[len(head) :], skip_special_tokens=True).split()) for row in out]
        hits = [bool(named[row] & _nouns(name)) for row, scene in enumerate(self.fixed) for name in scene.concepts]
        right = {f"{form.__name__}_right": self._right(module, form, pixels) for form in (ticks, taxonomy)}
        return {"named": float(np.mean(hits)), **right}

    def _right(self, module: LlavaForConditionalGeneration, form: Form, pixels: Tensor) -> float:
        taught = [form(scene, np.random.default_rng([18, row])) for row, scene in enumerate(self.fixed)]
        ids, labels = (rows.to(module.device) for rows in self.rows(taught))
        predicted = module(
            input_ids=ids, pixel_values=pixels, attention_mask=ids != self.words.pad_token_id
        ).logits.argmax(-1)
        judged = torch.isin(labels[:, 1:], torch.tensor(self.words.convert_tokens_to_ids([YES, NO, SAFE, UNSAFE])))
        return float((predicted[:, :-1] == labels[:, 1:])[judged].float().mean())


def _nouns(concept: str) -> set[str]:
    words = BY_NAME[concept].words
    return {word + end for word in words for end in ("", "s", "es")}
