"""LoRA (Hu et al. 2022) on any LLaVA-class model, for any run's shards: seeded, and restartable to the same weights."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from classifiers.data.labelled_pictures import LabelledPictures
from classifiers.models.vision_language import VisionLanguage
from classifiers.perspective.instructions import Instruction, instructions
from classifiers.perspective.list_supervision import before_last, cross_entropy, marks
from classifiers.vlm.llava import IGNORED
from classifiers.vlm.moderation_prompt import answer, question
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.loop import TrainingLoop
from pipeline.training.process_group import ProcessGroup
from schemas.errors import InputError

LINEAR = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
REPORT = 50  # steps between two lines of progress


@dataclass(frozen=True)
class TuningRecipe:
    """Defaults: batch, rate and epochs of appendix A.5, the rest of the released training script, for LLaVA-1.5-7B."""

    rank: int = 128
    alpha: int = 256
    dropout: float = 0.05
    rate: float = 2e-4
    projector_rate: float = 2e-5
    batch: int = 16
    epochs: float = 1.0
    warm_up: float = 0.03
    head: bool = False  # adapt the output layer too: a small model never said a category's name before
    marks: float = 0.0  # weight of yes or no at each category that a question lists, read one layer before the last
    seed: int = 0


SMALL = TuningRecipe(rank=32, alpha=64, dropout=0.0, rate=1.5e-3, projector_rate=5e-4, batch=32, head=True, marks=1.0)
"""For assets/world/vlm: fewer ranks than its width of 128, a rate as large as a model this small takes."""


def adapted(model: Any, recipe: TuningRecipe) -> Any:
    """The model in peft's wrapping: LoRA on every linear layer of the language model, the projector trained whole."""
    layers = rf".*language_model.*\.({LINEAR})" + (r"|lm_head" if recipe.head else "")
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=layers,
        modules_to_save=["multi_modal_projector"],
    )
    torch.manual_seed(recipe.seed)
    return get_peft_model(model, config)


class LoraTuning:
    """One fine-tuning: what is trained, on which instructions, and how far it is."""

    def __init__(self, judge: VisionLanguage, pictures: LabelledPictures, recipe: TuningRecipe, work: Path) -> None:
        self.judge, self.pictures, self.recipe = judge, pictures, recipe
        rng = np.random.default_rng([recipe.seed, 1])
        self.examples = instructions(pictures.rows, judge.categories, rng)
        if len({each.category is None for each in self.examples}) < 2:
            raise InputError(f"{pictures.store.url}: a tuning needs safe and unsafe pictures in the train shards")
        self.steps = math.ceil(recipe.epochs * len(self.examples) / recipe.batch)
        self.model = adapted(judge.encoder.model, recipe)
        projector = [p for n, p in self.model.named_parameters() if p.requires_grad and "projector" in n]
        rest = [p for n, p in self.model.named_parameters() if p.requires_grad and "projector" not in n]
        groups = [{"params": rest, "lr": recipe.rate}, {"params": projector, "lr": recipe.projector_rate}]
        self.loop = TrainingLoop(
            module=self.model,
            optimizer=torch.optim.AdamW(groups, weight_decay=0.0),
            losses=self._losses,
            rate=lambda peak, step, _: peak * rate_at(step, self.steps, recipe.warm_up),
            group=ProcessGroup(device=judge.llava.mean.device),
            checkpoint=Checkpoint.in_folder(work),
            precision=torch.bfloat16,
            largest_gradient=1.0,
            check=refuse_nan,
        )
        self.loop.restore()

    def run(self) -> Iterator[tuple[int, float]]:
        """Train to the end; the step and its loss now and then. A killed run goes on from its last checkpoint."""
        started_at = self.loop.step
        self.model.train()
        self.model.base_model.model.model.vision_tower.eval()
        for step, losses in self.loop.run(range(started_at, self.steps)):
            if (step + 1) % REPORT == 0 or step + 1 == self.steps:
                yield step + 1, losses["loss"]
        if self.loop.step > started_at:
            self.loop.save()
        self.model.eval()

    def _losses(self, step: int, _: int) -> dict[str, Tensor]:
        torch.manual_seed(int(np.random.default_rng([self.recipe.seed, 3, step]).integers(2**62)))
        return {"loss": self._loss([self.examples[place] for place in self._places(step)])}

    def _places(self, step: int) -> list[int]:
        """The examples of a step: a new shuffle each epoch, a function of seed and step alone."""
        size, total = self.recipe.batch, len(self.examples)
        places = []
        for place in range(step * size, (step + 1) * size):
            epoch, at = divmod(place, total)
            places.append(int(self._order(epoch)[at]))
        return places

    def _order(self, epoch: int) -> Any:
        return np.random.default_rng([self.recipe.seed, 2, epoch]).permutation(len(self.examples))

    def _loss(self, batch: list[Instruction]) -> Tensor:
        """Cross-entropy of the answers' tokens, LLaVA's own loss, and of the marks if the recipe weighs them."""
        eye, rows, wanted, marked = self.judge.llava, [], [], []
        for each in batch:
            categories = self.judge.categories_of(each.asked)
            named = None if each.category is None else self.judge.taxonomy[each.category]
            ids, start = eye.answered(eye.chat(question(categories, policies=self.judge.policies)), answer(named))
            rows.append(ids)
            wanted.append(torch.tensor([IGNORED] * start + ids[start:]))
            marked.append(self._marks(each, ids) if self.recipe.marks else torch.tensor([]))
        pixels = torch.cat([eye.resized(self._pixels(each.row)) for each in batch])
        with before_last(eye.model.model.language_model) as before, self.loop.autocast():
            loss = cross_entropy(eye.logits(pixels, rows)[:, :-1], [row[1:] for row in wanted])
            if self.recipe.marks:
                seen = eye.model.lm_head(eye.model.model.language_model.norm(before[0])).float()
                loss = loss + self.recipe.marks * cross_entropy(seen, marked)
        return loss

    def _marks(self, each: Instruction, ids: list[int]) -> Tensor:
        """At each category that the question lists: does the picture touch it?"""
        touched = self.pictures.rows[each.row].categories
        listed = [(category.name, category.id in touched) for category in self.judge.categories_of(each.asked)]
        return marks(ids, listed, self.judge.llava.tokenizer)

    def _pixels(self, row: int) -> Tensor:
        pixels = self.pictures.inputs([row]).pixels
        assert pixels is not None
        return pixels.to(self.judge.llava.mean.device)

    def store(self, folder: Path, base: str) -> None:
        """The adapter in half precision as peft stores it, and the classifier's config.json."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.half().save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty form of a card
        self.judge.origin = (folder, base)
        self.judge.save(folder)


def refuse_nan(step: int, _: Tensor, losses: Mapping[str, Tensor], __: int) -> None:
    """Raises InputError for a loss that is no number."""
    if not torch.isfinite(losses["loss"]):
        raise InputError(f"the loss is {losses['loss'].item()} at step {step}; a lower --learning-rate may mend that")


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """Share of the peak rate: linear from 0 over `warm_up` of the steps, then a half cosine to 0."""
    rising = max(1, round(warm_up * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
