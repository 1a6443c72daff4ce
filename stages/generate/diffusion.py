"""Draw pictures with any text-to-image directory that `diffusers` can load."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.stage import BadSamplesError, Resources, Stage, Step
from schemas.errors import InputError
from schemas.identity import seed_of
from schemas.sample import Sample
from stages.weights import PICKLED, model_directory, weights_digest


@dataclass(frozen=True, kw_only=True)
class Diffusion(Stage):
    """Text to image. `steps` and `guidance_scale` are the pipeline's own; `size` None takes the model's own side in pixels.

    Every sample has its own CPU generator, seeded from its key; a batch always computes `batch_size` rows. Raises InputError
    for a directory that cannot be loaded, before anything is.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"drawn_prompt"})
    adds: ClassVar[frozenset[str]] = frozenset(
        {"pixels", "generator", "revision", "scheduler", "steps", "guidance_scale", "seed"}
    )
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    model: str = "assets/world/t2i"
    steps: int = 10
    guidance_scale: float = 3.0
    size: int | None = None
    batch_size: int = 16

    def revision(self) -> str:
        """Digest of the weights and settings; refuses a directory that is no complete pipeline."""
        directory = model_directory(self.model)
        check_pipeline(directory)
        return weights_digest(directory)

    def open(self) -> Step:
        """Load the pipeline onto the accelerator if there is one."""
        pipeline = _load(model_directory(self.model))
        known = {
            "generator": self.model,
            "revision": self.revision(),
            "scheduler": type(pipeline.scheduler).__name__,
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
        }

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            pictures = self._draw(pipeline, batch)
            bad = {s.key: "the picture holds NaN" for s in batch if not np.isfinite(pictures[s.slot]).all()}
            if bad:
                raise BadSamplesError(bad)
            for sample in batch:
                pixels = (pictures[sample.slot] * 255).round().astype(np.uint8)
                yield sample.with_(pixels=pixels, seed=seed_of(sample.key, self.name), **known)

        return step

    def _draw(self, pipeline: Any, batch: Sequence[Sample]) -> Any:
        """float32 [batch_size, height, width, 3] in [0, 1]; rows without a sample repeat the first and are not used."""
        import torch

        rows = [batch[0]] * self.batch_size
        for sample in batch:
            rows[sample.slot] = sample
        generators = [torch.Generator("cpu").manual_seed(seed_of(sample.key, self.name)) for sample in rows]
        with torch.inference_mode():
            return pipeline(
                [sample.drawn_prompt for sample in rows],
                num_inference_steps=self.steps,
                guidance_scale=self.guidance_scale,
                height=self.size,
                width=self.size,
                generator=generators,
                output_type="np",
            ).images


def check_pipeline(directory: Path) -> None:
    """Raise InputError unless `directory` is a whole diffusers pipeline with safe weights."""
    index_file = directory / "model_index.json"
    if not index_file.is_file():
        raise InputError(f"--model {directory}: there is no model_index.json, so it is no diffusers pipeline directory")
    try:
        index = json.loads(index_file.read_text())
    except ValueError as error:
        raise InputError(f"{index_file}: not JSON ({error}); fetch the model again") from error
    parts = [name for name, value in index.items() if isinstance(value, list) and value[0] is not None]
    for part in parts:
        folder = directory / part
        if not folder.is_dir():
            raise InputError(f"--model {directory}: its part {part!r} is missing; model_index.json names {parts}")
        has_config = (folder / "config.json").is_file()
        is_model = has_config and part not in ("tokenizer", "tokenizer_2", "scheduler", "feature_extractor")
        if is_model and not any(folder.glob("*.safetensors")):
            pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
            reason = f"only pickled weights {pickled}, which are never loaded" if pickled else "no weights"
            raise InputError(f"--model {directory}: its part {part!r} holds {reason}; give *.safetensors")


def _load(directory: Path) -> Any:
    import torch
    from diffusers import AutoPipelineForText2Image
    from diffusers.utils import logging

    logging.disable_progress_bar()
    accelerator = torch.accelerator.is_available()
    device = str(torch.accelerator.current_accelerator()) if accelerator else "cpu"
    # Half precision is slower than single on CPUs without matrix units (PACKAGES.md part 3).
    dtype = torch.bfloat16 if accelerator else torch.float32
    index = json.loads((directory / "model_index.json").read_text())
    # A checker inside the generator would blank pictures that are to be judged by labellers.
    unchecked = {"safety_checker": None, "requires_safety_checker": False} if "safety_checker" in index else {}
    pipeline = AutoPipelineForText2Image.from_pretrained(
        directory, torch_dtype=dtype, use_safetensors=True, local_files_only=True, **unchecked
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
