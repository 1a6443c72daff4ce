"""The autoencoder: 64x64 pictures <-> latents of 4x16x16 (f4) that stay smooth, of unit variance and robust to noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from stages.world.training.scene_batches import SceneMixture, as_pixels, render, sample_scene

LATENT_NOISE = 0.08  # of the latents' unit deviation: the decoder must forgive what the U-Net leaves (trial)
MIXTURE = SceneMixture(pairs=0.4, triples=0.06, plain=0.4, normal=0.55, core=1.0)
CHANNELS = 32  # 48 trains at 29 samples/s, 32 at 76: blocks stand at 32 and 16 px only, all channels last


def build() -> AutoencoderTiny:
    """~0.3 M parameters; `AutoencoderTiny` wants equal channels in all stages."""
    return AutoencoderTiny(
        encoder_block_out_channels=(CHANNELS,) * 3,
        decoder_block_out_channels=(CHANNELS,) * 3,
        num_encoder_blocks=(0, 1, 2),
        num_decoder_blocks=(3, 2, 0),
        latent_channels=4,
        scaling_factor=1.0,
    )


def _gradient_loss(a: Tensor, b: Tensor) -> Tensor:
    """L1 distance of horizontal and vertical differences: keeps edges, which MSE alone blurs."""
    across = F.l1_loss(a.diff(dim=3), b.diff(dim=3))
    return across + F.l1_loss(a.diff(dim=2), b.diff(dim=2))


class AutoencoderTraining:
    """Reconstruct scenes; the latents get noise and a pull to unit variance."""

    name = "vae"
    batch = 24
    peak_rate = 2e-3
    hold = 0.3

    def __init__(self) -> None:
        self.module: nn.Module = build().to(memory_format=torch.channels_last)  # 60 -> 76 samples/s
        rng = np.random.default_rng(90_001)
        self._held_out = as_pixels(render([sample_scene(rng, MIXTURE) for _ in range(192)]))

    def loss(self, rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        device = next(self.module.parameters()).device
        pixels = as_pixels(render([sample_scene(rng, MIXTURE) for _ in range(self.batch)])).to(device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        vae: Any = self.module
        latents = vae.encoder(pixels)
        drawn = vae.decoder(latents + LATENT_NOISE * torch.randn_like(latents))
        squared = F.mse_loss(drawn, pixels)
        moments = latents.mean(dim=(0, 2, 3)).square().mean() + (latents.std(dim=(0, 2, 3)) - 1).square().mean()
        # Neighbouring latents that resemble each other are easier to denoise than a code that flickers.
        rough = latents.diff(dim=3).square().mean() + latents.diff(dim=2).square().mean()
        total = squared + 0.3 * F.l1_loss(drawn, pixels) + 0.3 * _gradient_loss(drawn, pixels)
        return {"loss": total + 0.1 * moments + 0.003 * rough, "mse": squared, "moments": moments, "rough": rough}

    @torch.no_grad()
    def measure(self, module: nn.Module) -> dict[str, float]:
        device = next(module.parameters()).device
        pixels = self._held_out.to(device)
        vae: Any = module
        drawn = vae.decoder(vae.encoder(pixels)).clamp(-1, 1)
        squared = ((drawn - pixels) / 2).square().mean(dim=(1, 2, 3))
        return {"psnr": float((-10 * squared.log10()).mean())}
