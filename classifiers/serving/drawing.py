"""Pictures on request, by a guarded pipeline: what a guard stops is answered with where, when and what it saved."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from classifiers.classifier import Classifier
from classifiers.families.in_diffusion import InDiffusion
from classifiers.serving.limits import RequestError, RequestLimits, bad
from pipeline.storage.image_codec import encode
from pipeline.storage.weights import model_directory
from stages.generate.guarded_pipeline import GuardedPipeline, Refusal

LARGEST = 1024  # pixels a side
STEPS = 20
MOST_STEPS = 100


@dataclass(frozen=True)
class Wanted:
    """What is to be drawn."""

    prompt: str
    count: int
    width: int
    height: int
    steps: int
    seed: int | None


class Drawer:
    """A directory of diffusers with the classifiers that are served as guards: of prompts, of early drawings, of pictures."""

    def __init__(self, directory: str, models: tuple[Classifier, ...]) -> None:
        from diffusers import DiffusionPipeline

        pipeline = DiffusionPipeline.from_pretrained(
            model_directory(directory), safety_checker=None, use_safetensors=True, local_files_only=True
        )
        pipeline.set_progress_bar_config(disable=True)
        early = next((model for model in models if isinstance(model, InDiffusion)), None)
        text, image = (next((model for model in models if model.reads == {side}), None) for side in ("prompt", "image"))
        self.guard = GuardedPipeline(pipeline, text=text, early=early, image=image, compact=True)
        self.side = (
            int(pipeline.unet.config.sample_size * pipeline.vae_scale_factor) if hasattr(pipeline, "unet") else 512
        )

    def wanted(self, body: object, limits: RequestLimits) -> Wanted:
        """From the body of a request for images. Raises RequestError."""
        if not isinstance(body, Mapping) or not isinstance(body.get("prompt"), str) or not body["prompt"].strip():
            raise bad("a prompt is missing")
        if len(body["prompt"]) > limits.characters:
            raise bad(f"the prompt has more than {limits.characters} characters")
        size = re.fullmatch(r"(\d{1,4})x(\d{1,4})", str(body.get("size") or f"{self.side}x{self.side}"))
        sides = tuple(map(int, size.groups())) if size else (0, 0)
        if not all(0 < side <= LARGEST and side % 8 == 0 for side in sides):
            raise bad(f"size is WIDTHxHEIGHT in multiples of 8, up to {LARGEST}")
        if body.get("response_format") not in (None, "b64_json"):
            raise bad("response_format is b64_json: nothing is kept here to be fetched later")
        count = _whole(body.get("n"), 1, limits.images, "n")
        steps = _whole(body.get("num_inference_steps"), STEPS, MOST_STEPS, "num_inference_steps")
        seed = body.get("seed")
        if seed is not None and not (type(seed) is int and 0 <= seed < 2**63):
            raise bad("seed is a whole number from 0")
        return Wanted(body["prompt"], count, sides[0], sides[1], steps, seed)

    def draw(self, wanted: Wanted) -> tuple[list[bytes | None], list[Refusal | None]]:
        """PNG files, None for what was stopped, and who stopped it."""
        import numpy as np
        import torch

        first = torch.seed() % 2**62 if wanted.seed is None else wanted.seed
        answer = self.guard(
            [wanted.prompt] * wanted.count,
            num_inference_steps=wanted.steps,
            height=wanted.height,
            width=wanted.width,
            generator=[torch.Generator().manual_seed(first + row) for row in range(wanted.count)],
        )
        shown = [None if each is None else encode(np.asarray(each.convert("RGB")), "png") for each in answer.images]
        return shown, list(answer.refusals)


def images(files: list[bytes | None], refusals: list[Refusal | None], steps: int, now: int) -> dict[str, Any]:
    """The public shape. Raises RequestError (400, `moderation_blocked`) where nothing is left to be shown."""
    told = [{"index": row, **refusal_of(each, steps)} for row, each in enumerate(refusals) if each is not None]
    if all(file is None for file in files):
        raise RequestError(400, "moderation_blocked", _sentence(told[0]), refusals=told)
    data = [{"b64_json": base64.b64encode(file).decode()} for file in files if file is not None]
    return {"created": now, "data": data, "refusals": told}


def refusal_of(refusal: Refusal, steps: int) -> dict[str, Any]:
    """Which guard, after which step of how many, by which score, and how many steps were not computed for it."""
    worst = max(refusal.categories, key=lambda name: refusal.categories[name], default=None)
    return {
        "where": refusal.where,
        "step": refusal.step,
        "steps": steps,
        "saved_steps": steps - refusal.step,
        "unsafe": refusal.unsafe,
        "category": worst,
    }


def _sentence(told: Mapping[str, Any]) -> str:
    return (
        f"stopped by the {told['where']} guard after step {told['step']} of {told['steps']} "
        f"({told['category']}); {told['saved_steps']} steps were not computed"
    )


def _whole(value: object, usual: int, most: int, name: str) -> int:
    number = usual if value is None else value
    if type(number) is not int or not 1 <= number <= most:
        raise bad(f"{name} is a whole number from 1 to {most}")
    return number
