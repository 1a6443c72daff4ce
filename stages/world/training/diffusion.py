"""The small Stable Diffusion: a U-Net on 4x16x16 latents, conditioned on all 77 states of CLIP's frozen text tower."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from stages.world.scene import Scene
from stages.world.training import text_tower, tokenizer
from stages.world.training.captions_with_nouns import encode, word_scene
from stages.world.training.card import declare_float32, write_card
from stages.world.training.free_wording import free_caption
from stages.world.training.latents import LatentScenes, latent_scale
from stages.world.training.loop import averaged_weights
from stages.world.training.vae import build as build_vae

FREE = 0.35  # share of captions said freely (`free.py`), but never in the held-out phrasing
UNCONDITIONAL = 0.1  # share of captions replaced by "", for classifier-free guidance
TIME_POWER = 0.75  # t = 999 * u^0.75: more of the noisy steps, where it is decided what is drawn (trial)


def build() -> UNet2DConditionModel:
    """6.9 M parameters, 0.45 GFLOP forward. `attention_head_dim` is the number of heads (diffusers' old misnomer)."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32, 96, 160),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_tower.WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def scheduler() -> DDIMScheduler:
    """Cosine betas with zero terminal SNR; `trailing` starts at pure noise, so that 10 steps suffice (Lin et al. 2023)."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # `trailing` does not use it; another value makes diffusers warn
    )


def load_text_tower(work: Path) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """CLIP's text tower and tokenizer as `train clip` left them."""
    words = tokenizer.load(work)
    tower = CLIPTextModel(text_tower.config(words))
    trained = averaged_weights(work, "clip-text")
    tower.load_state_dict({k.removeprefix("text_tower."): v for k, v in trained.items() if k.startswith("text_tower.")})
    return tower.eval().requires_grad_(False), words


class DiffusionTraining:
    """v-prediction on cached latents; captions are drawn anew at each visit."""

    name = "t2i"
    batch = 32
    peak_rate = 1.2e-3
    hold = 0.45

    def __init__(self, data: LatentScenes, work: Path, device: torch.device, judge: Any = None) -> None:
        self.data, self.work, self.device, self.judge = data, work, device, judge
        self.module: nn.Module = build()
        tower, self.words = load_text_tower(work)
        self.tower = tower.to(device)
        self.noise = scheduler()
        self.scale = latent_scale(work)

    def _caption(self, scene: Scene, rng: np.random.Generator) -> str:
        return free_caption(scene, rng) if rng.random() < FREE else word_scene(scene, rng).text

    def _velocity_loss(self, module: nn.Module, rng: np.random.Generator, count: int, fraction: float) -> Tensor:
        picked = self.data.pick(rng, count, fraction)
        captions = [self._caption(self.data.scenes[i], rng) for i in picked]
        for row in np.flatnonzero(rng.random(count) < UNCONDITIONAL):
            captions[row] = ""
        half = torch.autocast(self.device.type, torch.bfloat16)  # 44 -> 55 samples/s a core with AVX512-BF16
        with torch.no_grad(), half:
            states = self.tower(input_ids=encode(self.words, captions).to(self.device)).last_hidden_state.float()
        clean = self.data.latents[picked].float().to(self.device) * self.scale
        noise = torch.randn_like(clean)
        times = torch.from_numpy((999 * rng.random(count) ** TIME_POWER).astype(np.int64)).to(self.device)
        noisy = self.noise.add_noise(clean, noise, times)
        velocity = self.noise.get_velocity(clean, noise, times)
        with half:
            predicted = module(noisy, times, encoder_hidden_states=states).sample
        return F.mse_loss(predicted.float(), velocity)

    def loss(self, rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        return {"loss": self._velocity_loss(self.module, rng, self.batch, fraction)}

    @torch.no_grad()
    def measure(self, module: nn.Module) -> dict[str, float]:
        torch.manual_seed(90_004)
        figures = {"fixed_loss": float(self._velocity_loss(module, np.random.default_rng(90_004), 128, 1.0))}
        if self.judge is not None:
            figures.update(self.judge(pipeline(self.work, copy.deepcopy(module), self.scale)))
        return figures


def pipeline(work: Path, unet: nn.Module, scale: float) -> StableDiffusionPipeline:
    """The parts put together: text to image, and image to image from the same parts."""
    vae = build_vae()
    vae.load_state_dict(averaged_weights(work, "vae"))
    vae.register_to_config(scaling_factor=scale)
    tower, words = load_text_tower(work)
    pipe = StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=tower,
        tokenizer=words,
        unet=unet.eval(),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def store(work: Path, out: Path) -> None:
    """`StableDiffusionPipeline.from_pretrained(out, safety_checker=None, requires_safety_checker=False)` afterwards."""
    unet = build()
    unet.load_state_dict(averaged_weights(work, "t2i"))
    pipe = pipeline(work, unet, latent_scale(work))
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.half()
    pipe.save_pretrained(out)
    declare_float32(out / "text_encoder")
    write_card(out, "t2i", work, ("vae", "t2i"))
